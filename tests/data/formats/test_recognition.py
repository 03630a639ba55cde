"""Formats are recognised by content, and found without being listed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facekp.core.errors import ConfigError, DataError
from facekp.data.formats.base import AnnotationFile, AnnotationFormat, FaceEntry, ReadOptions
from facekp.data.formats.recognition import (
    find_format,
    formats,
    read_annotation_file,
    writable_format,
)


def test_what_is_not_recognised_is_answered_with_all_forms(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Dear diary,\ntoday")
    with pytest.raises(DataError) as raised:
        find_format(tmp_path / "a.txt")
    for name, known in formats().items():
        assert f"\n  {name}:\n" in str(raised.value)
        assert known.example.split("\n")[0] in str(raised.value)
        assert known.example.count("\n") == 1, name


def test_an_empty_folder_and_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    for path in (tmp_path / "empty.csv", tmp_path):
        with pytest.raises(DataError, match="not recognised"):
            find_format(path)


def test_a_wrong_name_lists_the_choices(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose one of coco, deeplabcut, dlib, kaggle, labelme"):
        find_format(tmp_path, "cocoa")
    with pytest.raises(ConfigError, match="format=yolo: choose one of coco, dlib, pts, csv"):
        writable_format("yolo")


def test_a_format_of_ones_own_is_found(tmp_path: Path) -> None:
    class Blank(AnnotationFormat):
        name = "blank"
        example = "BLANK\n..."

        def recognises(self, path: Path, head: str) -> bool:
            return head.startswith("BLANK")

        def read(self, path: Path, options: ReadOptions) -> AnnotationFile:
            return AnnotationFile(["a"], [FaceEntry("a.jpg", np.zeros((1, 2)), path)])

    (tmp_path / "a.blank").write_text("BLANK")
    content, found = read_annotation_file(tmp_path / "a.blank", ReadOptions())
    assert found.name == "blank"
    assert len(content.faces) == 1
    del Blank
