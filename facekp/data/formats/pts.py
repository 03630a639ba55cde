"""`.pts` files, in which iBUG distributes its annotations: pixels are counted from 1.

Format: `version: 1`, `n_points: K`, `{`, K rows `x y`, `}`
(C. Sagonas et al., "300 faces in-the-wild challenge", IMAVIS 2016).
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facekp.core.errors import ConfigError, DataError, skip_or_raise
from facekp.core.files import IMAGE_SUFFIXES, atomic_write_text, make_folder, read_small_text
from facekp.core.geometry import MAX_PIXEL
from facekp.core.landmarks import LandmarkScheme
from facekp.data.formats.base import (
    AnnotationFile,
    FaceEntry,
    ReadOptions,
    WritableFormat,
    WrittenFace,
)

_REMEDY = "a .pts file has `n_points: K`, `{`, K rows `x y` and `}`"


def read_pts(path: str | Path, count: int | None = 68) -> np.ndarray:
    """Read points (count, 2) in pixels, counted from 0; None: as many as there are.

    Raises:
        DataError: a missing file, a wrong count, a row that is not two finite numbers, or missing
            braces; names file and line.
    """
    path = Path(path)
    lines = read_small_text(path).split("\n")
    rows = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    texts = [text for _, text in rows]
    if "{" not in texts or texts[-1] != "}":
        raise DataError(
            path, "not a .pts file: braces missing", _REMEDY, rows[-1][0] if rows else 1
        )
    start = texts.index("{")
    body = rows[start + 1 : -1]
    count = len(body) if count is None else count
    for line, text in rows[:start]:
        key, _, value = text.partition(":")
        if key.strip() == "n_points" and value.strip() != str(count):
            raise DataError(
                path, f"{count} points expected, stated {value.strip()!r}", _REMEDY, line
            )
    if len(body) != count:
        line = rows[-1][0]
        raise DataError(path, f"{count} points expected, {len(body)} found", _REMEDY, line)
    points = np.empty((count, 2))
    for index, (line, text) in enumerate(body):
        try:
            x, y = map(float, text.split())
        except ValueError as error:
            raise DataError(path, f"not a point: {text[:60]!r}", _REMEDY, line) from error
        if not (math.isfinite(x) and math.isfinite(y)):
            raise DataError(path, f"point {index} is not finite: {text[:60]!r}", _REMEDY, line)
        if max(abs(x), abs(y)) > MAX_PIXEL:
            raise DataError(
                path, f"point {index} is far outside the image: {text[:60]!r}", _REMEDY, line
            )
        points[index] = x, y
    return points - 1.0


class PtsFolder(WritableFormat):
    """A folder with a `.pts` file beside each image, under the same name."""

    name = "pts"
    suffix = ""
    upright = False
    copies_images = True
    holds_occlusion = holds_groups = False
    example = (
        "version: 1 / n_points: 68 / {      (a.pts beside a.jpg, pixels counted from 1)\n31.5 40.0"
    )

    def recognises(self, path: Path, head: str) -> bool:
        """A folder with such a file in it."""
        return path.is_dir() and next(path.rglob("*.pts"), None) is not None

    def read(self, path: Path, options: ReadOptions) -> AnnotationFile:
        """Read a folder with its subfolders; all files have the same number of points."""
        files = sorted(path.rglob("*.pts")) if path.is_dir() else [path]
        faces: list[FaceEntry] = []
        count = None
        for file in files:
            try:
                points = read_pts(file, count)
            except DataError as error:
                skip_or_raise(error, options.problems)
                continue
            count = len(points)
            faces.append(FaceEntry(_image_beside(file), points, file))
        return AnnotationFile([str(at) for at in range(count or 0)], faces, counted=True)

    def write(self, path: Path, faces: Sequence[WrittenFace], scheme: LandmarkScheme) -> None:
        """Write a file per face, and a copy of its image beside it.

        Raises:
            ConfigError: a face lacks a point, which the format cannot say; the folder is not empty.
        """
        if path.is_dir() and any(path.iterdir()):
            raise ConfigError(f"format=pts: {path} is not empty; choose another output=")
        for face in faces:
            if face.keypoints is None or np.isnan(face.keypoints).any():
                problem = f"{face.image}: a face lacks points, which .pts files cannot say"
                raise ConfigError(f"format=pts: {problem}; choose coco, csv or dlib")
        for face in faces:
            assert face.keypoints is not None
            image, number = path / face.image, 1
            while image.with_suffix(".pts").exists():  # a second face of the same photo
                number += 1
                image = (path / face.image).with_stem(f"{Path(face.image).stem}_{number}")
            make_folder(image.parent)
            write_pts(image.with_suffix(".pts"), face.keypoints)
            if face.source is not None:
                shutil.copyfile(face.source, image)


def _image_beside(file: Path) -> Path | str:
    """The image of the same name; the bare name if there is none."""
    for suffix in IMAGE_SUFFIXES:
        for image in (file.with_suffix(suffix), file.with_suffix(suffix.upper())):
            if image.is_file():
                return image
    return file.stem


def write_pts(path: str | Path, keypoints: np.ndarray) -> None:
    """Write points (K, 2) in pixels, counted from 0, as a `.pts` file."""
    rows = [f"{x:.6f} {y:.6f}" for x, y in np.asarray(keypoints) + 1.0]
    head = ["version: 1", f"n_points: {len(rows)}", "{"]
    atomic_write_text(path, "\n".join([*head, *rows, "}", ""]))
