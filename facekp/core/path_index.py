"""Items looked up by path, as files name them that come from other folders or machines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


class PathIndex(Generic[T]):
    """Items by the names of files, found by the longest name that is the end of a path.

    `b.jpg` and `a/b.jpg` both name `photos/a/b.jpg`, and the items of the longer one are taken.
    """

    def __init__(self) -> None:
        self._items: dict[tuple[str, ...], list[T]] = {}
        self._used: set[tuple[str, ...]] = set()

    def add_file(self, file: str) -> list[T]:
        """The list of a file's items, to be filled; a file may have none."""
        parts = Path(os.path.normpath(file.replace("\\", "/"))).parts
        while parts and parts[0] == "..":
            parts = parts[1:]
        return self._items.setdefault(parts, [])

    def find(self, path: Path) -> list[T] | None:
        """Items of a file; None if no name is the end of its path."""
        parts = Path(os.path.abspath(path)).parts  # noqa: PTH100  # resolves `..`, not links
        for first in range(len(parts)):
            if parts[first:] in self._items:
                self._used.add(parts[first:])
                return self._items[parts[first:]]
        return None

    def unused_files(self) -> list[str]:
        """Names that no path asked for."""
        return [str(Path(*parts)) for parts in self._items if parts not in self._used]

    def unused_items(self) -> list[T]:
        """Their items, in the order of the names."""
        return [x for parts, items in self._items.items() if parts not in self._used for x in items]
