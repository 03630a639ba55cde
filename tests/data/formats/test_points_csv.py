"""CSV files of points, as people write them."""

from __future__ import annotations

import csv
import re
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facekp.core.errors import ConfigError, DataError
from facekp.core.landmarks import LandmarkScheme
from facekp.data.formats.recognition import writable_format
from tests.data.formats.helpers import BOXES, OCCLUDED, faces, points_of, read, round_trip


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    (folder / "a.csv").write_bytes(text.encode(encoding))
    return folder / "a.csv"


HEADINGS = [
    "file,nose_x,nose_y,eye_x,eye_y",
    "Image_Name,x_nose,y_nose,x_eye,y_eye",
    "path,noseX,noseY,eyeX,eyeY",
    "nose_y,nose_x,filename,eye_x,eye_y",
    "picture of a face,nose.x,nose.y,eye.x,eye.y",
    "img,nose x,nose y,eye x,eye y",
]


@pytest.mark.parametrize("heading", HEADINGS)
def test_headings_of_named_points(tmp_path: Path, heading: str) -> None:
    values = {"nose": (1.5, 2), "eye": (3, 4.25)}
    cells = []
    for name in heading.split(","):
        found = [v[axis == "y"] for n, v in values.items() for axis in "xy"
                 if n in name and (name.replace(n, "").lower().strip("_. ") == axis)]  # fmt: skip
        cells.append(str(found[0]) if found else "b.jpg")
    content = read(write(tmp_path, f"{heading}\n{','.join(cells)}\n"))
    assert content.names == ["nose", "eye"]
    np.testing.assert_array_equal(points_of(content), [[[1.5, 2], [3, 4.25]]])
    assert content.faces[0].image == "b.jpg"
    assert content.faces[0].line == 2


@pytest.mark.parametrize(
    "heading",
    [
        "file,part_1_x,part_1_y,part_2_x,part_2_y",
        "file,x1,y1,x2,y2",
        "file,p2_x,p2_y,p1_x,p1_y",
        ",0,1,2,3",
        "name,,,,",
        ",file,0,1,2,3",
    ],
)
def test_headings_of_numbered_points(tmp_path: Path, heading: str) -> None:
    row = "0,b.jpg,1,2,3,4" if heading.startswith(",file") else "b.jpg,1,2,3,4"
    content = read(write(tmp_path, f"{heading}\n{row}"))
    assert not content.named
    assert len(content.names) == 2
    expected = [[3, 4], [1, 2]] if "p2_x,p2_y,p1" in heading else [[1, 2], [3, 4]]
    np.testing.assert_array_equal(points_of(content), [expected])
    assert content.faces[0].image == "b.jpg"


def test_a_file_without_a_header(tmp_path: Path) -> None:
    content = read(write(tmp_path, "b.jpg,1,2,3,4\nc.jpg,5,6,7,8"))
    assert [face.image for face in content.faces] == ["b.jpg", "c.jpg"]
    assert points_of(content)[1, 1].tolist() == [7, 8]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_separators_and_encodings(tmp_path: Path, encoding: str, delimiter: str) -> None:
    text = "datei,näse_x,näse_y\r\nC:\\Bilder\\b.jpg,1.5,2\r\n".replace(",", delimiter)
    text = text if delimiter == "," else text.replace("1.5", "1,5")
    content = read(write(tmp_path, text, encoding))
    assert content.names == ["näse"]
    assert content.faces[0].keypoints.tolist() == [[1.5, 2]]


def test_missing_points_boxes_and_what_is_not_used(tmp_path: Path) -> None:
    text = (
        "file,box_x,box_y,box_w,box_h,nose_x,nose_y,eye_x,eye_y,split,person,mood\n"
        "b.jpg,1,2,30,40,,,5,6,Training,ann,good\n"
        "b.jpg,,,,,1,2,NaN,nan,validation,bob,\n"
    )
    first, second = (content := read(write(tmp_path, text))).faces
    assert np.isnan(first.keypoints[0]).all()
    assert np.isnan(second.keypoints[1]).all()
    assert first.bbox is not None
    assert first.bbox.tolist() == [1, 2, 31, 42]
    assert second.bbox is None
    assert [first.split, second.split] == ["train", "val"]
    assert [first.group, second.group] == ["ann", "bob"]
    assert content.notes == ["columns not used: mood"]


