"""Items looked up by path, as files name them that come from other folders or machines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Generic, TypeVar

from facekp.core.errors import DataError

T = TypeVar("T")


class PathIndex(Generic[T]):
    """Items by the names of files, found by the longest name that is the end of a path.

    `b.jpg` and `a/b.jpg` both name `photos/a/b.jpg`, and the items of the longer one are taken.
    """

    def __init__(self) -> None:
        self._items: dict[tuple[str, ...], list[T]] = {}
        self._used: dict[tuple[str, ...], Path] = {}

    def add_file(self, file: str) -> list[T]:
        """The list of a file's items, to be filled; a file may have none."""
        parts = Path(os.path.normpath(file.replace("\\", "/"))).parts
        while parts and parts[0] == "..":
            parts = parts[1:]
        return self._items.setdefault(parts, [])

    def find(self, path: Path) -> list[T] | None:
        """Items of a file; None if no name is the end of its path.

        Raises:
            DataError: the name that fits is another file's already.
        """
        path = Path(os.path.abspath(path))  # noqa: PTH100  # resolves `..`, not links
        for first in range(len(path.parts)):
            name = path.parts[first:]
            if name in self._items:
                other = self._used.setdefault(name, path)
                if other != path:
                    problem = f"{Path(*name)} may mean this file, or {other}"
                    raise DataError(path, problem, "give one of them, or names with their folders")
                return self._items[name]
        return None

    def unused_files(self) -> list[str]:
        """Names that no path asked for."""
        return [str(Path(*parts)) for parts in self._items if parts not in self._used]

    def unused_items(self) -> list[T]:
        """Their items, in the order of the names."""
        return [x for parts, items in self._items.items() if parts not in self._used for x in items]
