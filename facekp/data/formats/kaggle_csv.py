"""Kaggle's Facial Keypoints Detection: points and images in one CSV.

`training.csv` has 30 columns of coordinates (`left_eye_center_x`, ...), many of them empty, and
`Image`: 9216 grey values of a 96x96 image, separated by blanks. `test.csv` has `ImageId` and
`Image`. The files may still be in the `.zip` that each comes in.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import cv2
import numpy as np

from facekp.core.errors import DataError, skip_or_raise
from facekp.core.files import atomic_folder
from facekp.core.landmarks import bundled_schemes
from facekp.data.formats.base import (
    MAX_BYTES,
    AnnotationFile,
    AnnotationFormat,
    FaceEntry,
    ReadOptions,
    check_size,
    sound_rows,
)

_REMEDY = "restore the file from the competition's archive"


class KaggleCsv(AnnotationFormat):
    """Kaggle's Facial Keypoints Detection."""

    name = "kaggle"
    example = "left_eye_center_x,left_eye_center_y,...,Image\n66.03,39.0,...,238 236 237 238 ..."

    def recognises(self, path: Path, head: str) -> bool:
        """By the column of grey values."""
        if path.suffix.lower() == ".zip" and path.is_file():
            try:
                with _stream(path) as stream:
                    head = stream.read(4096)
            except DataError:
                return False
        heading, _, rest = head.partition("\n")
        cells = [cell.strip().strip('"') for cell in heading.split(",")]
        last = rest.partition("\n")[0].rpartition(",")[2].strip('"')
        return cells[-1] == "Image" and len(last.split(" ", 9)) == 10

    def read(self, path: Path, options: ReadOptions) -> AnnotationFile:
        """Read a file; its images are written to the cache folder on first use."""
        check_size(path)
        folder = (options.cache_dir or path.parent) / "unpacked" / _key(path)
        entries, names, images = _rows(path, folder, options)
        if not folder.is_dir():
            with atomic_folder(folder) as scratch:
                for line, image in images.items():
                    (scratch / f"{line}.png").write_bytes(image)
        points = np.array([values for _, values in entries]).reshape(len(entries), len(names), 2)
        places = [(path, line) for line, _ in entries]
        good = sound_rows(points, names, places, options.problems)
        faces = [
            FaceEntry(folder / f"{line}.png", points[row], path, line=line)
            for row, (line, _) in enumerate(entries)
            if good[row]
        ]
        kaggle15 = bundled_schemes()["kaggle15"]
        is_kaggle15 = set(names) == set(kaggle15.point_names)
        return AnnotationFile(names, faces, scheme=kaggle15 if is_kaggle15 else None)


def _rows(
    path: Path, folder: Path, options: ReadOptions
) -> tuple[list[tuple[int, list[float]]], list[str], dict[int, bytes]]:
    """(line, coordinates) of each row, the names of the points, and the images as PNG by line.

    Images that are in `folder`, as all sound ones are once they were unpacked, are left out.
    """
    entries: list[tuple[int, list[float]]] = []
    images: dict[int, bytes] = {}
    with _stream(path) as stream:
        rows = csv.reader(stream)
        header = [cell.strip() for cell in next(rows, [])]
        names = [cell.removesuffix("_x") for cell in header if cell.endswith("_x")]
        wanted = [f"{name}_{axis}" for name in names for axis in "xy"]
        missing = [name for name in (*wanted, "Image") if name not in header]
        if missing:
            raise DataError(path, f"columns missing: {', '.join(missing[:5])}", _REMEDY, 1)
        if not names:  # test.csv
            names = list(bundled_schemes()["kaggle15"].point_names)
            wanted = []
        at = [header.index(name) for name in wanted]
        for number, row in enumerate(rows, 2):
            try:
                if len(row) != len(header):
                    raise ValueError(f"{len(row)} cells, the first row has {len(header)}")
                values = [float(row[i] or "nan") for i in at] or [math.nan] * 2 * len(names)
                if not (folder / f"{number}.png").is_file():
                    images[number] = _png(row[header.index("Image")])
            except ValueError as error:
                skip_or_raise(DataError(path, str(error), _REMEDY, number), options.problems)
                continue
            entries.append((number, values))
    return entries, names, images


def _png(cell: str) -> bytes:
    texts = cell.split()
    side = math.isqrt(len(texts))
    if side * side != len(texts) or not side:
        raise ValueError(f"an image of {len(texts)} grey values is not square")
    try:
        values = np.array(texts, dtype=np.float64)
    except ValueError:
        raise ValueError("a grey value is not a number") from None
    if not ((values >= 0) & (values <= 255)).all():
        raise ValueError("a grey value is not from 0 to 255")
    return cv2.imencode(".png", values.astype(np.uint8).reshape(side, side))[1].tobytes()


def _key(path: Path) -> str:
    """Changes with the file."""
    stat = path.stat()
    state = repr((str(path.absolute()), stat.st_size, stat.st_mtime_ns))
    return hashlib.sha256(state.encode()).hexdigest()[:32]


@contextmanager
def _stream(path: Path) -> Iterator[TextIO]:
    """The CSV as text, out of its `.zip` if it is in one."""
    try:
        if path.suffix.lower() != ".zip":
            with path.open(newline="", encoding="utf-8-sig") as stream:
                yield stream
            return
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if m.filename.lower().endswith(".csv")]
            if len(members) != 1 or members[0].file_size > MAX_BYTES:
                problem = f"{len(members)} CSV files of a fitting size in it, not one"
                raise DataError(path, problem, "unpack it, and name the CSV")
            with archive.open(members[0]) as raw:
                yield io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise DataError(path, f"cannot be read ({error})", "check the path") from error
    except (UnicodeError, csv.Error) as error:
        raise DataError(path, f"not a CSV file ({error})", _REMEDY) from error
