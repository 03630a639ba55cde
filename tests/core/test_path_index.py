from __future__ import annotations

from pathlib import Path

import pytest

from facekp.core.errors import DataError
from facekp.core.path_index import PathIndex


def test_the_longest_name_that_ends_a_path_is_taken() -> None:
    index: PathIndex[int] = PathIndex()
    index.add_file("b.jpg").append(1)
    index.add_file("a\\b.jpg").extend([2, 3])
    index.add_file("../x/c.jpg")
    assert index.find(Path("photos/a/b.jpg")) == [2, 3]
    assert index.find(Path("photos/z/b.jpg")) == [1]
    assert index.find(Path("x/c.jpg")) == []
    assert index.find(Path("c.jpg")) is None


def test_one_name_is_not_taken_for_two_files() -> None:
    index: PathIndex[int] = PathIndex()
    index.add_file("b.jpg").append(1)
    assert index.find(Path("x/b.jpg")) == index.find(Path("x/../x/b.jpg")) == [1]
    with pytest.raises(DataError, match=r"y/b\.jpg: b\.jpg may mean this file, or .*x/b\.jpg"):
        index.find(Path("y/b.jpg"))


def test_what_nobody_asked_for_is_told() -> None:
    index: PathIndex[int] = PathIndex()
    for at, name in enumerate(("a.jpg", "b/c.jpg")):
        index.add_file(name).append(at)
    index.find(Path("a.jpg"))
    assert index.unused_files() == ["b/c.jpg"]
    assert index.unused_items() == [1]
