"""CSV files of DeepLabCut and Lightning Pose."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from facekp.core.errors import DataError
from tests.data.formats.helpers import points_of, read

HEAD = "scorer,me,me,me,me\nbodyparts,nose,nose,paw,paw\ncoords,x,y,x,y\n"


def write(folder: Path, text: str) -> Path:
    (folder / "a.csv").write_text(text)
    return folder / "a.csv"


def test_three_header_rows(tmp_path: Path) -> None:
    file = read(write(tmp_path, HEAD + "labeled-data/v/img1.png,1.5,2,,\nimg2.png,3,4,5,6\n"))
    assert file.names == ["nose", "paw"]
    np.testing.assert_array_equal(points_of(file)[0], [[1.5, 2], [np.nan] * 2])
    assert file.faces[0].image == "labeled-data/v/img1.png"
    assert file.faces[1].line == 5


def test_visibility_and_a_path_in_three_columns(tmp_path: Path) -> None:
    text = (
        "scorer,,,me,me,me,me\nbodyparts,,,nose,nose,nose,nose\n"
        "coords,,,x,y,visible,likelihood\nlabeled-data,v,img1.png,1,2,1,0.3\n"
    )
    (face,) = read(write(tmp_path, text)).faces
    assert face.image == "labeled-data/v/img1.png"
    assert face.occluded is not None
    assert face.occluded.tolist() == [True]


def test_individuals_are_faces_of_their_own(tmp_path: Path) -> None:
    text = (
        "scorer,me,me,me,me\nindividuals,a,a,b,b\nbodyparts,nose,nose,nose,nose\n"
        "coords,x,y,x,y\nimg1.png,1,2,3,4\nimg2.png,5,6,,\n"
    )
    assert points_of(read(write(tmp_path, text)))[:, 0].tolist() == [[1, 2], [5, 6], [3, 4]]


BROKEN = [
    (HEAD + "img1.png,1,2,3", ":4: 4 cells, the headers have 5"),
    (HEAD + "img1.png,1,2,3,x", ":4: 'x' is not a number"),
    (HEAD + "img1.png,1,2,3,inf", ":4: point paw is infinite"),
    (HEAD + ",1,2,3,4", ":4: no image is named"),
    (HEAD.replace("paw", "nose") + "i.png,1,2,3,4", ":1: "),
    ("scorer,me,me\nbodyparts,nose,nose\n", ":1: no header row coords"),
    ("scorer,me,me\nbodyparts,nose,nose\ncoords,x,x\n", "nose x twice"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_broken_files_say_where(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        read(write(tmp_path, text))


def test_semicolons(tmp_path: Path) -> None:
    text = (HEAD + "img1.png,1,2,3,4\n").replace(",", ";")
    assert points_of(read(write(tmp_path, text))).tolist() == [[[1, 2], [3, 4]]]
