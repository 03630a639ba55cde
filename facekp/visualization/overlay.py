"""Pictures of faces: points, skeletons, boxes, captions and grids; the colours of all pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from PIL import Image

from facekp.core.geometry import bounding_box, denormalize_points
from facekp.core.landmarks import LandmarkScheme, bundled_schemes
from facekp.core.photo import Photo, as_rgb

Colour = tuple[int, int, int]

TRUTH: Colour = (40, 205, 80)
PREDICTION: Colour = (235, 50, 50)
BOX: Colour = (255, 200, 40)
# Of charts. Nothing else has the colour INK: in an SVG it is replaced by the page's text colour.
INK = "#1d2127"
TRAINING, VALIDATION, BASELINE = "#3b82c4", "#e0662b", "#8d949e"
_SHIFT = 4  # fractional bits of OpenCV's coordinates


class AnyFace(Protocol):
    """What drawing needs of a face."""

    @property
    def keypoints(self) -> np.ndarray:
        """(K, 2) pixels of the photo."""


def draw_points(
    image: np.ndarray,
    keypoints: np.ndarray,
    colour: Colour = PREDICTION,
    scheme: LandmarkScheme | None = None,
    scale: float = 1.0,
    radius: float | None = None,
) -> np.ndarray:
    """An image with points drawn on it.

    Args:
        image: (H, W, 3) or (H, W) uint8; not modified.
        keypoints: (K, 2) pixels of the image; missing (nan) ones are not drawn.
        colour: RGB.
        scheme: draws its skeleton, too, if there is one point per landmark.
        scale: factor by which the image is enlarged first, so that points stay small.
        radius: of a point in pixels of the result; None: in proportion to the image.

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
    _draw_onto(canvas, points, colour, scheme, radius)
    return canvas


def _draw_onto(
    canvas: np.ndarray,
    points: np.ndarray,
    colour: Colour,
    scheme: LandmarkScheme | None,
    radius: float,
) -> None:
    """Draw points (K, 2) and skeleton onto an image (H, W, 3)."""
    if scheme is not None and len(points) == scheme.count:
        width = max(1, round(radius / 2))
        for chain in scheme.skeleton:
            for line in _present_runs(points[list(chain)]):
                fixed = np.round(line * 2**_SHIFT).astype(np.int32)
                cv2.polylines(canvas, [fixed], False, colour, width, cv2.LINE_AA, _SHIFT)
    for x, y in points:
        if np.isfinite([x, y]).all() and max(abs(x), abs(y)) < 1e5:
            at = (round(x * 2**_SHIFT), round(y * 2**_SHIFT))
            cv2.circle(canvas, at, round(radius * 2**_SHIFT), colour, -1, cv2.LINE_AA, _SHIFT)


def draw_crop(
    crop: np.ndarray,
    layers: Sequence[tuple[np.ndarray, Colour]],
    scheme: LandmarkScheme,
    width: int = 300,
) -> np.ndarray:
    """A network's input with points drawn on it.

    Args:
        crop: (C, H, W) uint8, grey or RGB.
        layers: sets of points (K, 2) in normalised coordinates and their colours, lowest first.
        scheme: draws its skeleton, too, if all its points are given.
        width: of the result.

    Returns:
        (about H * width / W, width, 3) uint8.
    """
    pixels = np.broadcast_to(crop.transpose(1, 2, 0), (*crop.shape[1:], 3))
    canvas = letterbox(pixels, (round(crop.shape[1] * width / crop.shape[2]), width))
    for points, colour in layers:
        pixel_points = denormalize_points(points.astype(float), canvas.shape[:2])
        canvas = draw_points(canvas, pixel_points, colour, scheme)
    return canvas


def draw_faces(
    image: Photo,
    faces: Iterable[AnyFace] | AnyFace,
    scheme: LandmarkScheme | None = None,
    *,
    bgr: bool = False,
) -> np.ndarray:
    """A photo (H, W, 3) with the points and skeleton of each face, in a video with its number.

    Args:
        image: path, array, PIL image or tensor, see `facekp.core.photo.Photo`; not modified.
        faces: what a `Predictor` returned for it, or one of them.
        scheme: of the points; None: the known scheme with as many points, if there is one.
        bgr: arrays and tensors have the channels in OpenCV's order; the result is RGB.
    """
    image = as_rgb(image, bgr=bgr).copy()
    for face in faces if isinstance(faces, Iterable) else [faces]:
        points = np.asarray(face.keypoints)
        known = [s for s in bundled_schemes().values() if s.count == len(points)]
        radius = point_radius(points, image.shape[:2])
        skeleton = scheme or (known[0] if known else None)
        _draw_onto(image, points, PREDICTION, skeleton, radius)
        number = getattr(face, "number", None)
        if number is not None and np.isfinite(points).all():
            left, top, right, _ = bounding_box(points)
            at = np.array([[left, top - 0.1 * (right - left)]])
            image = draw_labels(
                image, at, [str(number)], float(np.clip((right - left) / 110, 0.5, 2.0))
            )
    return image


