"""Pictures of faces: points, lines, labels and grids. Nothing else knows colours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from facekp.core.geometry import denormalize_points
from facekp.core.landmarks import LandmarkScheme

Colour = tuple[int, int, int]

TRUTH: Colour = (40, 205, 80)
PREDICTION: Colour = (235, 50, 50)
BOX: Colour = (255, 200, 40)
# Of charts. Ink is a colour that nothing else has: in an SVG it becomes that of the page's text.
INK = "#1d2127"
TRAINING, VALIDATION, BASELINE = "#3b82c4", "#e0662b", "#8d949e"
_SHIFT = 4


def draw_points(
    image: np.ndarray,
    keypoints: np.ndarray,
    colour: Colour = PREDICTION,
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
        share = 130 if len(points) > 5 else 65
        radius = float(np.clip(min(canvas.shape[:2]) / share, 1.0, 6.0))
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


def picture_of_view(
    view: np.ndarray,
    layers: Sequence[tuple[np.ndarray, Colour]],
    scheme: LandmarkScheme,
    width: int = 300,
) -> np.ndarray:
    """What a network sees, with points on it.

    Args:
        view: (C, H, W) uint8, grey or RGB.
        layers: sets of points (K, 2) in normalised coordinates and their colours, lowest first.
        scheme: draws its lines too, where all its points are given.
        width: of the result.

    Returns:
        (about H * width / W, width, 3) uint8.
    """
    pixels = np.broadcast_to(view.transpose(1, 2, 0), (*view.shape[1:], 3))
    canvas = fit(pixels, (round(view.shape[1] * width / view.shape[2]), width))
    for points, colour in layers:
        there = denormalize_points(points.astype(float), canvas.shape[:2])
        canvas = draw_points(canvas, there, colour, scheme)
    return canvas


def draw_box(image: np.ndarray, box: np.ndarray, colour: Colour = BOX) -> np.ndarray:
    """A copy of a picture (H, W, 3) with a box (4,) in its pixels."""
    canvas = image.copy()
    corners = np.round(np.clip(box, -1e5, 1e5) * 2**_SHIFT).astype(int).tolist()
    width = max(1, round(min(canvas.shape[:2]) / 250))
    cv2.rectangle(
        canvas, tuple(corners[:2]), tuple(corners[2:]), colour, width, cv2.LINE_AA, _SHIFT
    )
    return canvas


def heat(values: np.ndarray) -> np.ndarray:
    """(H, W) numbers as a picture (H, W, 3), from dark (lowest) to bright (highest)."""
    low, high = float(values.min()), float(values.max())
    grey = np.round(255 * (values - low) / max(high - low, 1e-12)).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)


def signed(values: np.ndarray) -> np.ndarray:
    """(H, W) numbers as a picture (H, W, 3): blue below zero, white at zero, red above."""
    share = values / max(float(np.abs(values).max()), 1e-12)
    fade = np.round(255 * (1 - np.abs(share))).astype(np.uint8)
    full = np.full_like(fade, 255)
    above, below = np.stack([full, fade, fade], -1), np.stack([fade, fade, full], -1)
    return np.where(share[..., None] > 0, above, below)


def enlarge(picture: np.ndarray, times: int) -> np.ndarray:
    """A picture (H, W, 3) with each pixel as a block of `times x times`."""
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def fit(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture (H, W, 3) scaled into `size` (height, width), on grey where it is narrower."""
    scale = min(size[0] / picture.shape[0], size[1] / picture.shape[1])
    shape = [max(1, round(side * scale)) for side in picture.shape[:2]]
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(picture, (shape[1], shape[0]), interpolation=interpolation)
    canvas = np.full((*size, 3), 128, np.uint8)
    top, left = (size[0] - shape[0]) // 2, (size[1] - shape[1]) // 2
    canvas[top : top + shape[0], left : left + shape[1]] = small
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
    """Pictures (H, W, 3) of one size side by side."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    columns = min(columns, len(pictures))
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 200, np.uint8)
    for number, picture in enumerate(pictures):
        y, x = (number // columns) * (height + gap), (number % columns) * (width + gap)
        sheet[y : y + height, x : x + width] = picture
    return sheet


def save(path: str | Path, picture: np.ndarray) -> None:
    """Write a picture (H, W, 3); the name's ending decides the format."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Whole chroma: thin coloured lines would be blurred. (PNG takes neither setting.)
    jpeg: dict[str, Any] = {"quality": 85, "subsampling": 0} if path.suffix == ".jpg" else {}
    Image.fromarray(picture).save(path, **jpeg)
