"""CSV files of points, one row per face, as people write them.

* A column with the image's name: `file`, `image`, `filename`, `path`, ..., or else the first.
* Points as `NAME_x, NAME_y`, as `x_NAME, y_NAME`, `x0, y0`, or as a run of numbered or unnamed
  columns x, y, x, y, ... A missing point has empty cells. `NAME_v` is COCO's visibility
  (0 missing, 1 occluded, 2 visible).
* Optional: a box (`left, top, right, bottom`, `xmin, ...`, `left, top, width, height`, `box_x,
  box_y, box_w, box_h`), `split`, `group`, and the image's size (`image_width, image_height`).

Separated by commas, semicolons (then decimal commas are accepted) or tabs. Coordinates are pixels,
the centre of the top-left pixel being (0, 0); boxes are edges in the same coordinates.
"""

from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from operator import itemgetter
from pathlib import Path

import numpy as np

from facekp.core.columns import BOX_COLUMNS, point_columns
from facekp.core.errors import ConfigError, DataError, skip_or_raise
from facekp.core.files import IMAGE_SUFFIXES, atomic_write_text
from facekp.core.geometry import Size, sound_boxes
from facekp.core.landmarks import LandmarkScheme
from facekp.data.formats.base import (
    AnnotationFile,
    FaceEntry,
    ReadOptions,
    WritableFormat,
    WrittenFace,
    apply_visibility,
    check_size,
    delimiter_of,
    encoding_of,
    sound_rows,
    split_named,
)
from facekp.data.formats.csv_columns import Columns

_MISSING = {"", "nan", "na", "n/a", "null", "none", "-", "?"}
_REMEDY = "correct the row; a missing point has empty cells"


class PointsCsv(WritableFormat):
    """One row per face."""

    name = "csv"
    suffix = ".csv"
    generic = True
    example = "file,nose_x,nose_y,left_eye_x,left_eye_y\na.jpg,31.5,40,25,33.25"

    def recognises(self, path: Path, head: str) -> bool:
        """By its suffix, or a first row with points, or with an image's name before numbers."""
        if path.suffix.lower() in (".csv", ".tsv") and head.strip():
            return True  # so that its own errors say what is wrong
        lines = head.split("\n", 2)
        if len(lines) < 2 or not head or head.lstrip()[:1] in ("{", "[", "<"):
            return False
        delimiter = delimiter_of(lines[0])
        if delimiter not in lines[0] or lines[0].lower().startswith("scorer"):
            return False
        try:
            Columns(path, next(csv.reader([lines[0]], delimiter=delimiter)))
        except (DataError, csv.Error, StopIteration):
            return False
        return True

    def read(self, path: Path, options: ReadOptions) -> AnnotationFile:
        """Read a CSV file; see the module for the columns."""
        return _Reader(path, options).read()

    def write(self, path: Path, faces: Sequence[WrittenFace], scheme: LandmarkScheme) -> None:
        """Write one row per face, with box, size, split and group.

        Raises:
            ConfigError: two points whose names differ only in case, as headings do not.
        """
        if len({name.lower() for name in scheme.point_names}) < scheme.count:
            raise ConfigError(
                "format=csv: names of points that differ only in case are one to it; choose coco "
                "or dlib"
            )
        occluded = any(face.occluded is not None for face in faces)
        names = point_columns(scheme.point_names, "xyv" if occluded else "xy")
        head = ["file", *BOX_COLUMNS, "image_width", "image_height", "split", "group"]
        text = io.StringIO()
        table = csv.writer(text)
        table.writerow([*head, *names])
        for face in faces:
            box = [f"{value:.7f}" for value in face.bbox]
            size = [face.size[1], face.size[0], face.split, face.group]
            table.writerow([face.image, *box, *size, *_point_cells(face, scheme, occluded)])
        atomic_write_text(path, text.getvalue())


def _point_cells(face: WrittenFace, scheme: LandmarkScheme, with_v: bool) -> Iterator[str]:
    for (x, y), occluded in zip(*face.labels(scheme.count), strict=True):
        missing = bool(np.isnan(x))
        yield from ("", "") if missing else (f"{x:.7f}", f"{y:.7f}")
        if with_v:
            yield "0" if missing else ("1" if occluded else "2")


def _is_comment(line: str) -> bool:
    """Whether a line before the header says nothing: blank, `# ...`, or Excel's `sep=;`."""
    text = line.strip(" \r\n\t,;")
    return (not text and "\n" in line) or text.startswith("#") or text.lower().startswith("sep=")


