"""Boxes, points and affine transforms.

Conventions, everywhere in facekp:

* Keypoints are `(..., K, 2)` float `xy` in pixels; the centre of the top-left pixel is (0, 0).
* Boxes are `xyxy` edges in the same coordinates, so a whole `W x H` image is
  `(-0.5, -0.5, W - 0.5, H - 0.5)`. A box may extend beyond the image.
* Sizes are `(height, width)`.
* Normalised coordinates are `(x + 0.5) / width`, `(y + 0.5) / height`: [0, 1] spans the image.
* A transform is a `2x3` float64 affine matrix. Crop transforms map pixels of the photo to pixels of
  the network's input.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

Size = tuple[int, int]

MAX_PIXEL = 1e6
"""Coordinates beyond this many pixels are treated as mistakes."""
MIN_SIDE = 1e-3
"""Boxes with a shorter side are treated as empty."""


def image_box(size: Size) -> np.ndarray:
    """Box (4,) around every pixel of an image of `size` (height, width)."""
    height, width = size
    return np.array([-0.5, -0.5, width - 0.5, height - 0.5])


def box_from_ltwh(left: float, top: float, width: float, height: float) -> np.ndarray:
    """Box (4,) around `width x height` pixels, the first one being (left, top), as dlib counts."""
    return np.array([left, top, left + width, top + height], dtype=float) - 0.5


def bounding_box(keypoints: np.ndarray) -> np.ndarray:
    """Smallest box (4,) around the centres of (K, 2) points; missing (nan) ones are ignored."""
    return np.concatenate([np.nanmin(keypoints, axis=0), np.nanmax(keypoints, axis=0)])


POINTS_MARGIN = 0.1
"""Around the points of a face without a box, in longer sides of their bounding box."""


def box_of_points(keypoints: np.ndarray) -> np.ndarray | None:
    """Box (4,) of points (K, 2) with a margin; None if they are not apart. Ignores missing ones."""
    if not np.isfinite(keypoints).all(axis=1).any():
        return None
    extent = bounding_box(keypoints)
    margin = POINTS_MARGIN * (extent[2:] - extent[:2]).max()
    return extent + margin * np.array([-1, -1, 1, 1]) if margin > 0 else None


def expand_box(box: np.ndarray, scale: float = 1.0, square: bool = False) -> np.ndarray:
    """Scale a box (4,) about its centre; `square` first extends its shorter side to the longer."""
    centre, side = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    if square:
        side = np.full(2, side.max())
    return np.concatenate([centre - scale * side / 2, centre + scale * side / 2])


def intersection_over_union(first: np.ndarray, second: np.ndarray) -> float:
    """Area that two boxes (4,) share, as a part of the area that they cover together."""
    sides = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    both = np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2])
    return shared / max(float(both) - shared, 1e-9)


def relative_box(box: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """A box relative to another, (dx, dy, width, height) in mean sides of `reference`.

    The median over many faces is a box prior, see `apply_box_prior`.
    """
    side = (reference[2:] - reference[:2]).mean()
    offset = (box[:2] + box[2:] - reference[:2] - reference[2:]) / 2
    return np.concatenate([offset, box[2:] - box[:2]]) / side


def apply_box_prior(reference: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """The box (4,) that lies at `prior`, as `relative_box` gives it, from `reference`."""
    side = (reference[2:] - reference[:2]).mean()
    centre = (reference[:2] + reference[2:]) / 2 + side * prior[:2]
    return np.concatenate([centre - side * prior[2:] / 2, centre + side * prior[2:] / 2])


def box_prior(faces: Iterable[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """(4,) median of faces' boxes relative to the bounding boxes of their points.

    The identity if no face has three points apart, so that points say nothing about boxes.

    Args:
        faces: a box (4,) and points (K, 2), nan for missing ones, of each face.
    """
    prior = _median_of_relative(faces, of_points=False)
    return np.array([0.0, 0.0, 1.0, 1.0]) if prior is None else prior


def points_prior(faces: Iterable[tuple[np.ndarray, np.ndarray]]) -> np.ndarray | None:
    """(4,) median of the bounding boxes of faces' points relative to their boxes.

    See `box_prior`, of which it is the counterpart. None if no face has three points apart.
    """
    return _median_of_relative(faces, of_points=True)


def _median_of_relative(
    faces: Iterable[tuple[np.ndarray, np.ndarray]], of_points: bool
) -> np.ndarray | None:
    found = []
    for box, points in faces:
        if np.isfinite(points).all(axis=1).sum() >= 3:
            extent = bounding_box(points)
            if (extent[2:] > extent[:2]).all():
                found.append(relative_box(*((extent, box) if of_points else (box, extent))))
    return np.median(found, axis=0) if found else None


def crop_transform(box: np.ndarray, size: Size) -> np.ndarray:
    """Transform (2, 3) that stretches `box` over an image of `size` (height, width)."""
    scale = np.array(size[::-1]) / (box[2:] - box[:2])
    return np.column_stack([np.diag(scale), -scale * box[:2] - 0.5])


def compose_affine(after: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Transform (..., 2, 3) that applies `first`, then `after`; both (..., 2, 3)."""
    both = after[..., :2] @ first
    both[..., 2] += after[..., 2]
    return both


