"""Using a trained network: boxes, photos, the competition's file, evaluation, export."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from facekp.core.description import NetworkDescription
from facekp.core.errors import ConfigError, DataError, FacekpError
from facekp.core.geometry import (
    apply_box_prior,
    bounding_box,
    image_box,
    normalize_points,
    relative_box,
    transform_points,
)
from facekp.core.image import read_image
from facekp.core.landmarks import IBUG68, IMM58
from facekp.data.ibug import IBUGDataModule, read_ibug
from facekp.data.synthetic import draw_ibug_face
from facekp.inference.detectors import CenterFaceDetector, Detector, DlibDetector, WholeImage
from facekp.inference.predictor import Predictor
from facekp.models.checkpoint import load_network
from facekp.tasks.common import read_annotations
from facekp.tasks.evaluate import evaluate
from facekp.tasks.export import compare, export
from facekp.tasks.kaggle import kaggle, submission
from facekp.tasks.predict import predict

from .conftest import ROOT, composed


def oracle(
    description: NetworkDescription, truth: Callable[[], np.ndarray], **settings: Any
) -> Predictor:
    """A predictor whose network knows the answer: normalised points (B, K, 2)."""
    return Predictor(lambda crops: truth(), description, **settings)


@pytest.fixture
def description(checkpoints: dict[str, Path]) -> NetworkDescription:
    return load_network(checkpoints["ibug"])[1]


def test_known_points_come_out_of_the_competition_file(
    description: NetworkDescription, ibug_data: Path, tmp_path: Path
) -> None:
    records = read_ibug(ibug_data / IBUGDataModule.info.folder_name / "labels_ibug_300W_test.xml")
    boxes = [record.bbox for record in records]
    boxes[0] = boxes[0] - 200.0  # far out of the image
    predictor = oracle(description, lambda: truth, batch_size=len(records))
    size = predictor.crop.size
    truth = np.stack(
        [
            normalize_points(transform_points(predictor.crop.transform(box), r.keypoints), size)
            for r, box in zip(records, boxes, strict=True)
        ]
    )
    faces = ((r.load(3), box) for r, box in zip(records, boxes, strict=True))
    submission(np.stack(predictor.predict_boxes(faces))).to_csv(tmp_path / "s.csv", index=False)
    read = pd.read_csv(tmp_path / "s.csv")
    assert list(read.columns) == ["Id", "Predicted"]
    assert list(read["Id"]) == list(range(136 * len(records)))
    points = read["Predicted"].to_numpy().reshape(-1, 68, 2)
    np.testing.assert_allclose(points, [r.keypoints for r in records], atol=1e-3)


def test_later_looks_are_framed_by_the_points(description: NetworkDescription) -> None:
    # A photo that tells where each pixel is, and a network that knows where the points are.
    rows, columns = np.indices((250, 250), dtype=np.uint8)
    photo = np.stack([columns, rows, np.zeros_like(rows)], axis=-1)
    _, points, _ = draw_ibug_face(0, 0)
    points = 60 + 100 * normalize_points(points - points.min(0), np.ptp(points, axis=0)[::-1])
    description = replace(
        description,
        crop=replace(description.crop, channels=3, size=(64, 64), box_scale=1.2),
        box_prior=relative_box(bounding_box(points) + (-10, -10, 10, 10), bounding_box(points)),
    )
    seen, turns = [], []

    def forward(views: np.ndarray) -> np.ndarray:
        inner = views[:, :2, 16:48:31, 16:48:31].astype(float)  # pixels 16 and 47 of both axes
        corner, right, below = inner[..., 0, 0], inner[..., 0, 1], inner[..., 1, 0]
        axes = np.stack([right - corner, below - corner], axis=-1) / 31  # of the view, in the photo
        seen.append((right + below) / 2)
        turns.append(np.degrees(np.arctan2(axes[:, 1, 0], axes[:, 0, 0])))
        there = np.linalg.solve(axes[:, None], (points - corner[:, None])[..., None])[..., 0]
        return (there + 16.5) / 64

    off = bounding_box(points) + (25, 5, 40, 30)
    predictor = Predictor(forward, description, tta_passes=6)
    (found,) = predictor.predict_boxes([(photo, off)])
    np.testing.assert_allclose(found, points, atol=2)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    assert [len(centres) for centres in seen] == [1] * 6
    assert np.abs(seen[0] - middle).max() > 20
    np.testing.assert_allclose(seen[1:], [[middle]] * 5, atol=2)
    np.testing.assert_allclose(np.abs(np.ravel(turns)), [0, 0, 8, 8, 16, 16], atol=1)
    assert turns[2] * turns[3] < 0 > turns[4] * turns[5]


def test_points_that_frame_nothing(
    checkpoints: dict[str, Path], description: NetworkDescription
) -> None:
    with pytest.raises(ConfigError, match="tta_passes=2: the network's points do not determine"):
        Predictor.load(checkpoints["imm"], tta_passes=2)
    # Points that have run together keep the box that was given.
    predictor = Predictor(lambda views: np.full((1, 68, 2), 0.5), description, tta_passes=3)
    (found,) = predictor.predict_boxes(
        [(np.zeros((90, 90, 3), np.uint8), np.array([9.5, 9.5, 49.5, 49.5]))]
    )
    np.testing.assert_allclose(found, 29.5)


def test_competition_file_of_a_checkpoint(
    checkpoints: dict[str, Path], ibug_data: Path, tmp_path: Path
) -> None:
    def run(name: str) -> Path:
        predictor = Predictor.load(checkpoints[name], batch_size=4)
        return kaggle(predictor, str(ibug_data), str(tmp_path))

    path = run("ibug")
    assert len(pd.read_csv(path)) == 136 * 6
    with pytest.raises(ConfigError, match="all 68 points"):
        run("imm")
    with pytest.raises(ConfigError, match="split=dlib has a test half"):
        run("300w")


def test_boxes_are_framed_as_in_training(checkpoints: dict[str, Path], imm_data: Path) -> None:
    imm = Predictor.load(checkpoints["imm"], WholeImage)
    whole = image_box((480, 640))
    np.testing.assert_array_equal(imm.training_box(whole, "image"), whole)
    # a face box on an IMM photo is framed about as IMM frames the face: the whole photo
    from facekp.data.imm import read_imm

    class Perfect(Detector):
        name = "points"

        def __call__(self, image: np.ndarray) -> Any:
            raise AssertionError

    imm = Predictor.load(checkpoints["imm"], Perfect)
    assert imm.detector.name == "points"
    for record in read_imm(imm_data / "imm_face_db"):
        framed = imm.training_box(bounding_box(record.keypoints), "points")
        assert np.abs(framed - whole).max() < 130
    ibug = Predictor.load(checkpoints["ibug"], WholeImage)
    box = np.array([-20.0, 5, 90, 120])
    np.testing.assert_array_equal(ibug.training_box(box, "dlib"), box)


def test_relative_boxes_are_inverse() -> None:
    box, reference = np.array([3.0, -4, 50, 61]), np.array([10.0, 20, 33, 40])
    np.testing.assert_allclose(apply_box_prior(reference, relative_box(box, reference)), box)


def test_mirror_averaging_swaps_sides(description: NetworkDescription) -> None:
    """A network that finds the brightest column of each point's side is the same mirrored."""
    truth = np.random.default_rng(0).uniform(0.2, 0.8, (1, 68, 2))
    flipped = (truth * (-1, 1) + (1, 0))[:, IBUG68.flip_indices]

    def forward(views: np.ndarray) -> np.ndarray:
        return truth if views[0, 0, 0, 0] else flipped

    views = np.zeros((1, 1, 64, 64), np.uint8)
    views[..., 0] = 255
    predictor = Predictor(forward, description, flip_test=True)
    np.testing.assert_allclose(predictor.predict_crops(views), truth)


