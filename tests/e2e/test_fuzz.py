"""Mutated files: a valid result or one of facekp's own errors, soon and in little memory."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from facekp.core.crop import Crop
from facekp.core.description import FORMAT
from facekp.core.errors import ConfigError, DataError, FacekpError
from facekp.core.image import count_pages, exif_transform, image_size, read_image, warp
from facekp.core.landmarks import IBUG68, IMM58
from facekp.data.annotation_scheme import columns_of, scheme_of
from facekp.data.formats.asf import read_asf, write_asf
from facekp.data.formats.base import ReadOptions, WritableFormat
from facekp.data.formats.corrected_csv import (
    CorrectedFace,
    CorrectedPhoto,
    corrected_header,
    corrected_rows,
    read_corrected_csv,
)
from facekp.data.formats.dlib_xml import XmlWriter, read_dlib_xml
from facekp.data.formats.pts import read_pts, write_pts
from facekp.data.formats.recognition import formats
from facekp.inference.predictor import Predictor
from facekp.models.heatmap import HeatmapNet
from facekp.tasks.export import export
from facekp.tasks.known_faces import read_annotations
from facekp.training.warm_start import load_matching_weights
from tests.data.formats import helpers

LONGEST = 1.0
"""Seconds of processor time that an input may take; ten times that by the clock ends all."""


MOST = 200.0
"""Megabytes by which the process may grow while a kind is tried."""


ROUND = 1000
"""Inputs after which hypothesis may forget what it tried."""


FACE = (np.zeros((48, 48, 3), dtype=np.uint8), np.array([8.0, 8, 40, 40]))


@dataclass(frozen=True)
class Target:
    """A kind of file that strangers send.

    Args:
        share: of `--inputs`; those of all kinds add up to more than 1.
        ending: of the file's name.
        seeds: whole files.
        use: reads a file, and raises AssertionError for a result that makes no sense.
        words: pieces that mean something in such files.
        described: change a checkpoint's description, not its bytes.
    """

    share: float
    ending: str
    seeds: Callable[[Path], list[bytes]]
    use: Callable[[Path], None]
    words: tuple[bytes, ...] = ()
    described: bool = False

    def inputs(self, seeds: list[bytes]) -> st.SearchStrategy[bytes]:
        """Mutations of the seeds."""
        changed = descriptions() if self.described else edits(self.words)
        return st.builds(described if self.described else mutated, st.sampled_from(seeds), changed)


NUMBERS = (
    b"nan",
    b"-inf",
    b"1e999",
    b"-1",
    b"0",
    b"1e-20",
    b"1e39",
    b"1e308",
    b"9" * 400,
    b"0x10",
    b"1_0",
    b"\xd9\xa1",
)


PLACES = (b"../../etc/passwd", b"/etc/passwd", b"C:\\a", b"\0", b"a" * 5000)


def sane(points: np.ndarray | None, count: int) -> None:
    assert points is None or (points.shape[-2:] == (count, 2) and np.isfinite(points).all())


def asf_seeds(folder: Path) -> list[bytes]:
    paths = [(chain, name in IMM58.closed) for name, chain in IMM58.parts.items()]
    points = np.random.default_rng(0).uniform(0, 400, (58, 2))
    write_asf(folder / "a.asf", points, (480, 640), "01-1m.jpg", paths)
    return [(folder / "a.asf").read_bytes()]


def use_asf(path: Path) -> None:
    sane(read_asf(path).keypoints((480, 640)), 58)


def pts_seeds(folder: Path) -> list[bytes]:
    write_pts(folder / "a.pts", np.random.default_rng(1).uniform(-20, 400, (68, 2)))
    return [(folder / "a.pts").read_bytes()]


def use_pts(path: Path) -> None:
    sane(read_pts(path), 68)


def xml_seeds(folder: Path) -> list[bytes]:
    writer, rng = XmlWriter("faces"), np.random.default_rng(2)
    for number in range(2):
        writer.add(f"a/{number}.jpg", (10, 10, 100, 120), rng.uniform(0, 200, (68, 2)), (200, 300))
    writer.write(folder / "a.xml")
    return [(folder / "a.xml").read_bytes()]


def use_xml(path: Path) -> None:
    problems: list[DataError] = []
    try:
        faces = read_dlib_xml(path, problems=problems)
    finally:
        assert all(error.line for error in problems)
    for face in faces:
        sane(face.keypoints, 68)
        assert np.isfinite(face.bbox).all()
        assert (face.bbox[2:] > face.bbox[:2]).all()
        assert not Path(face.file).is_absolute()
        assert ".." not in Path(face.file).parts
        warp(FACE[0], Crop((32, 32), 1, 1.2, True).transform(face.bbox), (32, 32), 1)
    for error in problems:
        raise error


def csv_seeds(folder: Path) -> list[bytes]:
    columns = "file,left,top,right,bottom,box_kind,frame,x0,y0,x1,y1"
    rows = ["photos/a.jpg,1,2,30,40,dlib,0,3,4,5,6", '"b, c.jpg",1.5,2.5,30,40,dlib,,3,4,5,6']
    return ["\n".join([columns, *rows]).encode()]


def use_csv(path: Path) -> None:
    for count in (None, 2):
        given_faces = read_annotations(str(path), count and [str(at) for at in range(count)])
        for photo in ("photos/a.jpg", "b, c.jpg"):
            boxes = given_faces.boxes_for(Path(photo))
            if boxes is not None:
                sane(boxes.reshape(-1, 2, 2), 2)
                points = given_faces.points_for(Path(photo))
                sane(np.nan_to_num(points).reshape(len(boxes), count or 0, 2), count or 0)
                assert (np.isnan(points[..., :1]) == np.isnan(points[..., 1:])).all()


def corrected_seeds(folder: Path) -> list[bytes]:
    points = np.array([[1.5, 2], [np.nan, np.nan]])
    face = CorrectedFace(
        np.array([1.0, 2, 30, 40]), points, 20, 0.5, frozenset({0}), frozenset({0})
    )
    rows = corrected_rows(CorrectedPhoto("a.jpg", (face, face), True, "val", "p"), 2, "dlib")
    return [(corrected_header(["0", "1"]) + rows).encode()]


def use_corrected(path: Path) -> None:
    for photo in read_corrected_csv(path, ["0", "1"]):
        for face in photo.faces:
            sane(face.bbox.reshape(1, 2, 2), 2)
            sane(np.nan_to_num(face.keypoints)[None], 2)
        corrected_rows(photo, 2, "dlib")


def format_target(share: float, name: str, ending: str, words: tuple[bytes, ...] = ()) -> Target:
    """A format of annotations: what the tests of formats write, read again."""

    def seeds(folder: Path) -> list[bytes]:
        known = formats()[name]
        if isinstance(known, WritableFormat):
            path = folder / f"seed{ending}"
            known.write(path, helpers.faces(occluded=name != "dlib"), helpers.SCHEME)
            return [path.read_bytes()]
        if name == "yolo":
            helpers.image(folder / "images/a.jpg")
            (folder / "labels").mkdir()
            (folder / "labels/a.txt").write_text("0 0.5 0.5 0.5 0.4 0.25 0.5 2 0.5 0.25 1 0 0 0\n")
        return [SEEDS[name]]

    def use(path: Path) -> None:
        problems: list[DataError] = []
        options = ReadOptions(cache_dir=path.parent / "cache", problems=problems)
        content = formats()[name].read(path, options)
        for face in content.faces:
            assert face.keypoints.shape == (len(content.names), 2)
            assert not np.isinf(face.keypoints).any()
            assert face.bbox is None or (face.bbox[2:] > face.bbox[:2]).all()
        columns_of(path, content, scheme_of([(path, content)], None)[0])
        for error in problems:
            raise error

    return Target(share, ending, seeds, use, (*NUMBERS, *PLACES, *words))


POINT = {
    "label": "nose",
    "points": [[31.5, 40]],
    "shape_type": "point",
    "group_id": None,
    "flags": {},
}
SEEDS = {
    "deeplabcut": b"scorer,me,me,me,me\nbodyparts,nose,nose,paw,paw\ncoords,x,y,x,y\na/b.png,1.5,2,,\nc.png,3,4,5,6\n",
    "kaggle": b"nose_x,nose_y,Image\n1.5,2.5," + b" ".join([b"17"] * 16) + b"\n,," + b" ".join([b"0"] * 16) + b"\n",
    "labelme": json.dumps({"imagePath": "a.jpg", "imageHeight": 9, "imageWidth": 9, "shapes": [POINT]}).encode(),
    "wflw": (" ".join(["12.5"] * 196) + " 10 20 110 130 1 0 0 0 1 0 a/b.jpg\n").encode() * 2,
    "yolo": b"path: .\ntrain: images\nkpt_shape: [3, 3]\nflip_idx: [1, 0, 2]\nnames: {0: face}\nkpt_names: {0: [a, b, c]}\n",
}  # fmt: skip


def image_seeds(folder: Path) -> list[bytes]:
    pixels = np.random.default_rng(3).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    deep = pixels[..., 0].astype(np.uint16) * 257
    found = []
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM"):
        images = [Image.fromarray(pixels), Image.fromarray(pixels[..., 0])]
        if name in ("PNG", "TIFF"):
            images += [Image.fromarray(deep), Image.fromarray(pixels).convert("RGBA")]
        for image in images:
            stream = io.BytesIO()
            image.save(stream, name, exif=exif)
            found.append(stream.getvalue())
    return found


def use_image(path: Path) -> None:
    height, width = image_size(path)
    assert min(height, width) > 0
    for upright in (False, True):
        image = read_image(path, upright=upright)
        assert image.dtype == np.uint8
        assert sorted(image.shape) == sorted((height, width, 3))
    assert np.isfinite(exif_transform(path)).all()
    assert count_pages(path) > 0


SMALL: dict[str, Any] = dict(
    input_size=[32, 32], in_channels=1, widths=[16, 16], blocks=[1, 1], head_width=16, margin=1
)


def small(count: int = 68) -> HeatmapNet:
    return HeatmapNet(num_keypoints=count, **SMALL)


def checkpoint(count: int = 68, written_as: int = FORMAT) -> dict[str, Any]:
    network = small(count)
    return {
        "state_dict": {f"network.{name}": value for name, value in network.state_dict().items()},
        "facekp": {
            "format": written_as,
            "scheme": IBUG68.to_dict(),
            "points": list(range(count)),
            "box_source": "dlib",
            "box_prior": [-0.1, -0.2, 1.1, 1.0],
            "mean_shape": np.linspace(0.1, 0.9, 2 * count).reshape(count, 2).tolist(),
            "crop": {"size": [32, 32], "channels": 1, "box_scale": 1.2, "square": True},
            "config": {
                "name": "small",
                "model": {"_target_": "facekp.models.heatmap.HeatmapNet", **SMALL},
                "dataset": {"_target_": "facekp.data.ibug.IBUGDataModule"},
            },
        },
    }


def checkpoint_seeds(folder: Path) -> list[bytes]:
    torch.save(checkpoint(), folder / "a.ckpt")
    torch.save(checkpoint(count=5, written_as=3), folder / "b.ckpt")
    return [(folder / "a.ckpt").read_bytes(), (folder / "b.ckpt").read_bytes()]


def use_network(path: Path) -> None:
    predictor = Predictor.load(path)
    (points,) = predictor.predict_boxes([FACE])
    sane(points, len(predictor.points))
    if path.suffix == ".ckpt":
        load_matching_weights(small(len(predictor.points)), str(path))


def onnx_seeds(folder: Path) -> list[bytes]:
    torch.save(checkpoint(), folder / "a.ckpt")
    return [export(str(folder / "a.ckpt"), str(folder)).read_bytes()]


TARGETS = {
    "asf": Target(0.25, ".asf", asf_seeds, use_asf, (*NUMBERS, *PLACES, b"#", b"58", b"\n")),
    "pts": Target(0.2, ".pts", pts_seeds, use_pts, (*NUMBERS, b"{", b"}", b"n_points:", b"\n")),
    "xml": Target(
        0.25, ".xml", xml_seeds, use_xml,
        (
            *NUMBERS, *PLACES, b"<part name='0' x='1' y='2'/>", b"<box>", b"</box>", b"<image file='a'>",
            b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"&#0;", b"<a>" * 50, b" ignore='1'", b"<![CDATA[",
            b"encoding='utf-16'", b"encoding='x'",
        ),
    ),
    "corrected csv": Target(0.05, ".csv", corrected_seeds, use_corrected, (*NUMBERS, b'"', b",", b"\r", b"\xff")),
    "boxes csv": Target(0.15, ".csv", csv_seeds, use_csv, (*NUMBERS, *PLACES, b'"', b",", b"\r", b"\xff")),
    "points csv": format_target(0.1, "csv", ".csv", (b'"', b",", b";", b"\r", b"\xff", b"\xff\xfe")),
    "coco": format_target(0.1, "coco", ".json", (b"{", b"[", b"null", b"NaN", b"true", b'"id"', b"1" * 5000)),
    "dlib parts": format_target(0.05, "dlib", ".xml", (b"<part name='a' x='1' y='2'/>", b"<box>", b"&b;")),
    "deeplabcut": format_target(0.04, "deeplabcut", ".csv", (b"coords", b"individuals", b",", b"\n")),
    "kaggle": format_target(0.04, "kaggle", ".csv", (b"Image", b" ", b",", b"\n")),
    "labelme": format_target(0.05, "labelme", ".json", (b"{", b"[", b"null", b"NaN", b"rectangle")),
    "wflw": format_target(0.03, "wflw", ".txt", (b" ", b"\n")),
    "yolo": format_target(0.05, "yolo", ".yaml", (b"[", b"{", b"- ", b"&a", b"*a", b"!!python/object:os.system")),
    "image": Target(0.06, ".png", image_seeds, use_image, (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff")),
    "checkpoint": Target(
        0.02, ".ckpt", checkpoint_seeds, use_network,
        (b"cposix\nsystem\n", b"PK\x03\x04", b"PK\x05\x06", b"R", b"c__builtin__\neval\n", b"\xff" * 8, b"."),
    ),
    "description": Target(0.01, ".ckpt", checkpoint_seeds, use_network, described=True),
    "onnx": Target(0.01, ".onnx", onnx_seeds, use_network, (b"\xff" * 8, b"/etc/passwd", b"Conv", b"nan")),
}  # fmt: skip


def edits(words: tuple[bytes, ...]) -> st.SearchStrategy:
    """Up to six changes: where (a share of the file), what to do, what with."""
    pieces = st.binary(max_size=6)
    if words:
        pieces |= st.sampled_from(words)
    what = st.sampled_from(["insert", "replace", "cut", "repeat", "end"])
    return st.lists(
        st.tuples(st.integers(0, 2**20), what, pieces, st.integers(1, 64)), min_size=1, max_size=6
    )


def mutated(content: bytes, changes: list[tuple[int, str, bytes, int]]) -> bytes:
    for at, what, piece, length in changes:
        at = at % (len(content) + 1)
        if what == "insert":
            content = content[:at] + piece + content[at:]
        elif what == "replace":
            content = content[:at] + piece + content[at + len(piece) :]
        elif what == "cut":
            content = content[:at] + content[at + length :]
        elif what == "repeat":
            content = content[:at] + content[at : at + length] * 20 + content[at + length :]
        else:
            content = content[:at]
    return content


ODD: list[Any] = [
    None, True, -1, 0, 1, 10**9, 2**70, 0.5, float("nan"), float("inf"), "", "a", "os.system",
    "facekp.models.resnet.ResNet18", "facekp.inference.predictor.Predictor", [], {}, [0], [10**9] * 2, [[1]] * 3,
    {"_target_": "os.system", "command": "true"}, "imm58", torch.zeros(1), torch.zeros(1).expand(2**40),
]  # fmt: skip


def descriptions() -> st.SearchStrategy:
    """One to three entries of a checkpoint, by the way to them, and what stands there instead."""
    way = st.lists(st.integers(0, 100), min_size=1, max_size=6)
    return st.lists(st.tuples(way, st.sampled_from(ODD)), min_size=1, max_size=3)


def described(content: bytes, changes: list[tuple[list[int], Any]]) -> bytes:
    state = torch.load(io.BytesIO(content), weights_only=True)
    for way, value in changes:
        node: Any = state
        for step in way:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            owner, key = node, keys[step % len(keys)]
            node = owner[key]
            if not isinstance(node, dict | list) or not node:
                break
        owner[key] = value
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


class TooLateError(BaseException):
    """Nothing takes it for a broken file."""


@contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    def late(*_: object) -> None:
        raise TooLateError(f"takes more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def megabytes(entry: str) -> float:
    """`VmRSS` (now) or `VmHWM` (the most so far) of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(entry))


