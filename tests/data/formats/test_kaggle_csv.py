"""Kaggle's Facial Keypoints Detection: points and images in one CSV."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from facekp.core.errors import DataError
from facekp.core.image import read_image
from facekp.core.landmarks import bundled_schemes
from tests.data.formats.helpers import points_of, read

NAMES = bundled_schemes()["kaggle15"].point_names
HEAD = ",".join(f"{name}_{axis}" for name in NAMES for axis in "xy") + ",Image"
PIXELS = np.arange(96 * 96) % 256
CELLS = ",".join(["1.5", "2.5", *[""] * 28])


def write(folder: Path, text: str) -> Path:
    (folder / "training.csv").write_text(text)
    return folder / "training.csv"


def row(pixels: np.ndarray = PIXELS) -> str:
    return f"{CELLS},{' '.join(map(str, pixels))}"


def test_points_and_images(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEAD}\n{row()}\n{row(255 - PIXELS)}\n")
    file = read(path, cache_dir=tmp_path / "cache")
    assert tuple(file.names) == NAMES
    assert file.scheme == bundled_schemes()["kaggle15"]
    assert points_of(file)[0, 0].tolist() == [1.5, 2.5]
    assert np.isnan(points_of(file)[0, 1:]).all()
    image = read_image(file.faces[1].image)
    np.testing.assert_array_equal(image[..., 0].ravel(), 255 - PIXELS)
    assert read(path, cache_dir=tmp_path / "cache").faces[1].image == file.faces[1].image


def test_the_test_half_has_no_points(tmp_path: Path) -> None:
    path = write(tmp_path, f"ImageId,Image\n1,{' '.join(map(str, PIXELS))}\n")
    file = read(path, cache_dir=tmp_path / "cache")
    assert np.isnan(points_of(file)).all()
    assert points_of(file).shape == (1, 15, 2)


def test_out_of_its_archive(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEAD}\n{row()}\n")
    with zipfile.ZipFile(tmp_path / "training.zip", "w") as archive:
        archive.write(path, "training.csv")
    file = read(tmp_path / "training.zip", cache_dir=tmp_path / "cache")
    assert len(file.faces) == 1


BROKEN = [
    (row(PIXELS[:-1]), ":2: an image of 9215 grey values is not square"),
    (row(PIXELS + 1), ":2: a grey value is not from 0 to 255"),
    (row().replace("1.5", "x"), ":2: could not convert string to float"),
    (row().replace("1.5", "inf"), ":2: point left_eye_center is infinite"),
    ("1,2", ":2: 2 cells, the first row has 31"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_broken_rows_say_where(tmp_path: Path, text: str, message: str) -> None:
    from facekp.data.formats.base import ReadOptions
    from facekp.data.formats.recognition import formats

    path = write(tmp_path, f"{HEAD}\n{text}\n")
    with pytest.raises(DataError, match=re.escape(message)):
        formats()["kaggle"].read(path, ReadOptions(cache_dir=tmp_path / "cache"))


def test_a_broken_image_is_skipped_again_from_the_cache(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEAD}\n{row()}\n{row(PIXELS[:-1])}\n{row()}\n")
    for _ in range(2):
        problems: list[DataError] = []
        file = read(path, cache_dir=tmp_path / "cache", problems=problems)
        assert [face.line for face in file.faces] == [2, 4]
        assert ":3: an image of 9215 grey values" in str(problems[0])