def test_one_odd_photo_takes_no_other_along(
    checkpoints: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for name in ("a", "c"):
        Image.fromarray(draw_ibug_face(1, 0)[0]).save(tmp_path / f"{name}.jpg")

    class Fragile(WholeImage):
        def __call__(self, image: np.ndarray) -> Any:
            if image.shape[0] == 5:
                raise RuntimeError("a library's own trouble")
            return super().__call__(image)

    Image.new("RGB", (20000, 5)).save(tmp_path / "b.png")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FacekpError, match=r"1 of 3 files skipped: .*b\.png.*own trouble"):
        run_photos(checkpoints["ibug"], tmp_path / "out", str(tmp_path), detector=Fragile)
    table = pd.read_csv(tmp_path / "out/predictions.csv")
    assert [Path(file).name for file in table["file"]] == ["a.jpg", "c.jpg"]
    assert list(table["picture"]) == ["a.png", "c.png"]
    assert "1 files are no photos or videos by name: ['notes.txt']" in capsys.readouterr().out


def test_a_detector_that_cannot_be_had_is_said_once(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    Image.fromarray(draw_ibug_face(1, 0)[0]).save(tmp_path / "a.jpg")
    with pytest.raises(ConfigError, match=r"^detector\.model is missing"):
        run_photos(
            checkpoints["ibug"], tmp_path / "out", str(tmp_path), detector=CenterFaceDetector
        )


def test_a_long_thin_photo_has_no_face() -> None:
    pytest.importorskip("dlib")
    assert len(DlibDetector()(np.zeros((5, 20000, 3), np.uint8))[0]) == 0


def test_predictions_are_boxes_of_the_same_faces(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    for number in range(2):
        Image.fromarray(draw_ibug_face(number, 0)[0]).save(tmp_path / f"{number}.png")
    for network in ("imm", "ibug"):
        first = run_photos(checkpoints[network], tmp_path / f"{network}1", str(tmp_path / "*.png"))
        boxes = str(tmp_path / f"{network}1/predictions.csv")
        again = run_photos(
            checkpoints[network], tmp_path / f"{network}2", str(tmp_path / "*.png"), boxes=boxes
        )
        points = first.filter(regex="^[xy][0-9]").columns
        np.testing.assert_allclose(first[points], again[points], atol=2e-3)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[5, 5, 5, 9]], "not \\(N, 4\\)"),
        ([[9, 9, 5, 5]], "not \\(N, 4\\)"),
        ([[0, 0, float("nan"), 5]], "not \\(N, 4\\)"),
        ([[-1e12, 0, 1e12, 5]], "not \\(N, 4\\)"),
        ([[0, 0, 5]], "not \\(N, 4\\)"),
        ("box", "not \\(N, 4\\)"),
        ([[500, 500, 510, 510]], "lies outside the photo"),
    ],
)
def test_wrong_boxes_are_refused(checkpoints: dict[str, Path], boxes: Any, message: str) -> None:
    predictor = Predictor.load(checkpoints["ibug"])
    with pytest.raises(FacekpError, match=message):
        predictor(np.zeros((40, 40, 3), np.uint8), boxes=boxes)
    (face,) = predictor(np.zeros((40, 40, 3), np.uint8), boxes=np.array([5, 5, 20, 20]))
    assert face.score == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(flip_test="maybe"), "flip_test=maybe"),
        (dict(tta_passes=0), "tta_passes=0"),
        (dict(batch_size=0), "batch_size=0"),
        (dict(batch_size="abc"), "batch_size=abc"),
        (dict(device="nowhere"), "device=nowhere"),
    ],
)
def test_wrong_settings_of_a_predictor(
    checkpoints: dict[str, Path], settings: dict, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Predictor.load(checkpoints["ibug"], **settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c["facekp"]["crop"].update(size=[0, 0]),
            r"a\.ckpt: its description is not valid: crop",
        ),
        (
            lambda c: c["facekp"]["crop"].update(size=[32, 32]),
            r"a crop of \[32, 32\] for an input of",
        ),
        (lambda c: c["facekp"]["crop"].update(box_scale=0), r"a\.ckpt: its description is not"),
        (lambda c: c["facekp"]["crop"].update(channels=3), "other channels"),
        (lambda c: c["facekp"].update(points=[*range(67), 99]), "description is not valid"),
        (lambda c: c["facekp"].pop("box_prior"), "box_prior is missing"),
        (lambda c: c["facekp"].update(format=99), "format 99 is newer than this"),
        (lambda c: c["facekp"]["scheme"].update(count=10**9), "a scheme of 1000000000 points"),
        (lambda c: c["facekp"]["scheme"]["flip_pairs"].append([0, 5]), "flip pairs"),
        (lambda c: c["state_dict"]["network.head.0.weight"].fill_(float("nan")), "not numbers"),
        (
            lambda c: c["state_dict"]["network.head.0.weight"].fill_(1e38),
            "output is not the points",
        ),
        (lambda c: c["facekp"].update(crop=torch.zeros(1).expand(2**40)), "not one of facekp"),
        (lambda c: c["facekp"].update(more=without_end()), "not one of facekp"),
        (lambda c: larger_than_the_file(c), "more weights than the file holds"),
        (lambda c: model_of(c).update(input_size=[16000, 16000]), "an input of .16000, 16000."),
        (lambda c: model_of(c).update(channels=[1] * 50_000), "more than 64 layers"),
        (lambda c: c["state_dict"].update({"network.a": torch.zeros(2).to_sparse()}), "not one of"),
    ],
)
def test_broken_descriptions_are_refused(
    checkpoints: dict[str, Path], tmp_path: Path, change: Callable, message: str
) -> None:
    state = torch.load(checkpoints["ibug"], weights_only=True)
    change(state)
    torch.save(state, tmp_path / "a.ckpt")
    face = (np.zeros((64, 64, 3), dtype=np.uint8), np.array([8.0, 8, 56, 56]))
    with pytest.raises(FacekpError, match=message):
        Predictor.load(tmp_path / "a.ckpt").predict_boxes([face])


