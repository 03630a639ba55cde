"""Drawn faces in the official file formats, read by the same readers as the real ones.

They need no download and no licence, and are the same for the same seed. The quick start, the tests
and the benchmarks use them. Figures on them say nothing about real data.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from rich.progress import track

from facekp.core.errors import ConfigError
from facekp.core.files import atomic_folder
from facekp.core.geometry import Size
from facekp.core.landmarks import IBUG68, IMM58
from facekp.data.datamodule import default_cache_dir
from facekp.data.drawing.face3d import Camera, make_face
from facekp.data.drawing.painter import Painter, add_camera_effects, background, make_appearance
from facekp.data.formats.asf import write_asf
from facekp.data.formats.dlib_xml import XmlWriter
from facekp.data.ibug import IBUGDataModule
from facekp.data.imm import IMMDataModule
from facekp.data.registry import IBUG_TEST_XMLS, IBUG_TRAIN_XML

_VERSION = 1  # of the drawings; a change leads to new folders
MAX_COUNT = 20_000
"""Of people or photos."""

_IMM_SIZE: Size = (480, 640)
_IMM_YAWS = (0.0, 0.0, -30.0, 30.0, 0.0, 0.0)


def draw_imm_face(person: int, view: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A face as IMM photographs it.

    Args:
        person: decides proportions and appearance.
        view: 1 to 6, as in IMM.
        seed: of the whole data set.

    Returns:
        (480, 640, 3) uint8 RGB and its 58 points (58, 2) in pixels.
    """
    who = np.random.default_rng((seed, person))
    now = np.random.default_rng((seed, person, view))
    face = make_face(who, now, expression=1.0 if view in (2, 6) else 0.15)
    appearance = make_appearance(who)
    camera = Camera(
        yaw=_IMM_YAWS[view - 1] + now.normal(0, 4),
        pitch=now.normal(0, 4),
        roll=now.normal(0, 3),
        centre=np.array([325.0, 235.0]) + now.normal(0, 14, 2),
        scale=now.normal(130, 6),
    )
    canvas = background(now, _IMM_SIZE, busy=False)
    painter = Painter(canvas)
    painter.face(face, appearance, camera, now)
    picture = add_camera_effects(canvas, now, harsh=0.5 if view == 5 else 0.15)
    if person in (2, 3, 4):  # photographed in grey, as in IMM
        picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return picture, camera.project(face.imm58())


