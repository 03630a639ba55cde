"""What the tests of formats share: a drawn data set's points written by hand, and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from facekp.core.landmarks import LandmarkScheme
from facekp.data.formats.base import AnnotationFile, ReadOptions, WrittenFace
from facekp.data.formats.recognition import read_annotation_file, writable_format

NAMES = ("left_eye", "right_eye", "nose")
SCHEME = LandmarkScheme("three", NAMES, flip_pairs=((0, 1),))
POINTS = np.random.default_rng(5).uniform(1, 90, (4, 3, 2))
POINTS[1, 2] = np.nan
BOXES = np.array([[10.25, 20.5, 70.125, 80.0]] * 4)
OCCLUDED = np.zeros((4, 3), bool)
OCCLUDED[2, 0] = True
SIZE = (100, 120)


def image(path: Path, size: tuple[int, int] = SIZE, **settings: Any) -> Path:
    """A grey image file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), 90, np.uint8)).save(path, **settings)
    return path


def read(path: Path, **options: Any) -> AnnotationFile:
    """A file in the format that is recognised."""
    return read_annotation_file(path, ReadOptions(**options))[0]


def points_of(content: AnnotationFile) -> np.ndarray:
    return np.array([face.keypoints for face in content.faces])


def faces(occluded: bool = True, missing: bool = True) -> list[WrittenFace]:
    """Four faces on four images."""
    points = POINTS if missing else np.nan_to_num(POINTS, nan=50.0)
    return [
        WrittenFace(
            f"a/{at}.jpg", SIZE, BOXES[at], points[at], OCCLUDED[at] if occluded else None,
            split="val" if at == 3 else "train", group=f"person {at}",
        )
        for at in range(4)
    ]  # fmt: skip


def round_trip(name: str, path: Path, written: list[WrittenFace]) -> AnnotationFile:
    writable_format(name).write(path, written, SCHEME)
    content, found = read_annotation_file(path, ReadOptions())
    assert found.name == name
    expected = np.array([face.keypoints for face in written])
    np.testing.assert_allclose(points_of(content), expected, atol=1e-6)
    return content
