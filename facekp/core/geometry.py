"""Where the points are: boxes, the one affine map from photo to network input, and its inverse.

Conventions, everywhere in facekp:

* Keypoints are `(..., K, 2)` float `xy` in pixels; the centre of the top-left pixel is (0, 0).
* Boxes are `xyxy` in the same coordinates and name edges, so a whole `W x H` image is
  `(-0.5, -0.5, W - 0.5, H - 0.5)`. A box may leave the image.
* Sizes are `(height, width)`.
* Normalised coordinates are `(x + 0.5) / width`, `(y + 0.5) / height`: [0, 1] spans the image.
* A map is a `2x3` float64 matrix that takes pixels of the photo to pixels of the network's input.
"""

from __future__ import annotations

import cv2
import numpy as np

Size = tuple[int, int]

MAX_PIXEL = 1e6
"""Boxes and points beyond so many pixels are mistakes."""
MIN_SIDE = 1e-3
"""Boxes of less are points."""


def whole_image_box(size: Size) -> np.ndarray:
    """Box (4,) around every pixel of an image of `size` (height, width)."""
    height, width = size
    return np.array([-0.5, -0.5, width - 0.5, height - 0.5])


def box_from_ltwh(left: float, top: float, width: float, height: float) -> np.ndarray:
    """Box (4,) around the `width x height` pixels whose first one is (left, top), in dlib's way."""
    return np.array([left, top, left + width, top + height], dtype=float) - 0.5


def box_of_points(keypoints: np.ndarray) -> np.ndarray:
    """Smallest box (4,) around the centres of (K, 2) points."""
    return np.concatenate([keypoints.min(axis=0), keypoints.max(axis=0)])


def frame_box(box: np.ndarray, scale: float = 1.0, square: bool = False) -> np.ndarray:
    """Box (4,) with the same centre, `scale` times as large; `square`: of its longer side."""
    centre, side = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    if square:
        side = np.full(2, side.max())
    return np.concatenate([centre - scale * side / 2, centre + scale * side / 2])


def relative_box(box: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Where `box` lies from another: offset of the centre and sides (4,), in mean sides of it."""
    side = (reference[2:] - reference[:2]).mean()
    offset = (box[:2] + box[2:] - reference[:2] - reference[2:]) / 2
    return np.concatenate([offset, box[2:] - box[:2]]) / side


def place_box(reference: np.ndarray, relative: np.ndarray) -> np.ndarray:
    """The box (4,) that lies from `reference` as `relative_box` says."""
    side = (reference[2:] - reference[:2]).mean()
    centre = (reference[:2] + reference[2:]) / 2 + side * relative[:2]
    return np.concatenate([centre - side * relative[2:] / 2, centre + side * relative[2:] / 2])


def box_map(box: np.ndarray, size: Size) -> np.ndarray:
    """Map (2, 3) that stretches `box` over a whole network input of `size` (height, width)."""
    scale = np.array(size[::-1]) / (box[2:] - box[:2])
    return np.column_stack([np.diag(scale), -scale * box[:2] - 0.5])


def compose(after: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Map (..., 2, 3) that applies `first`, then `after`; both (..., 2, 3)."""
    both = after[..., :2] @ first
    both[..., 2] += after[..., 2]
    return both


def invert(matrix: np.ndarray) -> np.ndarray:
    """Inverse (..., 2, 3) of maps (..., 2, 3)."""
    linear = np.linalg.inv(matrix[..., :2])
    return np.concatenate([linear, -linear @ matrix[..., 2:]], axis=-1)


def apply_map(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (..., 2) moved by a map (2, 3), or (B, K, 2) moved by (B, 2, 3), each by its own."""
    offset = matrix[:, 2] if matrix.ndim == 2 else matrix[:, None, :, 2]
    return points @ matrix[..., :2].swapaxes(-1, -2) + offset


def turned(matrix: np.ndarray, size: Size, degrees: float) -> np.ndarray:
    """The map (2, 3) to a view of `size` (height, width), turned about its middle."""
    height, width = size
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    return compose(turn, matrix)


def mirrors(matrix: np.ndarray) -> bool:
    """Whether a map turns left into right."""
    (a, b, _), (c, d, _) = matrix.tolist()
    return a * d < b * c


def normalize_points(points: np.ndarray, size: Size) -> np.ndarray:
    """Pixels (..., 2) of an image of `size` (height, width) to normalised coordinates."""
    return (points + 0.5) / np.array(size[::-1])


def denormalize_points(points: np.ndarray, size: Size) -> np.ndarray:
    """Normalised coordinates (..., 2) to pixels of an image of `size` (height, width)."""
    return points * np.array(size[::-1]) - 0.5
