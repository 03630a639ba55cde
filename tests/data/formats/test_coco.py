"""COCO keypoints."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facekp.core.errors import ConfigError, DataError
from tests.data.formats.helpers import BOXES, OCCLUDED, SCHEME, faces, points_of, read, round_trip


def content(**changes: Any) -> dict[str, Any]:
    """Two categories, two faces, one crowd; points counted from the pixel's corner."""
    face = {"id": 7, "image_id": 3, "category_id": 1, "bbox": [10, 20, 30, 40], "iscrowd": 0}
    return {
        "images": [{"id": 3, "file_name": "a.jpg", "width": 120, "height": 100}],
        "categories": [
            {"id": 1, "name": "face", "keypoints": ["left_eye", "right_eye", "nose"],
             "skeleton": [[1, 3], [2, 3]]},
            {"id": 2, "name": "car", "keypoints": ["wheel"], "skeleton": []},
        ],
        "annotations": [
            face | {"num_keypoints": 2, "keypoints": [10.5, 20.5, 2, 30, 40, 1, 0, 0, 0]},
            face | {"id": 8, "iscrowd": 1, "keypoints": [0] * 9},
        ],
    } | changes  # fmt: skip


def write(folder: Path, entry: Any) -> Path:
    (folder / "a.json").write_text(entry if isinstance(entry, str) else json.dumps(entry))
    return folder / "a.json"


def test_corners_visibility_skeleton_and_crowds(tmp_path: Path) -> None:
    file = read(write(tmp_path, content()))
    (face,) = file.faces
    np.testing.assert_array_equal(face.keypoints, [[10, 20], [29.5, 39.5], [np.nan] * 2])
    assert face.occluded is not None
    assert face.occluded.tolist() == [False, True, False]
    assert face.bbox is not None
    assert face.bbox.tolist() == [9.5, 19.5, 39.5, 59.5]
    assert (face.size, file.names, file.edges) == (
        (100, 120),
        list(SCHEME.point_names),
        ((0, 2), (1, 2)),
    )
    assert file.notes == ["1 crowds (iscrowd) left out"]


def test_a_category_must_be_chosen_of_several(tmp_path: Path) -> None:
    both = content()
    both["annotations"].append(
        {"id": 9, "image_id": 3, "category_id": 2, "keypoints": [5.5, 6.5, 2], "bbox": [1, 2, 3, 4]}
    )
    path = write(tmp_path, both)
    with pytest.raises(ConfigError, match=r"dataset.category=, one of face, car"):
        read(path)
    assert points_of(read(path, category="car")).tolist() == [[[5, 6]]]
    with pytest.raises(ConfigError, match=r"dataset.category=dog"):
        read(path, category="dog")


def changed(where: str, key: str, value: Any) -> dict[str, Any]:
    entry = content()
    entry[where][0][key] = value
    return entry


BROKEN = [
    ("{", "a.json:1: not JSON"),
    ("[" * 100_000, "not JSON"),
    (content(images=None), "no list 'images'"),
    (content(categories=[]), "no category has keypoints"),
    (changed("annotations", "image_id", 99), "annotation 7: its image_id 99 is not among"),
    (changed("annotations", "keypoints", [1, 2]), "annotation 7: 2 numbers in keypoints"),
    (changed("annotations", "keypoints", ["x"] * 9), "annotation 7: could not convert"),
    (changed("annotations", "keypoints", [1e9, 1, 2] * 3), "annotation 7: point left_eye is far"),
    (changed("annotations", "category_id", 5), "annotations of unknown categories ['5']"),
    (changed("images", "id", None), "an image without id or file_name"),
    (content(images=[{"id": 3, "file_name": "a"}] * 2), "two images with the id 3"),
    (changed("categories", "skeleton", [[1, 9]]), "skeleton or scheme makes no sense"),
]


@pytest.mark.parametrize(("entry", "message"), BROKEN)
def test_broken_files_say_what(tmp_path: Path, entry: Any, message: str) -> None:
    from facekp.data.formats.base import ReadOptions
    from facekp.data.formats.recognition import formats

    with pytest.raises(DataError, match=re.escape(message)):
        formats()["coco"].read(write(tmp_path, entry), ReadOptions())


def test_round_trip(tmp_path: Path) -> None:
    file = round_trip("coco", tmp_path / "a.json", faces())
    assert file.scheme == SCHEME
    np.testing.assert_allclose([face.bbox for face in file.faces], BOXES)
    np.testing.assert_array_equal([face.occluded for face in file.faces], OCCLUDED)
    assert file.faces[3].split == "val"
    assert file.faces[3].group == "person 3"


def test_categories_as_strings(tmp_path: Path) -> None:
    entry = content()
    for annotation in entry["annotations"]:
        annotation["category_id"] = "1"
    assert len(read(write(tmp_path, entry)).faces) == 1


def test_boxes_that_are_none_are_said(tmp_path: Path) -> None:
    file = read(write(tmp_path, changed("annotations", "bbox", [10, 20, -5, 4])))
    assert file.faces[0].bbox is None
    assert "1 boxes are empty or no numbers, and not used" in file.notes


@pytest.mark.parametrize(
    "scheme",
    [{"name": "../../x", "count": 3}, {"name": "a", "count": 3, "normalizer": 5}, {"count": 3}],
)
def test_a_scheme_that_makes_no_sense_is_refused(tmp_path: Path, scheme: dict) -> None:
    """Its name becomes part of file names."""
    with pytest.raises(DataError, match="skeleton or scheme makes no sense"):
        read(write(tmp_path, changed("categories", "facekp", scheme)))
