"""Items looked up by path, as files name them that come from other folders or machines."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Generic, TypeVar

from facekp.core.errors import DataError

T = TypeVar("T")
_Name = tuple[str, ...]


class PathIndex(Generic[T]):
    """Items by the names of files, found by the longest name that is the end of a path.

    `b.jpg` and `a/b.jpg` both name `photos/a/b.jpg`, and the items of the longer one are taken. Of
    the paths that are expected, only one may have a name: the one that it means from the working
    folder or from the folder of the file that holds it, if there is such a path.

    Args:
        folder: of the file that holds the names.
    """

    def __init__(self, folder: str | Path = ".") -> None:
        self._folders = ".", folder
        self._items: dict[_Name, list[T]] = {}
        self._meant: dict[_Name, set[str]] = {}
        self._expected: dict[_Name, set[str]] = {}
        self._used: set[_Name] = set()

    def add_file(self, file: str) -> list[T]:
        """The list of a file's items, to be filled; a file may have none."""
        file = os.path.normpath(file.replace("\\", "/"))
        name = Path(file).parts
        while name and name[0] == "..":
            name = name[1:]
        if name not in self._items:
            self._meant[name] = {_absolute(os.path.join(f, file)) for f in self._folders}  # noqa: PTH118
        return self._items.setdefault(name, [])

    def expect(self, paths: Iterable[Path]) -> None:
        """Tell which paths will be looked up, so that no name is taken for two of them."""
        for path in paths:
            name = self._name(path)
            if name is not None:
                self._expected.setdefault(name, set()).add(_absolute(path))

    def find(self, path: Path) -> list[T] | None:
        """Items of a file; None if no name is the end of its path, or if it means another one.

        Raises:
            DataError: a name that may mean several of the expected paths.
        """
        name = self._name(path)
        if name is None:
            return None
        expected = self._expected.get(name, set())
        if len(expected) > 1:
            meant = expected & self._meant[name]
            if len(meant) != 1:
                others = ", ".join(sorted(expected - {_absolute(path)}))
                problem = f"{Path(*name)} may mean this file, or {others}"
                raise DataError(path, problem, "give one of them, or names with their folders")
            if _absolute(path) not in meant:
                return None
        self._used.add(name)
        return self._items[name]

    def unused_files(self) -> list[str]:
        """Names that no path asked for."""
        return [str(Path(*name)) for name in self._items if name not in self._used]

    def unused_items(self) -> list[T]:
        """Their items, in the order of the names."""
        return [x for name, items in self._items.items() if name not in self._used for x in items]

    def _name(self, path: Path) -> _Name | None:
        """The longest name that is the end of a path."""
        parts = Path(_absolute(path)).parts
        ends = (parts[first:] for first in range(len(parts)))
        return next((end for end in ends if end in self._items), None)


def _absolute(path: str | Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100  # resolves `..`, not links
