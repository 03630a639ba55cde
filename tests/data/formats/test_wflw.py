"""WFLW's text lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facekp.core.errors import DataError
from facekp.data.formats.recognition import formats
from tests.data.formats.helpers import points_of, read

POINTS = np.random.default_rng(6).uniform(0, 300, (98, 2)).round(6)


def write(folder: Path, *attributes: int, name: str = "a/b.jpg") -> Path:
    values = [*POINTS.ravel(), 10, 20, 110, 130, *attributes]
    (folder / "list.txt").write_text(" ".join(map(str, values)) + f" {name}\n")
    return folder / "list.txt"


def test_points_box_and_attributes(tmp_path: Path) -> None:
    (face,) = (file := read(write(tmp_path, 1, 0, 0, 0, 1, 0))).faces
    np.testing.assert_allclose(points_of(file)[0], POINTS, atol=1e-6)
    assert face.tags == ("large pose", "occlusion")
    assert face.bbox is not None
    assert face.bbox.tolist() == [10, 20, 110, 130]
    assert file.scheme is not None
    assert file.scheme.name == "wflw98"


def test_images_are_found_where_the_archives_are_unpacked(tmp_path: Path) -> None:
    lists = tmp_path / "WFLW_annotations/list_98pt_rect_attr_train_test/list.txt"
    assert tmp_path / "WFLW_images" in formats()["wflw"].image_folders(lists)


def test_broken_rows_say_where(tmp_path: Path) -> None:
    path = write(tmp_path, 1, 0, 0, 0, 1, 0)
    path.write_text(path.read_text() + "1 2 3 b.jpg\n")
    with pytest.raises(DataError, match=r"list.txt:2: 3 numbers, not 206"):
        read(path)