def own_error(error: FacekpError, path: Path) -> None:
    """The error says where: the file, or what in a checkpoint's configuration."""
    assert "\n" not in str(error)
    assert isinstance(error, ConfigError) or path.name in str(error)


@pytest.fixture(scope="module")
def table(pytestconfig: pytest.Config) -> Iterator[list[dict[str, Any]]]:
    """Rows of what was tried; printed and kept where it was much."""
    rows: list[dict[str, Any]] = []
    yield rows
    if pytestconfig.getoption("inputs") >= 10_000:
        frame = pd.DataFrame(rows)
        Path("runs").mkdir(exist_ok=True)
        frame.to_csv("runs/fuzz.csv", index=False)
        print("\n" + frame.to_string(index=False) + "\nkept in runs/fuzz.csv")


@pytest.mark.filterwarnings("ignore")  # Pillow's, of what it passes over
@pytest.mark.parametrize("name", TARGETS)
def test_mutated_files(
    name: str, tmp_path: Path, pytestconfig: pytest.Config, table: list[dict[str, Any]]
) -> None:
    inputs = pytestconfig.getoption("inputs")
    target = TARGETS[name]
    seeds = target.seeds(tmp_path)
    path = tmp_path / f"mutated{target.ending}"
    counts = {"valid": 0, "refused": 0}
    slowest = 0.0

    def attack(content: bytes) -> None:
        nonlocal slowest
        path.write_bytes(content)
        begin = process_time()
        with no_longer_than(10 * LONGEST):
            try:
                target.use(path)
                counts["valid"] += 1
            except FacekpError as error:
                own_error(error, path)
                counts["refused"] += 1
        slowest = max(slowest, process_time() - begin)

    for content in seeds:  # what a first use loads is no growth
        path.write_bytes(content)
        target.use(path)
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far was other tests'
    before = megabytes("VmRSS")
    todo = max(10, round(inputs * target.share))
    for start in range(0, todo, ROUND):
        several = settings(
            max_examples=min(ROUND, todo - start),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        several(seed(start)(given(content=target.inputs(seeds))(attack)))()
    grown = megabytes("VmHWM") - before
    table.append(
        {
            "kind": name,
            "inputs": sum(counts.values()),
            **counts,
            "slowest s": round(slowest, 3),
            "grown MB": round(grown),
        }
    )
    assert slowest < LONGEST
    assert grown < MOST
