"""LabelMe's JSON files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facekp.core.errors import DataError
from tests.data.formats.helpers import image, points_of, read


def point(label: str, x: float, y: float, group: int | None = None, **more: Any) -> dict:
    return {"label": label, "points": [[x, y]], "shape_type": "point", "group_id": group, **more}


def write(folder: Path, name: str, *shapes: dict, **changes: Any) -> None:
    content = {"imagePath": f"{name}.jpg", "imageHeight": 100, "imageWidth": 120}
    content |= {"shapes": list(shapes), **changes}
    (folder / f"{name}.json").write_text(json.dumps(content))


def test_groups_boxes_and_flags(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    box = {
        "label": "face",
        "points": [[60, 70], [10, 20]],
        "shape_type": "rectangle",
        "group_id": 1,
    }
    hidden = point("eye", 3.5, 4.5, 1, flags={"occluded": True})
    write(tmp_path, "a", point("nose", 10.5, 20.5, 1), hidden, box, point("nose", 50, 60, 2))
    first, second = (file := read(tmp_path)).faces
    assert file.names == ["nose", "eye"]
    np.testing.assert_array_equal(points_of(file)[:, 0], [[10, 20], [49.5, 59.5]])
    assert np.isnan(second.keypoints[1]).all()
    assert first.bbox is not None
    assert first.bbox.tolist() == [9.5, 19.5, 59.5, 69.5]
    assert first.occluded is not None
    assert first.occluded.tolist() == [False, True]
    assert (first.image, first.size) == (tmp_path / "a.jpg", (100, 120))


def test_one_face_per_image_needs_no_groups(tmp_path: Path) -> None:
    for name in "ab":
        image(tmp_path / f"{name}.jpg")
        write(tmp_path, name, point("nose", 1, 2), point("eye", 3, 4))
    assert points_of(read(tmp_path)).shape == (2, 2, 2)


@pytest.mark.parametrize(
    ("shapes", "changes", "message"),
    [
        ([point("nose", 1, 2), point("nose", 3, 4)], {}, "two points nose in one face"),
        ([{"label": "nose"}], {}, "points is missing"),
        ([point("nose", float("inf"), 4)], {}, "point nose is infinite"),
        ([3], {}, "not LabelMe's"),
        ([point("nose", 1, 2)], {"shapes": None}, "not LabelMe's"),
    ],
)
def test_broken_files_say_what(tmp_path: Path, shapes: list, changes: dict, message: str) -> None:
    write(tmp_path, "a", *shapes, **changes)
    with pytest.raises(DataError, match=re.escape(message)):
        read(tmp_path)


def test_another_json_in_the_folder_is_named(tmp_path: Path) -> None:
    image(tmp_path / "b.jpg")
    write(tmp_path, "b", point("nose", 1, 2))
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(DataError, match=r"a.json: shapes is missing"):
        read(tmp_path)
