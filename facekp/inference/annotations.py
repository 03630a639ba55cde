"""Faces of photos that were found before, or by hand."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facekp.data.formats.dlib_xml import read_dlib_xml
from facekp.inference.detectors import DlibDetector, check_boxes
from facekp.core.errors import DataError
from facekp.core.geometry import apply_map
from facekp.core.image import upright_map

COLUMNS = ("left", "top", "right", "bottom")

Entry = tuple[np.ndarray, np.ndarray]
"""A face's box (4,) and points (K, 2), of which there may be none."""


class GivenFaces:
    """Boxes of faces, and their points if asked for, from a dlib XML or a CSV.

    A photo's entries are those whose path is the end of its own: `b.jpg` and `a/b.jpg` both name
    `photos/a/b.jpg`, and the longer one is taken.

    Args:
        path: dlib XML, which counts pixels as they are stored in the file, or a CSV with the
            columns file, left, top, right, bottom, whose numbers are edges `xyxy` in the photo
            turned upright, perhaps box_kind, and x0, y0, x1, ... for points; a `predictions.csv` of
            photos is one.
        count: points each face must have; None reads the boxes alone.

    Raises:
        DataError: missing or broken file, a missing column, a number that is not finite, an empty
            box, boxes of video frames or of several kinds, a face without its points; with file
            and line.
    """

    kind: str
    """What the boxes are, see `Detector.kind`; dlib's where the file does not say."""

    def __init__(self, path: str | Path, count: int | None = None) -> None:
        self.path, self.count = Path(path), count
        self.kind = DlibDetector.kind
        self._stored = self.path.suffix.lower() == ".xml"
        self._faces: dict[tuple[str, ...], list[Entry]] = {}
        for file, face in self._xml() if self._stored else self._csv():
            parts = Path(os.path.normpath(file.replace("\\", "/"))).parts
            while parts and parts[0] == "..":
                parts = parts[1:]
            self._faces.setdefault(parts, []).append(face)
        self._used: set[tuple[str, ...]] = set()

    def of(self, photo: Path) -> np.ndarray | None:
        """Boxes (N, 4) of a photo turned upright, None where it has no entry.

        Raises:
            DataError: a photo that cannot be opened.
        """
        found = self._entry(photo)
        if found is None:
            return None
        boxes = np.array([box for box, _ in found])
        if not self._stored:
            return boxes
        corners = apply_map(upright_map(photo), boxes.reshape(-1, 2, 2))
        return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)

    def points_of(self, photo: Path) -> np.ndarray | None:
        """Points (N, count, 2) of a photo turned upright, None where it has no entry.

        Raises:
            DataError: a photo that cannot be opened.
        """
        found = self._entry(photo)
        if found is None:
            return None
        points = np.array([points for _, points in found])
        return apply_map(upright_map(photo), points) if self._stored else points

    def unused(self) -> list[str]:
        """Files that have faces here, which no photo had."""
        return ["/".join(parts) for parts in self._faces if parts not in self._used]

    def _entry(self, photo: Path) -> list[Entry] | None:
        parts = Path(os.path.abspath(photo)).parts  # noqa: PTH100  # takes out `..`, not links
        for first in range(len(parts)):
            if parts[first:] in self._faces:
                self._used.add(parts[first:])
                return self._faces[parts[first:]]
        return None

    def _xml(self) -> Iterator[tuple[str, Entry]]:
        for face in read_dlib_xml(self.path, self.count):
            if self.count is not None and face.keypoints is None:
                problem, remedy = f"{face.file}: a face without points", "add them, or remove it"
                raise DataError(self.path, problem, remedy, face.line)
            points = np.empty((0, 2)) if face.keypoints is None else face.keypoints
            yield face.file, (face.bbox, points)

    def _csv(self) -> Iterator[tuple[str, Entry]]:
        names = [f"{axis}{point}" for point in range(self.count or 0) for axis in "xy"]
        points = f", {names[0]}, {names[1]}, ... {names[-1]}" if names else ""
        remedy = f"give a CSV with the columns file, {', '.join(COLUMNS)}{points}"
        kinds: set[str] = set()
        try:
            with self.path.open(newline="", encoding="utf-8-sig") as stream:
                reader = csv.DictReader(stream, skipinitialspace=True)
                there = reader.fieldnames or ()
                missing = [name for name in ("file", *COLUMNS, *names) if name not in there]
                if missing:
                    listed = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
                    raise DataError(self.path, f"columns missing: {listed}", remedy, 1)
                for row in reader:
                    try:
                        face = self._face(row, names, kinds)
                    except ValueError as error:
                        line = reader.line_num
                        raise DataError(self.path, f"not a face: {error}", remedy, line) from error
                    yield row["file"].strip(), face
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
            raise DataError(self.path, problem, "check the path") from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(self.path, f"not a CSV file ({error})", remedy) from error
        if kinds:
            (self.kind,) = kinds

    def _face(self, row: dict[str, str | None], names: list[str], kinds: set[str]) -> Entry:
        numbers = np.array([float(row[name] or "nan") for name in (*COLUMNS, *names)])
        if not (row["file"] or "").strip():
            raise ValueError("no file is named")
        if (row.get("frame") or "0").strip() != "0":
            raise ValueError("it belongs to a frame of a video")
        kinds.add((row.get("box_kind") or self.kind).strip())
        if len(kinds) > 1:
            raise ValueError(f"boxes of several kinds ({', '.join(sorted(kinds))}) in one file")
        check_boxes(numbers[None, :4])
        if not np.isfinite(numbers).all():
            raise ValueError("a point is missing, or no number")
        return numbers[:4], numbers[4:].reshape(-1, 2)
