"""Fitting points to boxes that a person draws, and how sure the network is of its points."""

from __future__ import annotations

import numpy as np

from facekp.core.geometry import (
    expand_box,
    intersection_over_union,
    transform_points,
)
from facekp.inference.orientation import box_in_photo, upright_transform
from facekp.inference.predictor import Predictor
from facekp.inference.tta import box_from_points

AGREES = 0.8
"""Intersection over union of a box with that of the points found in it, from which it is kept."""
MAX_FITS = 4
VARIANTS = ((0.0, 0.0, 1.0, 0.0), (0.06, 0.0, 1.0, 8.0), (-0.06, 0.04, 1.1, -8.0),
            (0.0, -0.06, 0.92, 0.0))  # fmt: skip
"""Crops that are compared: shift in sides of the box, its scale, and its rotation in degrees."""


def fit_points(
    predictor: Predictor, image: np.ndarray, box: np.ndarray, degrees: float = 0.0
) -> np.ndarray:
    """Keypoints (K, 2) of a face in a box that was drawn by hand.

    People draw boxes of any size around a face. Where the points that are found in a box suggest a
    rather different one, they are found again in that, at most three times; a box that is about
    right is used as it is.

    Args:
        predictor: of the network.
        image: (H, W, 3) uint8 RGB.
        box: (4,) `xyxy` in pixels, as the face has it when turned upright about the box's centre.
        degrees: by which the face is tilted, clockwise.

    Raises:
        ConfigError: the network outputs anything but finite points.
    """
    for _ in range(MAX_FITS):
        (points,) = predictor.predict_tilted([(image, box, degrees)])
        if not predictor.points_determine_box:
            break
        upright = upright_transform(box, degrees)
        found = box_from_points(
            transform_points(upright, points), predictor.description.box_prior, box
        )
        if intersection_over_union(box, found) >= AGREES:
            break
        box = box_in_photo(found, upright)
    return points


def disagreement(
    predictor: Predictor, image: np.ndarray, boxes: np.ndarray, angles: np.ndarray
) -> np.ndarray:
    """How much a network's points depend on the crop, for each face: the larger, the less sure.

    Args:
        predictor: of the network.
        image: (H, W, 3) uint8 RGB.
        boxes: (N, 4) as in training.
        angles: (N,) degrees by which the faces are tilted, clockwise.

    Returns:
        (N,) mean distance of a point in several crops from its mean, in sides of the box.

    Raises:
        ConfigError: the network outputs anything but finite points.
    """
    if not len(boxes):
        return np.empty(0)
    faces = []
    sides = (boxes[:, 2:] - boxes[:, :2]).mean(axis=1)
    for dx, dy, scale, turn in VARIANTS:
        for box, side, degrees in zip(boxes, sides, angles, strict=True):
            shifted = expand_box(box, scale) + side * np.array([dx, dy, dx, dy])
            faces.append((image, shifted, float(degrees) + turn))
    found = np.array(predictor.predict_tilted(faces)).reshape(len(VARIANTS), len(boxes), -1, 2)
    spread = np.linalg.norm(found - found.mean(axis=0), axis=-1).mean(axis=(0, 2))
    return spread / sides
