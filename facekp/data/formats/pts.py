"""`.pts` files, in which iBUG distributes its annotations: pixels are counted from 1.

Format: `version: 1`, `n_points: K`, `{`, K rows `x y`, `}`
(C. Sagonas et al., "300 faces in-the-wild challenge", IMAVIS 2016).
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from facekp.core.errors import DataError
from facekp.core.files import read_small_text
from facekp.core.geometry import MAX_PIXEL

_REMEDY = "a .pts file has `n_points: K`, `{`, K rows `x y` and `}`"


def read_pts(path: str | Path, count: int = 68) -> np.ndarray:
    """Read points (count, 2) in pixels, counted from 0.

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
    for line, text in rows[:start]:
        key, _, value = text.partition(":")
        if key.strip() == "n_points" and value.strip() != str(count):
            raise DataError(
                path, f"{count} points expected, stated {value.strip()!r}", _REMEDY, line
            )
    body = rows[start + 1 : -1]
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


def write_pts(path: str | Path, keypoints: np.ndarray) -> None:
    """Write points (K, 2) in pixels, counted from 0, as a `.pts` file."""
    rows = [f"{x:.6f} {y:.6f}" for x, y in np.asarray(keypoints) + 1.0]
    head = ["version: 1", f"n_points: {len(rows)}", "{"]
    Path(path).write_text("\n".join([*head, *rows, "}", ""]), encoding="ascii")