class _Reader:
    def __init__(self, path: Path, options: ReadOptions) -> None:
        self.path, self.options = path, options
        self.decimal_comma = False
        self.lines: list[int] = []
        self.cells: list[tuple[str, str, str | None]] = []  # image, split, group
        self.numbers = array("d")

    def read(self) -> AnnotationFile:
        check_size(self.path)
        with (
            self._reported(),
            self.path.open(newline="", encoding=encoding_of(self.path)) as stream,
        ):
            line = stream.readline()
            while line and _is_comment(line):
                line = stream.readline()
            delimiter = delimiter_of(line)
            self.decimal_comma = delimiter != ","
            stream.seek(0)
            rows = csv.reader(stream, delimiter=delimiter)
            lines = (row for row in rows if any(map(str.strip, row)))
            first = next((row for row in lines if not _is_comment(delimiter.join(row))), [])
            self.columns = Columns(self.path, first, self.options.group)
            if not self.columns.has_header:
                self._row(first, rows.line_num)
            for row in rows:
                if any(row) and not (row[0].startswith("#") and self._is_note(row)):
                    self._row(row, rows.line_num)
        return self._file()

    def _is_note(self, row: list[str]) -> bool:
        """Whether a row that begins with `#` is a comment, and not a face of such an image."""
        return (
            len(row) != len(self.columns.headings)
            or not any(row[1:])
            or not row[self.columns.image].lower().endswith(IMAGE_SUFFIXES)
        )

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(self.path, f"cannot be read ({error.strerror})", "check it") from error
        except (UnicodeError, csv.Error) as error:
            problem = f"not a CSV file in UTF-8 ({error})"
            raise DataError(self.path, problem, "save it as CSV, UTF-8") from error

    def _row(self, row: list[str], line: int) -> None:
        columns = self.columns
        width = len(columns.headings)
        if len(row) != width and (len(row) < width or any(row[width:])):
            self._skip(f"{len(row)} cells, the first row has {width}", line)
            return
        image = row[columns.image].strip()
        if not image:
            self._skip("no image is named", line)
            return
        split = ""
        if columns.split is not None and row[columns.split].strip():
            try:
                split = split_named(row[columns.split])
            except ValueError as error:
                remedy = "correct the row, or rename the column if it is another split"
                problem = DataError(self.path, str(error), remedy, line)
                skip_or_raise(problem, self.options.problems)
                return
        wanted = self.pick(row)
        try:
            if "_" in "".join(wanted):
                raise ValueError  # Python's float reads 1_0 as 10
            values = list(map(float, wanted))
        except ValueError:
            try:
                values = [self._number(text, at) for at, text in enumerate(wanted)]
            except ValueError as error:
                self._skip(str(error), line)
                return
        group = None if columns.group is None else row[columns.group].strip()
        self.lines.append(line)
        self.cells.append((image, split, group))
        self.numbers.extend(values)

    @cached_property
    def pick(self) -> itemgetter:
        """Picks the cells with numbers out of a row."""
        return itemgetter(*self.columns.numbers)

    def _number(self, text: str, at: int) -> float:
        text = text.strip()
        if text.lower() in _MISSING:
            return float("nan")
        if self.decimal_comma and "." not in text:
            text = text.replace(",", ".")
        try:
            if "_" in text:
                raise ValueError
            return float(text)
        except ValueError:
            column = self.columns.numbers[at]
            heading = self.columns.headings[column] or str(column + 1)
            raise ValueError(f"column {heading}: {text[:40]!r} is not a number") from None

    def _skip(self, problem: str, line: int) -> None:
        skip_or_raise(DataError(self.path, problem, _REMEDY, line), self.options.problems)

    def _file(self) -> AnnotationFile:
        columns, names = self.columns, self.columns.names
        table = np.frombuffer(self.numbers) if self.numbers else np.empty(0)  # without a copy
        table = table.reshape(-1, len(columns.numbers))
        ends = np.cumsum(
            [len(x) for x in (columns.points, columns.visibility, columns.box, columns.size)]
        )
        points, visibility, boxes, sizes = np.split(table, ends[:-1], axis=1)
        points = points.reshape(-1, len(names), 2)
        places = [(self.path, line) for line in self.lines]
        good = sound_rows(points, names, places, self.options.problems)
        occluded = None
        if columns.visibility:
            every = np.full(points.shape[:2], np.nan)
            every[:, columns.visible_points] = visibility
            occluded = apply_visibility(points, every)
        if columns.box_has_sides and columns.box:
            boxes = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
        good &= self._sound_boxes(boxes) if columns.box else True
        has_box = np.asarray(np.isfinite(boxes[:, :1]).any(axis=1))  # none without columns
        faces = [
            FaceEntry(
                image=self.cells[row][0],
                keypoints=points[row],
                file=self.path,
                bbox=boxes[row] if has_box[row] else None,
                line=self.lines[row],
                size=_size(sizes[row]) if columns.size else None,
                occluded=None if occluded is None else occluded[row],
                split=self.cells[row][1],
                group=self.cells[row][2],
            )
            for row in np.flatnonzero(good)
        ]
        unused = columns.unused()
        notes = []
        if unused:
            notes.append(f"columns not used: {', '.join(unused[:8])}{', ...' * (len(unused) > 8)}")
        return AnnotationFile(names, faces, notes=notes, counted=columns.counted)

    def _sound_boxes(self, boxes: np.ndarray) -> np.ndarray:
        """(N,) bool: rows whose box is whole, or not there at all."""
        absent, whole = np.isnan(boxes).all(axis=1), sound_boxes(boxes)
        for row in np.flatnonzero(~(absent | whole)):
            self._skip(f"the box {boxes[row].tolist()} is empty", self.lines[row])
        return absent | whole


def _size(pair: np.ndarray) -> Size | None:
    width, height = pair
    return (int(height), int(width)) if np.isfinite(pair).all() else None
