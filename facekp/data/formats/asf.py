"""IMM's `.asf` files (AAM Shape File).

Format note: appendix A of `imm_face_db.pdf` (Nordstrøm et al., "The IMM Face Database", DTU 2004).
`#` starts a comment; the first value is the number of points; one row per point follows
(`path type x y index from to`, some files have more columns); the last value names the image. x and
y are pixel positions 0 ... width-1 divided by the width (0 ... height-1 by the height).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facekp.core.errors import DataError
from facekp.core.files import read_small_text

MAX_RATIO = 100.0
"""Ratios beyond this are treated as mistakes."""


@dataclass(frozen=True, eq=False)
class AsfShape:
    """Contents of an `.asf` file.

    Args:
        ratios: (K, 2) float, x / width and y / height as stored.
        image_name: file name of the image.
    """

    ratios: np.ndarray
    image_name: str

    def keypoints(self, size: tuple[int, int]) -> np.ndarray:
        """Points (K, 2) in pixels of the image, whose size is (height, width)."""
        return self.ratios * np.array(size[::-1], dtype=float)


def read_asf(path: str | Path, count: int = 58) -> AsfShape:
    """Read an `.asf` file.

    Args:
        path: the file.
        count: number of points that it must have.

    Raises:
        DataError: a missing file, a wrong count, a row that is not a point, or a number that is not
            finite; names file and line.
    """
    path = Path(path)
    rows = _data_rows(path)
    remedy = "restore the file from the official archive"
    if len(rows) < 2:
        raise DataError(path, "not an .asf file: no points", remedy)
    line, text = rows[0]
    if text != str(count):
        raise DataError(
            path, f"{count} points expected, the file states {text[:20]!r}", remedy, line
        )
    if len(rows) != count + 2:
        raise DataError(
            path,
            f"{count} points and an image name expected, {len(rows) - 1} rows found",
            remedy,
            rows[-1][0],
        )
    ratios = np.empty((count, 2))
    for index, (line, text) in enumerate(rows[1:-1]):
        fields = text.split()
        try:
            x, y, stated = float(fields[2]), float(fields[3]), int(fields[4])
        except (IndexError, ValueError) as error:
            problem = f"not a point (path type x y index from to): {text[:60]!r}"
            raise DataError(path, problem, remedy, line) from error
        if not (math.isfinite(x) and math.isfinite(y)):
            raise DataError(path, f"point {index} is not finite: {x}, {y}", remedy, line)
        if max(abs(x), abs(y)) > MAX_RATIO:
            problem = f"point {index} is far outside the image: {x:g}, {y:g}"
            raise DataError(path, problem, remedy, line)
        if stated != index:
            raise DataError(path, f"point {index} expected, found {stated}", remedy, line)
        ratios[index] = x, y
    line, name = rows[-1]
    if name != Path(name).name or len(name.split()) != 1:
        problem = f"the image must be a file name in the same folder: {name[:60]!r}"
        raise DataError(path, problem, remedy, line)
    return AsfShape(ratios, name)


def write_asf(
    path: str | Path,
    keypoints: np.ndarray,
    size: tuple[int, int],
    image_name: str,
    paths: Sequence[tuple[Sequence[int], bool]],
) -> None:
    """Write points as an `.asf` file.

    Args:
        path: the file.
        keypoints: (K, 2) pixels.
        size: (height, width) of the image.
        image_name: file name of the image, in the same folder.
        paths: chains of indices, each with whether it is closed; together every point once, in
            order.
    """
    ratios = keypoints / np.array(size[::-1], dtype=float)
    lines = ["# number of model points", str(len(keypoints)), "# model points"]
    for number, (chain, closed) in enumerate(paths):
        path_type = 0 if closed else 4
        for at, index in enumerate(chain):
            before = chain[at - 1] if at or closed else index
            after = chain[(at + 1) % len(chain)] if closed or at + 1 < len(chain) else index
            x, y = ratios[index]
            lines.append(
                f"{number} \t{path_type} \t{x:.8f} \t{y:.8f} \t{index} \t{before} \t{after}"
            )
    lines += ["# host image", image_name, ""]
    Path(path).write_text("\n".join(lines), encoding="ascii")


def _data_rows(path: Path) -> list[tuple[int, str]]:
    """(line number, text) of the rows that are neither blank nor comments."""
    lines = read_small_text(path).split("\n")
    rows = ((number, line.partition("#")[0].strip()) for number, line in enumerate(lines, 1))
    return [(number, line) for number, line in rows if line]