def point_radius(points: np.ndarray, size: tuple[int, int]) -> float:
    """Radius in pixels of the points (K, 2) of a face on a photo of `size` (height, width).

    In proportion to the face, larger for few points; of one or two, whose extent says little, to
    the photo.
    """
    if np.isfinite(points).all(axis=1).sum() < 3:
        return float(np.clip(min(size) / 120, 2.0, 12.0))
    left, top, right, bottom = bounding_box(points)
    share, least = (110, 0.7) if len(points) > 20 else (14, 2.0)
    return float(np.clip(max(right - left, bottom - top) / share, least, 8.0))


def draw_labels(
    image: np.ndarray, keypoints: np.ndarray, labels: Sequence[str], size: float = 0.35
) -> np.ndarray:
    """A copy of an image (H, W, 3) with a label beside each point, white with a dark outline.

    Args:
        image: (H, W, 3) uint8.
        keypoints: (K, 2) pixels of the image; missing (nan) ones have no label.
        labels: of the K points.
        size: of the labels, in OpenCV's unit.
    """
    canvas = image.copy()
    thick = max(1, round(1.5 * size))
    for label, point in zip(labels, np.asarray(keypoints, dtype=float), strict=True):
        if not np.isfinite(point).all() or np.abs(point).max() > 1e5:
            continue
        at = (round(point[0] + 10 * size), round(point[1] - 10 * size))
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1), (0, 0)):
            ink = (255, 255, 255) if dx == dy == 0 else (0, 0, 0)
            place = (at[0] + dx, at[1] + dy)
            font = cv2.FONT_HERSHEY_SIMPLEX
            cv2.putText(canvas, label, place, font, size, ink, thick, cv2.LINE_AA)
    return canvas


def _present_runs(line: np.ndarray) -> list[np.ndarray]:
    """The parts of a line (N, 2) without missing or absurdly distant points."""
    present = np.isfinite(line).all(axis=1) & (np.abs(np.nan_to_num(line)) < 1e5).all(axis=1)
    breaks = np.flatnonzero(np.diff(present.astype(int))) + 1
    runs = np.split(np.arange(len(line)), breaks)
    return [line[run] for run in runs if len(run) > 1 and present[run[0]]]


def draw_box(image: np.ndarray, box: np.ndarray, colour: Colour = BOX) -> np.ndarray:
    """A copy of an image (H, W, 3) with a box (4,) in its pixels."""
    canvas = image.copy()
    corners = np.round(np.clip(box, -1e5, 1e5) * 2**_SHIFT).astype(int).tolist()
    width = max(1, round(min(canvas.shape[:2]) / 250))
    cv2.rectangle(
        canvas, tuple(corners[:2]), tuple(corners[2:]), colour, width, cv2.LINE_AA, _SHIFT
    )
    return canvas


def heatmap_image(values: np.ndarray) -> np.ndarray:
    """Numbers (H, W) as an image (H, W, 3), from dark (lowest) to bright (highest)."""
    low, high = float(values.min()), float(values.max())
    grey = np.round(255 * (values - low) / max(high - low, 1e-12)).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)


def diverging_image(values: np.ndarray) -> np.ndarray:
    """Numbers (H, W) as an image (H, W, 3): blue below zero, white at zero, red above."""
    share = values / max(float(np.abs(values).max()), 1e-12)
    fade = np.round(255 * (1 - np.abs(share))).astype(np.uint8)
    full = np.full_like(fade, 255)
    above, below = np.stack([full, fade, fade], -1), np.stack([fade, fade, full], -1)
    return np.where(share[..., None] > 0, above, below)


def enlarge(picture: np.ndarray, times: int) -> np.ndarray:
    """An image (H, W, 3) with each pixel enlarged to a block of `times x times`."""
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def letterbox(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image (H, W, 3) scaled to fit into `size` (height, width), on a grey background."""
    scale = min(size[0] / picture.shape[0], size[1] / picture.shape[1])
    shape = [max(1, round(side * scale)) for side in picture.shape[:2]]
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(picture, (shape[1], shape[0]), interpolation=interpolation)
    canvas = np.full((*size, 3), 128, np.uint8)
    top, left = (size[0] - shape[0]) // 2, (size[1] - shape[1]) // 2
    canvas[top : top + shape[0], left : left + shape[1]] = small
    return canvas


def caption(image: np.ndarray, text: str) -> np.ndarray:
    """A copy of an image (H, W, 3) with a line of text along its lower edge."""
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
    """Images (H, W, 3) of one size in rows of `columns`."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    columns = min(columns, len(pictures))
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 200, np.uint8)
    for number, picture in enumerate(pictures):
        y, x = (number // columns) * (height + gap), (number % columns) * (width + gap)
        sheet[y : y + height, x : x + width] = picture
    return sheet


def save_image(path: str | Path, picture: np.ndarray, quality: int = 85) -> None:
    """Write an image (H, W, 3) in the format of the file name's suffix.

    Args:
        path: the file.
        picture: uint8 RGB.
        quality: of a JPEG.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix.lower()
    if suffix == ".png":  # OpenCV takes a ninth of Pillow's time
        _, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        path.write_bytes(encoded.tobytes())
        return
    # Without chroma subsampling, which would blur thin coloured lines.
    is_jpeg = suffix in (".jpg", ".jpeg")
    jpeg: dict[str, Any] = {"quality": quality, "subsampling": 0} if is_jpeg else {}
    Image.fromarray(picture).save(path, **jpeg)
