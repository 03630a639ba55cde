"""Finding the image files that annotations name."""

from __future__ import annotations

import filecmp
import itertools
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from facekp.core.files import is_file

MAX_FILES = 500_000
"""Files that are looked through for an image that is not where its name says."""
MAX_DEPTH = 6
"""The same for folders inside folders."""


class ImageFinder:
    """Finds images by the names that annotations give them.

    A name may be relative to one of the folders, or come from another machine, be it Windows: the
    longest end of it that exists in a folder is taken; then a file of the same name anywhere below,
    whatever its case, and of a name without suffix one with any; of several the one whose folders
    are named, too. Two names in different folders never lead to one file, and a file that exists
    where its name says, but outside the folders, is not replaced by one in them.

    Args:
        folders: where images may be, in order.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
        self._known: dict[str, Path] = {}
        self._names: dict[Path, tuple[str, ...]] = {}
        self.guessed: tuple[str, Path] | None = None
        """The first name that was found by its last part alone, and its file."""

    def find(self, name: str) -> Path:
        """Path of an image.

        Raises:
            ValueError: there is none, or several.
        """
        if name not in self._known:
            parts = _inner_parts(name)
            path = self._search(name, parts)
            self._check_place(name, path)
            other = self._names.setdefault(path, parts)
            if _common_end(other, parts) < min(len(other), len(parts)):
                raise ValueError(
                    f"the image {name} is not in {self._places()}; {path} is {'/'.join(other)}"
                )
            self._known[name] = path
        return self._known[name]

    def _check_place(self, name: str, path: Path) -> None:
        """Refuse to take a file for another one that exists where its name says; a copy will do."""
        exact = Path(name)
        if not (exact.is_absolute() and is_file(exact)):
            return
        in_same_folder = _common_end(path.absolute().parts, exact.parts) > 1
        if not in_same_folder and not filecmp.cmp(exact, path, shallow=False):
            raise ValueError(
                f"the image {name} is not in {self._places()}; {path} is another one of its name"
            )

    def _places(self) -> str:
        return ", ".join(str(folder) for folder in self.folders) or "no folder"

    def _search(self, name: str, parts: tuple[str, ...]) -> Path:
        for folder in self.folders:
            for first in range(len(parts)):
                candidate = folder.joinpath(*parts[first:])
                if is_file(candidate):
                    return self._guess(name, candidate, parts)
        last = parts[-1].lower() if parts else ""
        found = self._by_name.get(last, [])
        if not found and not PurePosixPath(last).suffix:
            found = self._by_stem.get(last, [])
        if len(found) > 1:
            common = [_common_end(path.parts, parts) for path in found]
            if max(common) > 1 and common.count(max(common)) == 1:
                found = [found[common.index(max(common))]]
        if len(found) == 1:
            return self._guess(name, found[0], parts)
        if found:
            places = ", ".join(str(path) for path in found[:3])
            raise ValueError(f"several images are called {name} ({places})")
        raise ValueError(f"the image {name[:200]} is not in {self._places()}")

    def _guess(self, name: str, path: Path, parts: tuple[str, ...]) -> Path:
        """A file that was found, noted if only the last of several parts of its name fits."""
        is_new = self.guessed is None and len(parts) > 1
        if is_new and _common_end(path.absolute().parts, parts) == 1:
            self.guessed = name, path
        return path

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in self._files():
            found.setdefault(path.name.lower(), []).append(path)
        return found

    @cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for paths in self._by_name.values():
            for path in paths:
                if path.suffix.lower() not in (".txt", ".json", ".pts", ".csv", ".xml"):
                    found.setdefault(path.stem.lower(), []).append(path)
        return found

    def _files(self) -> Iterator[Path]:
        count = 0
        seen: set[str] = set()
        for root in self.folders:
            for folder, folders, files in os.walk(root):
                depth = len(Path(folder).relative_to(root).parts)
                hidden = {name for name in folders if name.startswith(".")}
                folders[:] = [] if depth >= MAX_DEPTH else sorted(set(folders) - hidden)
                real = os.path.realpath(folder)
                if real in seen:
                    continue
                seen.add(real)
                for name in sorted(files):
                    count += 1
                    if count > MAX_FILES:
                        return
                    yield Path(folder, name)


def _common_end(path: Sequence[str], other: Sequence[str]) -> int:
    """Number of last parts that two paths share, but for case, and a suffix that one lacks."""
    *folders, name = (part.casefold() for part in path)
    *other_folders, other_name = (part.casefold() for part in other)
    if "" in (PurePosixPath(name).suffix, PurePosixPath(other_name).suffix):
        name, other_name = PurePosixPath(name).stem, PurePosixPath(other_name).stem
    if name != other_name:
        return 0
    pairs = zip(reversed(folders), reversed(other_folders), strict=False)
    return 1 + sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _inner_parts(name: str) -> tuple[str, ...]:
    """The parts of a path that lead inward: no drive, no root, no `..`."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return tuple(part for part in parts if part not in ("/", "//", "..") and part[-1:] != ":")