def invert_affine(matrix: np.ndarray) -> np.ndarray:
    """Inverse (..., 2, 3) of transforms (..., 2, 3)."""
    linear = np.linalg.inv(matrix[..., :2])
    return np.concatenate([linear, -linear @ matrix[..., 2:]], axis=-1)


def transform_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (..., 2) under a transform (2, 3); or (B, K, 2) under (B, 2, 3), one each."""
    offset = matrix[:, 2] if matrix.ndim == 2 else matrix[:, None, :, 2]
    return points @ matrix[..., :2].swapaxes(-1, -2) + offset


def transform_boxes(matrix: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Upright boxes (..., 4) around boxes (..., 4) under a transform (2, 3) by quarter turns."""
    corners = transform_points(matrix, boxes.reshape(*boxes.shape[:-1], 2, 2))
    return np.concatenate([corners.min(axis=-2), corners.max(axis=-2)], axis=-1)


def rotate_affine(matrix: np.ndarray, size: Size, degrees: float) -> np.ndarray:
    """A transform (2, 3) to an image of `size`, followed by a rotation about its centre."""
    height, width = size
    rotation = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    return compose_affine(rotation, matrix)


def is_reflection(matrix: np.ndarray) -> bool:
    """Whether a transform (2, 3) mirrors the image."""
    (a, b, _), (c, d, _) = matrix.tolist()
    return a * d < b * c


def normalize_points(points: np.ndarray, size: Size) -> np.ndarray:
    """Pixels (..., 2) of an image of `size` (height, width) to normalised coordinates."""
    return (points + 0.5) / np.array(size[::-1])


def denormalize_points(points: np.ndarray, size: Size) -> np.ndarray:
    """Normalised coordinates (..., 2) to pixels of an image of `size` (height, width)."""
    return points * np.array(size[::-1]) - 0.5


def distances_to_curves(points: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """Distance (N, K) of each point from a polyline.

    Args:
        points: (N, K, 2).
        curves: (N, M, 2) corners of one polyline for the K points of each row, M >= 2; a segment
            without one of its ends (nan) is left out.

    Returns:
        nan where no segment remains.
    """
    distances = np.full(points.shape[:2], np.nan)
    for at in range(curves.shape[1] - 1):  # not all at once, for long curves of many faces
        start, along = curves[:, None, at], np.diff(curves[:, None, at : at + 2], axis=2)[:, :, 0]
        to_point = points - start
        length = np.maximum((along**2).sum(-1), np.finfo(float).tiny)
        share = np.clip((to_point * along).sum(-1) / length, 0, 1)
        to_segment = np.linalg.norm(to_point - share[..., None] * along, axis=-1)
        distances = np.fmin(distances, to_segment)
    return distances


def sound_boxes(boxes: np.ndarray) -> np.ndarray:
    """(N,) bool: which boxes (N, 4) are finite, not empty, and not implausibly large."""
    with np.errstate(invalid="ignore"):
        wide = (boxes[:, 2:] - boxes[:, :2] >= MIN_SIDE).all(axis=1)
        return wide & (np.abs(boxes) <= MAX_PIXEL).all(axis=1)  # nan is neither


def check_boxes(boxes: np.ndarray) -> None:
    """Check that boxes (N, 4) are as `sound_boxes` says.

    Raises:
        ValueError: names the first invalid box.
    """
    wrong = ~sound_boxes(boxes)
    if wrong.any():
        raise ValueError(f"the box {boxes[wrong][0].tolist()}")