def model_of(state: dict) -> dict:
    return state["facekp"]["config"]["model"]


def without_end() -> list:
    inner: list = []
    inner.append(inner)
    return inner


def larger_than_the_file(state: dict) -> None:
    """A network of gigabytes, of whose weights the file has one number."""
    wide, weights = 2**17, state["state_dict"]
    state["facekp"]["config"]["model"]["hidden"] = [wide]
    for name, axis in (("0.weight", 0), ("0.bias", 0), ("1.weight", 1)):
        shape = list(weights[f"network.head.{name}"].shape)
        shape[axis] = wide
        weights[f"network.head.{name}"] = torch.zeros(1).expand(shape)


def of_points(description: NetworkDescription, points: list[int]) -> NetworkDescription:
    return replace(description, points=tuple(points), mean_shape=description.mean_shape[points])


def test_mirror_needs_partners(description: NetworkDescription) -> None:
    with pytest.raises(ConfigError, match="both points of a pair"):
        Predictor(lambda v: v, of_points(description, [36, 37]), flip_test=True)
    Predictor(lambda v: v, of_points(description, [36, 45, 30]), flip_test=True)


def test_predictor_takes_paths_arrays_and_lists(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    picture, _, box = draw_ibug_face(2, 0)
    Image.fromarray(picture).save(tmp_path / "a.png")
    predictor = Predictor.load(checkpoints["ibug"])
    given = np.array([[*box[:2], *(box[:2] + box[2:])]])
    (one,) = predictor(picture, given)
    (same,) = predictor(tmp_path / "a.png", given)
    two = predictor([picture, tmp_path / "a.png"], [np.repeat(given, 3, 0), given[:0]])
    np.testing.assert_array_equal(one.keypoints, same.keypoints)
    np.testing.assert_allclose(one.keypoints, two[0][2].keypoints, atol=1e-3)
    assert [len(faces) for faces in two] == [3, 0]
    assert one.keypoints.shape == (68, 2)
    np.testing.assert_array_equal(one.bbox, given[0])
    grey = predictor(picture[..., 0], given)
    assert len(grey) == 1
    with pytest.raises(DataError, match="is not a photo"):
        predictor(picture.astype(float))


def run_photos(checkpoint: Path, output: Path, input: Any, **changes: Any) -> pd.DataFrame:  # noqa: A002
    output.mkdir(exist_ok=True)
    boxes, detector = changes.get("boxes"), changes.get("detector", WholeImage)
    predictor = Predictor.load(checkpoint, detector, batch_size=8)
    predict(predictor, input, boxes, str(output))
    return pd.read_csv(output / "predictions.csv")


def test_every_kind_of_photo(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    picture, _, _ = draw_ibug_face(1, 0)
    folder = tmp_path / "in"
    folder.mkdir()
    image = Image.fromarray(picture)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.jpg", exif=exif, quality=98)
    image.save(folder / "plain.jpg", quality=98)
    image.convert("L").save(folder / "grey.png")
    image.convert("RGBA").save(folder / "alpha.png")
    image.convert("CMYK").save(folder / "cmyk.jpg")
    deep = np.asarray(image.convert("L")).astype(np.uint16) * 257
    Image.fromarray(deep).save(folder / "deep.png")
    image.resize((4000, 4400)).save(folder / "large.jpg")
    image.resize((8, 9)).save(folder / "tiny.png")
    (folder / "notes.txt").write_text("no photo")
    table = run_photos(checkpoints["ibug"], tmp_path / "out", str(folder)).set_index("file")
    table.index = [Path(file).name for file in table.index]
    assert len(table) == 8
    columns = [f"{axis}{k}" for k in range(68) for axis in "xy"]
    plain = table.loc["plain.jpg", columns].to_numpy(float)
    turned = table.loc["turned.jpg", columns].to_numpy(float)
    np.testing.assert_allclose(turned, plain, atol=1.0)  # upright, in pixels as one sees them
    scale = np.tile([4000 / picture.shape[1], 4400 / picture.shape[0]], 68)
    np.testing.assert_allclose(
        table.loc["large.jpg", columns].to_numpy(float), plain * scale, atol=30
    )
    assert len(list((tmp_path / "out").glob("*.png"))) == 8


def test_broken_file_is_reported_and_the_rest_goes_on(
    checkpoints: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    picture, _, _ = draw_ibug_face(1, 0)
    for name in ("a.jpg", "c.jpg"):
        Image.fromarray(picture).save(tmp_path / name)
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:500])
    with pytest.raises(FacekpError, match=r"1 of 3 files skipped: .*b\.jpg"):
        run_photos(checkpoints["ibug"], tmp_path / "out", str(tmp_path / "*.jpg"))
    assert len(pd.read_csv(tmp_path / "out/predictions.csv")) == 2
    assert "skipped" in capsys.readouterr().out


def test_given_boxes_by_xml_and_csv(
    checkpoints: dict[str, Path], ibug_data: Path, tmp_path: Path
) -> None:
    folder = ibug_data / IBUGDataModule.info.folder_name
    record = read_ibug(folder / "labels_ibug_300W_test.xml")[0]
    (tmp_path / "b.csv").write_text(
        "file,left,top,right,bottom\n"
        + ",".join(map(str, [record.image.name, *record.bbox]))
        + "\n"
    )
    by_xml, by_csv = (
        run_photos(checkpoints["ibug"], tmp_path / f"out{n}", str(record.image), boxes=str(boxes))
        for n, boxes in enumerate((folder / "labels_ibug_300W_test.xml", tmp_path / "b.csv"))
    )
    assert len(by_xml) == 1
    pd.testing.assert_frame_equal(by_xml, by_csv)
    np.testing.assert_allclose(by_xml.iloc[0, 3:7].to_numpy(float), record.bbox, atol=1e-3)


def test_boxes_belong_to_the_photo_whose_path_they_end(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text(
        "file, left, top, right, bottom\n"
        "a\\x.jpg,0,0,1,1\n./q/../b/x.jpg,0,0,2,2\ny.jpg,0,0,3,3\nz.jpg,0,0,4,4\n"
    )
    boxes = read_annotations(str(tmp_path / "b.csv"))
    assert [
        boxes.boxes_for(tmp_path / name) is None for name in ("a/x.jpg", "c/x.jpg", "c/y.jpg")
    ] == [
        False,
        True,
        False,
    ]
    np.testing.assert_array_equal(boxes.boxes_for(tmp_path / "c/../b/x.jpg"), [[0, 0, 2, 2]])
    assert boxes.unused_files() == ["z.jpg"]


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_boxes_of_an_xml_turn_with_the_photo(tmp_path: Path, turn: int, ending: str) -> None:
    stored = np.zeros((48, 64, 3), np.uint8)
    stored[10:20, 30:34] = 255
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(stored).save(tmp_path / f"x.{ending}", exif=exif)
    # parts of any number, and an ignored box: imglab writes both
    (tmp_path / "b.xml").write_text(
        f"<dataset><images><image file='../elsewhere/x.{ending}'>"
        "<box left='1' top='1' width='4' height='10' ignore='1'/>"
        "<box left='30' top='10' width='4' height='10'><part name='nose' x='1' y='1'/></box>"
        "</image></images></dataset>"
    )
    (tmp_path / "elsewhere").mkdir()
    photo = (tmp_path / f"x.{ending}").rename(tmp_path / f"elsewhere/x.{ending}")
    ((left, top, right, bottom),) = read_annotations(str(tmp_path / "b.xml")).boxes_for(photo) + 0.5
    upright = read_image(photo, upright=True)[..., 0]
    inside = upright[int(top) : int(bottom), int(left) : int(right)]
    assert inside.size == 40
    assert inside.min() == 255


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,left,top,right\na.jpg,1,2,3\n", r"b\.csv:1: columns missing: bottom"),
        ("file,left,top,right,bottom\na.jpg,1,2,x,4\n", r"b\.csv:2: not a face"),
        ("file,left,top,right,bottom\na.jpg,1,2,3,4\na.jpg,1,2,nan,4\n", r"b\.csv:3: not a face"),
        ("file,left,top,right,bottom\na.jpg,5,2,3,4\n", r"b\.csv:2: not a face"),
        ("file,left,top,right,bottom\na.jpg,-1e12,2,1e12,4\n", r"b\.csv:2: not a face"),
        ("file,left,top,right,bottom\n ,1,2,3,4\n", r"b\.csv:2: .* no file is named"),
        ("file,frame,left,top,right,bottom\na.mp4,3,1,2,3,4\n", r"b\.csv:2: .* frame of a video"),
        (
            "file,left,top,right,bottom,box_source\na.jpg,1,2,3,4,dlib\nb.jpg,1,2,3,4,image\n",
            r"b\.csv: boxes of several sources in one file \(dlib, image\)",
        ),
    ],
)
def test_broken_boxes(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "b.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_annotations(str(tmp_path / "b.csv"))


def test_video(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    import cv2

    picture = cv2.resize(draw_ibug_face(1, 0)[0], (320, 352))
    clip = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"mp4v"), 10, (320, 352))
    for _ in range(5):
        writer.write(picture[..., ::-1])
    writer.release()
    table = run_photos(checkpoints["ibug"], tmp_path / "out", str(clip))
    assert list(table["frame"]) == [1, 2, 3, 4, 5]
    drawn = cv2.VideoCapture(str(tmp_path / "out/clip.mp4"))
    assert int(drawn.get(cv2.CAP_PROP_FRAME_COUNT)) == 5
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(FacekpError, match=r"broken\.mp4: not a video"):
        run_photos(checkpoints["ibug"], tmp_path / "out2", str(tmp_path / "broken.mp4"))


