"""Known faces of photos, looked up by path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facekp.core.image import read_image
from facekp.tasks.known_faces import read_annotations


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
    ("name", "text"),
    [
        ("b.csv", "Image Name;xmin;ymin;xmax;ymax\nx.jpg;1,0;2;3;4"),
        ("b.csv", "image\tleft\ttop\tright\tbottom\nx.jpg\t1\t2\t3\t4"),
        (
            "b.json",
            '{"images": [{"id": 7, "file_name": "x.jpg"}], "categories": [{"id": 1, "name": "face"}],'
            '"annotations": [{"image_id": 7, "category_id": 1, "bbox": [1.5, 2.5, 2, 2]}]}',
        ),
        (
            "b.json",
            '{"images": [{"id": 7, "file_name": "x.jpg"}], "categories": [{"id": 1, "name": "dog"},'
            '{"id": 2, "name": "Face"}], "annotations": [{"image_id": 7, "category_id": 1, "bbox": '
            '[0, 0, 1, 1]}, {"image_id": 7, "category_id": 2, "bbox": [1.5, 2.5, 2, 2]}]}',
        ),
    ],
)
def test_boxes_as_others_write_them(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    boxes = read_annotations(str(tmp_path / name)).boxes_for(tmp_path / "x.jpg")
    np.testing.assert_array_equal(boxes, [[1, 2, 3, 4]])
