"""Pictures of faces: points, lines, labels and grids. Nothing else knows colours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from facekp.landmarks import LandmarkScheme

TRUTH = (40, 205, 80)
PREDICTION = (235, 50, 50)
_SHIFT = 4


def draw_points(
    image: np.ndarray,
    keypoints: np.ndarray,
    colour: tuple[int, int, int] = PREDICTION,
    scheme: LandmarkScheme | None = None,
    scale: float = 1.0,
    radius: float | None = None,
) -> np.ndarray:
    """A picture with points on it.

    Args:
        image: (H, W, 3) or (H, W) uint8; it is not changed.
        keypoints: (K, 2) pixels of the image.
        colour: RGB.
        scheme: draws its lines too, where all its points are given.
        scale: the picture is enlarged as often first, so that points stay small.
        radius: of a point in pixels of the result; None fits it to the picture.

    Returns:
        (H * scale, W * scale, 3) uint8.
    """
    canvas = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    canvas = np.ascontiguousarray(canvas)
    if scale != 1:
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        canvas = cv2.resize(canvas, None, fx=scale, fy=scale, interpolation=interpolation)
    else:
        canvas = canvas.copy()
    points = (np.asarray(keypoints, dtype=float) + 0.5) * scale - 0.5
    if radius is None:
        radius = float(np.clip(min(canvas.shape[:2]) / 130, 1.0, 6.0))
    if scheme is not None and len(points) == scheme.count:
        for chain in scheme.lines:
            line = np.round(points[list(chain)] * 2**_SHIFT).astype(np.int32)
            width = max(1, round(radius / 2))
            cv2.polylines(canvas, [line], False, colour, width, cv2.LINE_AA, _SHIFT)
    for x, y in points:
        if np.isfinite([x, y]).all() and max(abs(x), abs(y)) < 1e5:
            at = (round(x * 2**_SHIFT), round(y * 2**_SHIFT))
            cv2.circle(canvas, at, round(radius * 2**_SHIFT), colour, -1, cv2.LINE_AA, _SHIFT)
    return canvas


def label(image: np.ndarray, text: str) -> np.ndarray:
    """A copy of a picture (H, W, 3) with a line of text on its lower edge."""
    canvas = image.copy()
    height, width = canvas.shape[:2]
    size = max(0.35, width / 640)
    thick = max(1, round(size * 1.5))
    (wide, tall), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, thick)
    band = tall + below + 6
    canvas[-band:] = (canvas[-band:] * 0.35).astype(np.uint8)
    at = (max(3, (width - wide) // 2), height - below - 2)
    cv2.putText(
        canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), thick, cv2.LINE_AA
    )
    return canvas


def grid(pictures: Sequence[np.ndarray], columns: int, gap: int = 4) -> np.ndarray:
    """Pictures (H, W, 3) of one size side by side on white."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    columns = min(columns, len(pictures))
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        y, x = (number // columns) * (height + gap), (number % columns) * (width + gap)
        sheet[y : y + height, x : x + width] = picture
    return sheet


def save(path: str | Path, picture: np.ndarray) -> None:
    """Write a picture (H, W, 3); the name's ending decides the format."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