def test_boxes_are_not_forgotten_in_silence(
    checkpoints: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    boxes = tmp_path / "b.csv"
    boxes.write_text("file,left,top,right,bottom\nother.jpg,1,2,30,40\n")
    Image.fromarray(draw_ibug_face(1, 0)[0]).save(tmp_path / "a.jpg")
    run_photos(checkpoints["ibug"], tmp_path / "out", str(tmp_path / "a.jpg"), boxes=str(boxes))
    assert "a.jpg: not in" in capsys.readouterr().out
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(ConfigError, match="boxes are for photos"):
        run_photos(
            checkpoints["ibug"], tmp_path / "o", str(tmp_path / "clip.mp4"), boxes=str(boxes)
        )


def test_name_in_a_checkpoint_leads_nowhere(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    state = torch.load(checkpoints["imm"], weights_only=True)
    state["facekp"]["config"]["name"] = f"../{tmp_path.name}-evil"
    torch.save(state, tmp_path / "a.ckpt")
    (tmp_path / "out").mkdir()
    path = export(str(tmp_path / "a.ckpt"), str(tmp_path / "out"))
    assert path.parent == tmp_path / "out"


@pytest.mark.parametrize("given", [None, "nowhere/*.jpg", []])
def test_no_input_is_said(checkpoints: dict[str, Path], tmp_path: Path, given: Any) -> None:
    with pytest.raises(ConfigError, match="input="):
        run_photos(checkpoints["ibug"], tmp_path, given)


def run_evaluate(checkpoint: Path, data: Path, output: Path, **changes: Any) -> pd.DataFrame:
    settings: dict[str, Any] = dict(split=None, threshold=0.08)
    predictor = Predictor.load(checkpoint, batch_size=8)
    return evaluate(predictor, str(data), output=str(output), **settings | changes)


def test_evaluation_agrees_with_training(
    checkpoints: dict[str, Path], imm_data: Path, tmp_path: Path
) -> None:
    metrics = run_evaluate(checkpoints["imm"], imm_data, tmp_path)
    history = pd.read_csv(checkpoints["imm"].parent.parent / "metrics.csv").iloc[-1]
    network = metrics.set_index("predictor").loc["network"]
    assert network["mae_px"] == pytest.approx(history["val/mae_px"], rel=1e-4)
    assert network["nme_interocular"] == pytest.approx(history["val/nme_interocular"], rel=1e-4)
    errors = pd.read_csv(tmp_path / "errors.csv")
    assert len(errors) == 6
    assert errors["nme_interocular"].mean() == pytest.approx(network["nme_interocular"])
    assert {"nme_jaw", "nme_brows", "nme_eyes", "nme_nose", "nme_mouth"} <= set(errors.columns)
    curve = pd.read_csv(tmp_path / "curve.csv")
    assert curve["network"].is_monotonic_increasing
    assert (tmp_path / "curve.png").stat().st_size > 5000
    assert len(json.loads((tmp_path / "metrics.json").read_text())) == 2


def test_300w_figures_only_by_its_protocol(
    checkpoints: dict[str, Path], ibug_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    own = run_evaluate(checkpoints["300w"], ibug_data, tmp_path)
    assert set(own["faces"]) == {"300-W common", "300-W challenging", "300-W full"}
    other = run_evaluate(checkpoints["ibug"], ibug_data, tmp_path)
    assert set(other["faces"]) == {"val"}
    assert "these are not 300-W figures" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"task\.split=test"):
        run_evaluate(checkpoints["ibug"], ibug_data, tmp_path, split="test")


def test_export_agrees_and_photos_run_on_it(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    path = export(str(checkpoints["imm"]), str(tmp_path))
    assert compare(checkpoints["imm"], path) < 1e-4
    Image.fromarray(draw_ibug_face(1, 0)[0]).save(tmp_path / "a.jpg")
    a, b = (
        run_photos(checkpoint, tmp_path / f"out{n}", str(tmp_path / "a.jpg"))
        for n, checkpoint in enumerate((checkpoints["imm"], path))
    )
    pd.testing.assert_frame_equal(a, b, atol=0.05)


class Evil:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path("evil-was-here"),)


@pytest.mark.parametrize(
    "content", [b"", b"junk", pickle.dumps(Evil())], ids=["empty", "junk", "pickle"]
)
@pytest.mark.parametrize("name", ["a.ckpt", "a.onnx"])
def test_no_checkpoint_at_all(
    tmp_path: Path, content: bytes, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        Predictor.load(tmp_path / name)
    assert not (tmp_path / "evil-was-here").exists()


def test_hostile_onnx(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    whole = export(str(checkpoints["ibug"]), str(tmp_path / "whole"))
    path = tmp_path / "a.onnx"
    face = (np.zeros((64, 64, 3), dtype=np.uint8), np.array([8.0, 8, 56, 56]))

    def refused(change: Callable[[Any, dict], object]) -> str:
        model = onnx.load(whole)
        (entry,) = model.metadata_props
        description = json.loads(entry.value)
        change(model, description)
        entry.value = json.dumps(description)
        path.write_bytes(model.SerializeToString())
        with pytest.raises(FacekpError) as error:
            Predictor.load(path).predict_boxes([face])
        return str(error.value)

    def outside(model: Any, _: dict) -> None:
        tensor = next(t for t in model.graph.initializer if len(t.raw_data) > 64)
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../../../etc/passwd")

    assert "not a network that facekp exported" in refused(outside)
    assert "not a network" in refused(lambda m, _: m.metadata_props.pop())
    assert "not a network" in refused(lambda m, _: m.graph.node[0].ClearField("op_type"))
    assert "not valid" in refused(lambda _, d: d["crop"].update(size=[10**6, 10**6]))
    assert "not valid" in refused(lambda _, d: d["crop"].update(box_scale=1e12))
    assert "not valid" in refused(lambda _, d: d.update(scheme=IMM58.to_dict()))
    assert "does not run" in refused(lambda _, d: d["crop"].update(size=[32, 32]))
    fewer = {"points": list(range(60)), "mean_shape": [[0.5, 0.5]] * 60}
    assert "output is not the points" in refused(lambda _, d: d.update(fewer))


def test_checkpoints_of_others_are_refused(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    with pytest.raises(DataError, match="no such checkpoint"):
        Predictor.load(path)
    torch.save({"state_dict": {}}, path)
    with pytest.raises(DataError, match="not one of facekp"):
        Predictor.load(path)
    good = torch.load(checkpoints["imm"], weights_only=True)
    whole = checkpoints["imm"].read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="broken"):
        Predictor.load(path)
    torch.save({**good, "evil": Evil()}, path)
    with pytest.raises(DataError, match="not a checkpoint"):
        Predictor.load(path)
    good["facekp"]["config"]["model"]["_target_"] = "os.system"
    torch.save(good, path)
    with pytest.raises(ConfigError, match="builds only facekp's own classes"):
        Predictor.load(path)
    good["facekp"]["config"]["model"] = OmegaConf.to_container(composed("model=nose_net").model)
    torch.save(good, path)
    with pytest.raises(DataError, match="do not match"):
        Predictor.load(path)


def test_centerface_needs_its_network(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"detector\.model is missing: give the centerface"):
        CenterFaceDetector()
    with pytest.raises(DataError, match=r"a\.onnx: no such file"):
        CenterFaceDetector(str(tmp_path / "a.onnx"))
    (tmp_path / "a.onnx").write_bytes(b"no network")
    with pytest.raises(DataError, match=r"a\.onnx: not an ONNX network"):
        CenterFaceDetector(str(tmp_path / "a.onnx"))


def test_dlib_finds_a_drawn_face() -> None:
    pytest.importorskip("dlib")
    from hydra.utils import instantiate

    detector = instantiate(OmegaConf.load(ROOT / "conf/detector/dlib.yaml"))()
    hits = 0
    for number in range(10):
        picture, points, _ = draw_ibug_face(number, 0)
        boxes, scores = detector(picture)
        assert boxes.shape == (len(scores), 4)
        nose = points[30]
        hits += any((box[:2] < nose).all() and (nose < box[2:]).all() for box in boxes)
    assert hits >= 5


def test_command_line(checkpoints: dict[str, Path], ibug_data: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "predict.py"),
        f"runs_dir={tmp_path}/runs",
        f"data_dir={ibug_data}",
    ]
    done = subprocess.run(
        [*command, "task=evaluate", f"ckpt_path={checkpoints['ibug']}"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("runs/evaluate/*/errors.csv"))) == 1
    done = subprocess.run(
        [*command, "task=kaggle", "ckpt_path=nowhere.ckpt"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert (
        done.stderr.strip().splitlines()[-1].startswith("error: nowhere.ckpt: no such checkpoint")
    )


def test_the_competition_gets_the_most_accurate_network_unless_asked() -> None:
    def chosen(*overrides: str) -> tuple[str, bool, int]:
        settings = composed(*overrides, of="predict").task.predictor
        return settings.path, settings.flip_test, settings.tta_passes

    assert chosen("task=kaggle") == ("ibug68_best", True, 6)
    assert chosen("task=kaggle", "ckpt_path=C", "tta_passes=1") == ("C", True, 1)
    assert chosen("task=evaluate") == chosen() == ("ibug68", False, 1)


def test_using_a_network_needs_no_lightning() -> None:
    code = (
        "import sys, facekp.inference.predictor; "
        "print({'torch', 'pytorch_lightning', 'albumentations', 'torchvision'} & {*sys.modules})"
    )
    run = [sys.executable, "-c", code]
    assert subprocess.run(run, cwd=ROOT, capture_output=True, text=True).stdout == "set()\n"