def draw_ibug_face(number: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A face in the wild.

    Args:
        number: of the photo.
        seed: of the whole data set.

    Returns:
        (H, W, 3) uint8 RGB, its 68 points (68, 2) in pixels, and a box (left, top, width, height)
        in whole pixels as a detector gives it: square, a little off, sometimes beyond the image.
    """
    rng = np.random.default_rng((seed, 68, number))
    face, appearance = make_face(rng, rng), make_appearance(rng)
    scale = rng.uniform(70, 130)
    size = (int(scale * rng.uniform(3.2, 4.4)), int(scale * rng.uniform(3.2, 4.4)))
    camera = Camera(
        yaw=float(np.clip(rng.normal(0, 17), -40, 40)),
        pitch=float(np.clip(rng.normal(0, 9), -22, 22)),
        roll=float(rng.normal(0, 9)),
        centre=np.array([size[1] / 2, size[0] * 0.42]) + rng.normal(0, 0.16 * scale, 2),
        scale=scale,
        distance=rng.uniform(5, 12),
    )
    canvas = background(rng, size, busy=True)
    painter = Painter(canvas)
    painter.face(face, appearance, camera, rng)
    if rng.random() < 0.25:
        painter.occlude(face, camera, rng)
    picture = add_camera_effects(canvas, rng, harsh=rng.uniform(0, 1))
    points = camera.project(face.ibug68())
    low, high = points.min(axis=0), points.max(axis=0)
    side = round(float((high - low).max()) * rng.uniform(0.95, 1.15))
    corner = np.round((low + high) / 2 - side / 2 + rng.normal(0, 0.03 * side, 2))
    return picture, points, np.array([*corner, side, side])


def write_synthetic_imm(folder: Path, people: Iterable[int], seed: int) -> None:
    """Fill `folder` with 6 views of each of the numbered people, in the layout of IMM's archive."""
    jobs = [(person, view) for person in people for view in range(1, 7)]
    _in_parallel(partial(_write_imm_face, folder, seed), jobs, "drawing faces")


def _write_imm_face(folder: Path, seed: int, job: tuple[int, int]) -> None:
    person, view = job
    picture, points = draw_imm_face(person, view, seed)
    sex = "m" if person % 5 else "f"
    stem = folder / f"{person:02d}-{view}{sex}"
    Image.fromarray(picture).save(stem.with_suffix(".jpg"), quality=92)
    paths = [(chain, name in IMM58.closed) for name, chain in IMM58.parts.items()]
    write_asf(stem.with_suffix(".asf"), points, _IMM_SIZE, f"{stem.name}.jpg", paths)


_IBUG_FOLDERS = ("afw", "helen/trainset", "helen/testset", "lfpw/trainset", "lfpw/testset", "ibug")


def write_synthetic_ibug(folder: Path, count: int, seed: int) -> None:
    """Fill `folder` with `count` drawn photos and their twins, in the layout of dlib's archive.

    Every eighth photo goes to the test XML, with points; the `_parsed` copy of it has none.
    """
    jobs = []
    for number in range(count):
        where = _IBUG_FOLDERS[number % len(_IBUG_FOLDERS)]
        stem = f"{number + 1000}_1" if where.startswith(("afw", "helen")) else f"image_{number:05d}"
        jobs.append((number, f"{where}/{stem}.jpg"))
    for name in _IBUG_FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    drawn = _in_parallel(partial(_write_ibug_face, folder, seed), jobs, "drawing faces")
    train, test, parsed = (XmlWriter("drawn faces") for _ in range(3))
    for (number, file), (size, box, points) in zip(jobs, drawn, strict=True):
        twin_file = file.replace(".jpg", "_mirror.jpg")
        flip = np.array([size[1] - 1.0, 0.0])
        twin = (points * (-1, 1) + flip)[IBUG68.flip_indices]
        twin_box = np.array([size[1] - box[0] - box[2], *box[1:]])
        for name, ltwh, keypoints in ((file, box, points), (twin_file, twin_box, twin)):
            if number % 8 == 7:
                test.add(name, ltwh, keypoints)
                parsed.add(name, ltwh, None)
            else:
                train.add(name, ltwh, keypoints)
    for writer, name in zip((train, test, parsed), (IBUG_TRAIN_XML, *IBUG_TEST_XMLS), strict=True):
        writer.write(folder / name)


def _write_ibug_face(
    folder: Path, seed: int, job: tuple[int, str]
) -> tuple[Size, np.ndarray, np.ndarray]:
    number, file = job
    picture, points, box = draw_ibug_face(number, seed)
    image = Image.fromarray(picture)
    image.save(folder / file, quality=90)
    twin = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    twin.save((folder / file).with_name(f"{Path(file).stem}_mirror.jpg"), quality=90)
    return picture.shape[:2], box, points


def _in_parallel(function: Callable, jobs: Sequence, description: str) -> list:
    workers = min(os.cpu_count() or 1, 1 + len(jobs) // 100)
    if workers == 1:
        return [function(job) for job in track(jobs, description, transient=True)]
    # A forked process inherits OpenCV's thread pool without its threads, and must not use it.
    with ProcessPoolExecutor(workers, initializer=cv2.setNumThreads, initargs=(0,)) as pool:
        results = pool.map(function, jobs, chunksize=8)
        return list(track(results, description, total=len(jobs), transient=True))


def draw_once(write: Callable[[Path], None], parent: Path, name: str) -> Path:
    """`parent`, once `name` in it has been written by `write`: completely, and by one job."""
    folder = parent / name
    if not folder.is_dir():
        with atomic_folder(folder) as scratch:
            write(scratch)
    return parent


def _drawn_dir(settings: dict[str, Any], name: str) -> Path:
    root = Path(settings.get("cache_dir") or default_cache_dir())
    return root / f"synthetic-{_VERSION}" / name


def _check_number(name: str, value: object, least: int, most: int) -> None:
    """Checkpoints may ask for drawn faces, but for no other folder and no million of them."""
    if type(value) is not int or not least <= value <= most:
        raise ConfigError(f"dataset.{name}={value}: give a whole number from {least} to {most}")


class SyntheticIMMDataModule(IMMDataModule):
    """Drawn faces in IMM's format, written to the cache folder on first use.

    Args:
        people: number of people, with 6 photos each; `val_people` are among them.
        faces_seed: of the drawings.
        **settings: see `IMMDataModule`; `data_dir` is ignored.
    """

    def __init__(self, *, people: int = 40, faces_seed: int = 0, **settings) -> None:
        _check_number("people", people, 2, MAX_COUNT)
        _check_number("faces_seed", faces_seed, 0, 2**32 - 1)
        settings["data_dir"] = _drawn_dir(settings, f"imm-{people}-{faces_seed}")
        super().__init__(**settings)
        self.people, self.faces_seed = people, faces_seed

    def prepare_data(self) -> None:
        """Draw the faces on first use."""
        people = range(1, self.people + 1)
        write = partial(write_synthetic_imm, people=people, seed=self.faces_seed)
        draw_once(write, self.data_dir, self.info.folder_name)


class SyntheticIBUGDataModule(IBUGDataModule):
    """Drawn faces in iBUG's format, written to the cache folder on first use.

    Args:
        count: number of photos; each has a mirrored twin.
        faces_seed: of the drawings.
        **settings: see `IBUGDataModule`; `data_dir` is ignored.
    """

    def __init__(self, *, count: int = 400, faces_seed: int = 0, **settings) -> None:
        _check_number("count", count, 16, MAX_COUNT)
        _check_number("faces_seed", faces_seed, 0, 2**32 - 1)
        settings["data_dir"] = _drawn_dir(settings, f"ibug-{count}-{faces_seed}")
        super().__init__(**settings)
        self.count, self.faces_seed = count, faces_seed

    def prepare_data(self) -> None:
        """Draw the faces on first use."""
        write = partial(write_synthetic_ibug, count=self.count, seed=self.faces_seed)
        draw_once(write, self.data_dir, self.info.folder_name)
