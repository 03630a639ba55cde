"""CSV files of faces in photos."""

from __future__ import annotations

from pathlib import Path

import pytest

from facekp.core.errors import DataError
from facekp.tasks.known_faces import read_annotations


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,left,top,right\na.jpg,1,2,3\n", r"b\.csv:1: columns missing: bottom"),
        ("file,left,top,right,bottom\na.jpg,1,2,x,4\n", r"b\.csv:2: not a face"),
        ("file,left,top,right,bottom\na.jpg,1,2,3,4\na.jpg,1,2,nan,4\n", r"b\.csv:3: not a face"),
        ("file,left,top,right,bottom\na.jpg,5,2,3,4\n", r"b\.csv:2: not a face"),
        ("file,left,top,right,bottom\na.jpg,-1e12,2,1e12,4\n", r"b\.csv:2: not a face"),
        ("file,left,top,right,bottom\n ,1,2,3,4\n", r"b\.csv:2: .* no file is named"),
        ("file,frame,left,top,right,bottom\na.mp4,3,1,2,3,4\n", r"b\.csv:2: .* frames of videos"),
        (
            "file,left,top,right,bottom,box_source\na.jpg,1,2,3,4,dlib\nb.jpg,1,2,3,4,image\n",
            r"b\.csv: boxes of several sources in one file \(dlib, image\)",
        ),
    ],
)
def test_broken_boxes(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "b.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_annotations(str(tmp_path / "b.csv"))
