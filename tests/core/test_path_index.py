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
    index.expect([Path("x/b.jpg"), Path("x/../x/b.jpg")])
    assert index.find(Path("x/b.jpg")) == [1]
    index.expect([Path("y/b.jpg")])
    for path, other in (("x/b.jpg", "y/b.jpg"), ("y/b.jpg", "x/b.jpg")):
        with pytest.raises(DataError, match=rf"^{path}: b\.jpg may mean this file, or .*{other}"):
            index.find(Path(path))
    index.expect([Path("b.jpg")])
    assert [index.find(Path(path)) for path in ("x/b.jpg", "b.jpg", "y/b.jpg")] == [None, [1], None]


def test_names_are_also_meant_from_the_folder_of_their_file() -> None:
    index: PathIndex[int] = PathIndex(Path("x"))
    index.add_file("../y/b.jpg").append(1)
    index.expect([Path("z/y/b.jpg"), Path("y/b.jpg")])
    assert index.find(Path("z/y/b.jpg")) is None
    assert index.find(Path("y/b.jpg")) == [1]


def test_what_nobody_asked_for_is_told() -> None:
    index: PathIndex[int] = PathIndex()
    for at, name in enumerate(("a.jpg", "b/c.jpg")):
        index.add_file(name).append(at)
    index.find(Path("a.jpg"))
    assert index.unused_files() == ["b/c.jpg"]
    assert index.unused_items() == [1]