def test_visibility_that_is_not_said_hides_nothing(tmp_path: Path) -> None:
    text = "file,nose_x,nose_y,nose_v\nb.jpg,5,6,\nb.jpg,5,6,0\nb.jpg,5,6,1\nb.jpg,5,6,2"
    faces = read(write(tmp_path, text)).faces
    assert np.isnan([face.keypoints[0, 0] for face in faces]).tolist() == [0, 1, 0, 0]
    assert [face.occluded.tolist() for face in faces] == [[False], [False], [True], [False]]


def test_four_named_corners_are_a_box_and_not_points(tmp_path: Path) -> None:
    content = read(write(tmp_path, "file,xmin,ymin,xmax,ymax,nose_x,nose_y\nb.jpg,1,2,3,4,5,6"))
    assert content.names == ["nose"]
    assert content.faces[0].bbox is not None


BROKEN = [
    ("file,a_x,a_y\nb.jpg,1", ":2: 2 cells, the first row has 3"),
    ("file,a_x,a_y\nb.jpg,1,2,3", ":2: 4 cells, the first row has 3"),
    ("file,a_x,a_y\nb.jpg,1,2\nb.jpg,one,2", ":3: column a_x: 'one' is not a number"),
    ("file,a_x,a_y\nb.jpg,1_0,2", ":2: column a_x: '1_0' is not a number"),
    ("file,a_x,a_y\nb.jpg,inf,2", ":2: point a is infinite"),
    ("file,a_x,a_y\nb.jpg,1e7,2", ":2: point a is far outside the image (1e+07, 2)"),
    ("file,a_x,a_y\nb.jpg,1,", ":2: point a has only one of x and y"),
    ("file,a_x,a_y,b_x\nb.jpg,1,2,3", ":1: column b_x has no counterpart for y"),
    ("file,a_x,a_y,a_x,a_y\nb.jpg,1,2,3,4", ":1: two columns a_x"),
    ("file,a_x,a_y\n,1,2", ":2: no image is named"),
    ("file,a_x,a_y,split\nb.jpg,1,2,tain", ":2: split 'tain': write train, val or test"),
    ("file,left,top,right,bottom,a_x,a_y\nb.jpg,5,5,1,9,1,2", ":2: the box [5.0, 5.0, 1.0, 9.0]"),
    (",0,1,2\nb.jpg,1,2,3", ":1: 3 numbers, not x, y pairs"),
    ("file,mood\nb.jpg,good", ":1: no columns of points"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_broken_files_say_where(tmp_path: Path, text: str, message: str) -> None:
    from facekp.data.formats.base import ReadOptions
    from facekp.data.formats.recognition import formats

    with pytest.raises(DataError, match=re.escape(message)):
        formats()["csv"].read(write(tmp_path, text), ReadOptions())


def test_broken_rows_are_skipped_and_named(tmp_path: Path) -> None:
    rows = ["b.jpg,1,2", "b.jpg,x,2", "b.jpg,3,4,5", "b.jpg,inf,2", "b.jpg,5,6"]
    problems: list[DataError] = []
    content = read(write(tmp_path, "file,a_x,a_y\n" + "\n".join(rows)), problems=problems)
    assert points_of(content)[:, 0].tolist() == [[1, 2], [5, 6]]
    assert sorted(error.line or 0 for error in problems) == [3, 4, 5]


def test_round_trip(tmp_path: Path) -> None:
    content = round_trip("csv", tmp_path / "a.csv", faces())
    np.testing.assert_allclose([face.bbox for face in content.faces], BOXES, atol=1e-6)
    np.testing.assert_array_equal([face.occluded for face in content.faces], OCCLUDED)
    assert [face.split for face in content.faces] == ["train"] * 3 + ["val"]
    assert content.faces[0].group == "person 0"
    assert content.faces[0].size == (100, 120)
    assert content.notes == []


def test_many_rows_are_read_quickly(tmp_path: Path) -> None:
    row = ",".join(["img.jpg", *(f"{value:.2f}" for value in np.linspace(0, 99, 136))])
    heading = "file," + ",".join(f"n{at}_{axis}" for at in range(68) for axis in "xy")
    path = write(tmp_path, "\n".join([heading, *[row] * 20_000]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(read(path).faces) == 20_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000

    def bare() -> list[list[float]]:
        with path.open() as stream:
            return [[float(value) for value in row[1:]] for row in list(csv.reader(stream))[1:]]

    def seconds(reader: Callable[[], object]) -> float:
        start = time.process_time()
        reader()
        return time.process_time() - start

    # Beside a bare reader, as machines differ in speed; it takes 0.9 of its time.
    times = np.array([(seconds(lambda: read(path)), seconds(bare)) for _ in range(2)]).min(axis=0)
    assert times[0] < 1.3 * times[1]


BOXES_OF_FEW_WORDS = [
    ("x,y,width,height", "1,2,30,40", [1, 2, 31, 42]),
    ("x,y,w,h", "1,2,30,40", [1, 2, 31, 42]),
    ("x1,y1,x2,y2", "1,2,31,42", [1, 2, 31, 42]),
    ("bbox_x1,bbox_y1,bbox_x2,bbox_y2", "1,2,31,42", [1, 2, 31, 42]),
]


@pytest.mark.parametrize(("heading", "cells", "box"), BOXES_OF_FEW_WORDS)
def test_boxes_beside_named_points(tmp_path: Path, heading: str, cells: str, box: list) -> None:
    content = read(write(tmp_path, f"file,{heading},eye_x,eye_y\nb.jpg,{cells},5,6"))
    assert content.names == ["eye"]
    assert content.faces[0].bbox is not None
    assert content.faces[0].bbox.tolist() == box


def test_bare_x_and_y_alone_are_a_point(tmp_path: Path) -> None:
    assert points_of(read(write(tmp_path, "file,x,y\nb.jpg,1,2"))).tolist() == [[[1, 2]]]
    assert points_of(read(write(tmp_path, "file,x1,y1,x2,y2\nb.jpg,1,2,3,4"))).shape == (1, 2, 2)


def test_no_header_and_no_suffix(tmp_path: Path) -> None:
    content = read(write(tmp_path, "Anna_02,123,86,4,5\nBob_01,1,2,3,4"))
    assert [face.image for face in content.faces] == ["Anna_02", "Bob_01"]


def test_comments_and_excels_separator_before_the_header(tmp_path: Path) -> None:
    content = read(write(tmp_path, "sep=;\n# made by hand\nfile;a_x;a_y\nb.jpg;1,5;2\n# end;;\n"))
    assert points_of(content).tolist() == [[[1.5, 2]]]


def test_a_file_name_with_a_hash_is_no_comment(tmp_path: Path) -> None:
    content = read(write(tmp_path, "file,a_x,a_y\n#d.png,1.5,2\n# a note\n# another,,\n"))
    assert [face.image for face in content.faces] == ["#d.png"]


def test_names_with_numbers_are_kept(tmp_path: Path) -> None:
    content = read(write(tmp_path, "file,p3_x,p3_y,p1_x,p1_y,x_ray\nb.jpg,1,2,3,4,yes"))
    assert content.names == ["p1", "p3"]
    assert points_of(content).tolist() == [[[3, 4], [1, 2]]]
    assert content.notes == ["columns not used: x_ray"]


def test_visibility_of_some_points(tmp_path: Path) -> None:
    text = "file,eye_x,eye_y,nose_x,nose_y,nose_v\nb.jpg,5,6,0,0,0\nb.jpg,5,6,7,8,1"
    content = read(write(tmp_path, text))
    np.testing.assert_array_equal(points_of(content)[:, 0], [[5, 6], [5, 6]])
    np.testing.assert_array_equal(points_of(content)[:, 1], [[np.nan, np.nan], [7, 8]])
    assert [face.occluded.tolist() for face in content.faces] == [[False, False], [False, True]]
    assert not content.notes


def test_as_many_decimal_commas_as_semicolons(tmp_path: Path) -> None:
    content = read(write(tmp_path, "a.jpg;300,5;250,5;340,5;251,5\nb.jpg;1;2;3;4,25\n"))
    np.testing.assert_array_equal(
        points_of(content), [[[300.5, 250.5], [340.5, 251.5]], [[1, 2], [3, 4.25]]]
    )


@pytest.mark.parametrize("start", ["\n", "# c\n\n", ",,\n", " \n"])
def test_blank_lines_before_the_header(tmp_path: Path, start: str) -> None:
    content = read(write(tmp_path, f"{start}file,nose_x,nose_y\na.jpg,1,2\n"))
    np.testing.assert_array_equal(points_of(content), [[[1, 2]]])


def test_names_that_differ_only_in_case_are_not_written(tmp_path: Path) -> None:
    scheme = LandmarkScheme("mine", ("L", "l"))
    with pytest.raises(ConfigError, match="names of points that differ only in case"):
        writable_format("csv").write(tmp_path / "a.csv", [], scheme)
