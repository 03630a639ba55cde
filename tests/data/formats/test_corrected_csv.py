from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facekp.core.errors import DataError
from facekp.data.formats.base import ReadOptions
from facekp.data.formats.corrected_csv import (
    CorrectedFace,
    CorrectedPhoto,
    corrected_header,
    corrected_rows,
    is_corrected_csv,
    read_corrected_csv,
)
from facekp.data.formats.predictions_csv import read_predictions_csv
from facekp.data.formats.recognition import read_annotation_file

NAMES = ["nose", "left eye", "7"]
BOX = np.array([1.5, 2, 30, 41.25])
POINTS = np.array([[3.125, 4], [np.nan, np.nan], [-5.5, 60]])


def written(path: Path, *photos: CorrectedPhoto) -> Path:
    text = corrected_header(NAMES) + "".join(corrected_rows(p, len(NAMES), "dlib") for p in photos)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    face = CorrectedFace(BOX, POINTS, -30.5, 0.875, frozenset({0, 2}), frozenset({2}))
    return written(
        tmp_path / "corrected.csv",
        CorrectedPhoto("x/a,b.jpg", (face, face), True, "val", "person 3"),
        CorrectedPhoto("x/none.jpg", (), True),
        CorrectedPhoto("x/\udcff\n.jpg", (face,)),
    )


def test_what_is_written_is_read_again(file: Path) -> None:
    first, second, third = read_corrected_csv(file, NAMES)
    assert (first.file, first.edited, first.split, first.group) == (
        "x/a,b.jpg",
        True,
        "val",
        "person 3",
    )
    face = first.faces[1]
    np.testing.assert_array_equal(face.bbox, BOX)
    np.testing.assert_array_equal(face.keypoints, POINTS)
    assert (face.angle, face.score, face.moved, face.occluded) == (-30.5, 0.875, {0, 2}, {2})
    assert (second.faces, second.edited) == ((), True)
    assert (third.file, third.edited) == ("x/\udcff\n.jpg", False)
    assert is_corrected_csv(file)


def test_a_point_with_visibility_0_is_missing(file: Path) -> None:
    assert file.read_bytes().count(b",3.125,4.000,2") == 3
    file.write_bytes(file.read_bytes().replace(b",3.125,4.000,2", b",3.125,4.000,0"))
    face = read_corrected_csv(file, NAMES)[0].faces[0]
    assert np.isnan(face.keypoints[0]).all()
    np.testing.assert_array_equal(face.keypoints[2], POINTS[2])


def test_it_is_predictions_csv_and_annotations_too(file: Path) -> None:
    rows = list(read_predictions_csv(file, NAMES))
    assert [row.bbox is None for row in rows] == [False, False, True, False]
    np.testing.assert_array_equal(rows[0].keypoints, POINTS)
    file.write_bytes(file.read_bytes().replace(b"\xff", b"f"))
    content, form = read_annotation_file(file, ReadOptions())
    assert form.name == "csv"
    assert content.names == NAMES
    face = content.faces[0]
    np.testing.assert_array_equal(face.keypoints, POINTS)
    assert face.occluded is not None
    assert (face.occluded.tolist(), face.split, face.group) == (
        [False, False, True],
        "val",
        "person 3",
    )
    assert np.isnan(content.faces[2].keypoints).all()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("0 2", "0 3", "a point that does not exist"), ("0 2", "0 b", "invalid literal"), ("30.000", "1.000", "the box"),
     ("30.000", "x", "could not convert"), ("3.125", "", "only one of x and y"), ("-30.500", "400", "angle 400"),
     ("3.125", "1e9", "far outside"), (",val,", ",val", "number of cells")],
)  # fmt: skip
def test_a_broken_row_is_named(file: Path, old: str, new: str, message: str) -> None:
    file.write_bytes(file.read_bytes().replace(old.encode(), new.encode(), 1))
    with pytest.raises(DataError, match=message) as error:
        read_corrected_csv(file, NAMES)
    assert error.value.line == 2


def test_other_points_are_refused(file: Path) -> None:
    with pytest.raises(DataError, match="3 points"):
        read_corrected_csv(file, ["nose", "chin"])


def test_other_files_are_not_edited_in_place(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("file,left,top,right,bottom,box_source,x0,y0\n")
    assert not is_corrected_csv(tmp_path / "p.csv")
    assert not is_corrected_csv(tmp_path / "missing.csv")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    assert not is_corrected_csv(tmp_path / "binary.csv")
