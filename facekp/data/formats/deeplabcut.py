"""CSV files of DeepLabCut and Lightning Pose: three header rows, `scorer`, `bodyparts`, `coords`.

    scorer,me,me,me,me
    bodyparts,nose,nose,paw,paw
    coords,x,y,x,y
    labeled-data/video/img001.png,31.5,40,,

A fourth header row `individuals` tells several animals of an image apart. `likelihood` belongs to
predictions and is not read; `visible` is COCO's visibility (0 missing, 1 occluded, 2 visible).
Pixels are counted from 0 (A. Mathis et al., "DeepLabCut", Nature Neuroscience 2018; D. Biderman
et al., "Lightning Pose", Nature Methods 2024).
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from facekp.core.errors import DataError, skip_or_raise
from facekp.data.formats.base import (
    AnnotationFile,
    AnnotationFormat,
    FaceEntry,
    ReadOptions,
    apply_visibility,
    check_size,
    delimiter_of,
    encoding_of,
    sound_rows,
)

_HEADERS = ("scorer", "individuals", "bodyparts", "coords")
_REMEDY = "correct the row; a missing point has empty cells"


class DeepLabCutCsv(AnnotationFormat):
    """One row per image, three or four header rows."""

    name = "deeplabcut"
    example = "scorer,me,me / bodyparts,nose,nose / coords,x,y\nlabeled-data/a/img001.png,31.5,40"

    def recognises(self, path: Path, head: str) -> bool:
        """By the first header rows."""
        lines = head.lower().split("\n", 4)
        delimiter = delimiter_of(lines[0])
        return lines[0].startswith(f"scorer{delimiter}") and any(
            line.startswith(f"bodyparts{delimiter}") for line in lines[1:3]
        )

    def read(self, path: Path, options: ReadOptions) -> AnnotationFile:
        """Read a file; an individual without any point is left out."""
        check_size(path)
        try:
            with path.open(newline="", encoding=encoding_of(path)) as stream:
                delimiter = delimiter_of(stream.readline())
                stream.seek(0)
                reader = csv.reader(stream, delimiter=delimiter)
                rows = [(reader.line_num, row) for row in reader]
        except OSError as error:
            raise DataError(path, f"cannot be read ({error.strerror})", "check it") from error
        except (UnicodeError, csv.Error) as error:
            raise DataError(path, f"not a CSV file ({error})", "export it again") from error
        return _Table(path, rows, options).read()


class _Table:
    def __init__(self, path: Path, rows: list[tuple[int, list[str]]], options: ReadOptions) -> None:
        self.path, self.options = path, options
        self.headers: dict[str, list[str]] = {}
        while rows and rows[0][1] and rows[0][1][0].strip().lower() in _HEADERS:
            row = rows.pop(0)[1]
            self.headers[row[0].strip().lower()] = [cell.strip() for cell in row]
        self.rows = [(line, row) for line, row in rows if any(row)]
        for name in ("bodyparts", "coords"):
            if name not in self.headers:
                raise DataError(path, f"no header row {name}", "export the file again", 1)
        self.width = len(self.headers["coords"])
        if any(len(row) != self.width for row in self.headers.values()):
            raise DataError(path, "header rows of different lengths", "export the file again", 1)

    def read(self) -> AnnotationFile:
        columns = self._columns()
        individuals = list(dict.fromkeys(who for who, _, _ in columns))
        names = list(dict.fromkeys(name for _, name, _ in columns))
        kept = [(line, row) for line, row in self.rows if self._is_whole(line, row)]
        faces: list[FaceEntry] = []
        for who in individuals:
            points = np.full((len(kept), len(names), 2), np.nan)
            visibility = np.full((len(kept), len(names)), 2.0)
            for (person, name, coord), at in columns.items():
                if person != who:
                    continue
                values = [float(row[at] or "nan") for _, row in kept]
                if coord == "visible":
                    visibility[:, names.index(name)] = values
                else:
                    points[:, names.index(name), "xy".index(coord)] = values
            occluded = apply_visibility(points, visibility)
            places = [(self.path, line) for line, _ in kept]
            good = sound_rows(points, names, places, self.options.problems)
            if len(individuals) > 1:
                good &= ~np.isnan(points).all(axis=(1, 2))
            faces += [
                FaceEntry(
                    self._image(kept[row][1]),
                    points[row],
                    self.path,
                    line=kept[row][0],
                    occluded=None if occluded is None else occluded[row],
                )
                for row in np.flatnonzero(good)
            ]
        return AnnotationFile(names, faces)

    def _columns(self) -> dict[tuple[str, str, str], int]:
        """Columns by individual, body part and coordinate."""
        who = self.headers.get("individuals", [""] * self.width)
        found: dict[tuple[str, str, str], int] = {}
        for at, coord in enumerate(self.headers["coords"]):
            key = (who[at], self.headers["bodyparts"][at], coord.lower())
            if at == 0 or key[2] not in ("x", "y", "visible"):
                continue
            if key in found:
                raise DataError(self.path, f"{' '.join(key)} twice", "rename one of them", 1)
            found[key] = at
        for person, name, coord in found:
            other = {"x": "y", "y": "x"}.get(coord, "x")
            if (person, name, other) not in found:
                raise DataError(self.path, f"{name} has no {other}", "export the file again", 1)
        if not found:
            raise DataError(self.path, "no columns x and y", "export the file again", 1)
        self.start = min(found.values())
        return found

    def _is_whole(self, line: int, row: list[str]) -> bool:
        problem = ""
        if len(row) != self.width:
            problem = f"{len(row)} cells, the headers have {self.width}"
        elif not any(row[: self.start]):
            problem = "no image is named"
        else:
            try:
                for text in row[self.start :]:
                    float(text or "nan")
            except ValueError:
                problem = f"{text[:40]!r} is not a number"
        if problem:
            skip_or_raise(DataError(self.path, problem, _REMEDY, line), self.options.problems)
        return not problem

    def _image(self, row: list[str]) -> str:
        """The image's path, which newer files spread over three columns."""
        return "/".join(cell.strip() for cell in row[: self.start] if cell.strip())
