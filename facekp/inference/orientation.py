"""Faces that do not stand upright: tilted ones, and photos that lie on their side."""

from __future__ import annotations

import cv2
import numpy as np

from facekp.core.geometry import (
    crop_transform,
    expand_box,
    intersection_over_union,
    invert_affine,
    rotate_affine,
    transform_boxes,
    transform_points,
)
from facekp.core.image import warp
from facekp.inference.detectors.base import Detections, Detector

UPRIGHT_WITHIN = 12.0
"""Degrees of tilt up to which a face is taken as upright: networks learn with that much."""

_OVERLAP = 0.3
_REGION, _REGION_SIDE = 2.0, 192
"""Region around a face, in sides of its box, that is turned upright, and its side in pixels."""
_NEAR = 0.35
"""Of a region's side: how far the face in its middle may be from there."""
_ROUNDS = 2


def tilt_of(found: Detections, at: int) -> float:
    """Degrees by which a detected face should be turned back; 0 if it stands nearly upright."""
    degrees = 0.0 if found.angles is None else float(found.angles[at])
    return degrees if abs(degrees) > UPRIGHT_WITHIN else 0.0


def upright_transform(box: np.ndarray, degrees: float) -> np.ndarray:
    """Rotation (2, 3) about a box's centre that turns a face upright which is tilted clockwise."""
    centre = (box[:2] + box[2:]) / 2
    return cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), float(degrees), 1.0)


def box_in_photo(box: np.ndarray, to_upright: np.ndarray) -> np.ndarray:
    """A tilted face's box (4,) in the photo turned upright, moved to its place in the photo.

    It keeps its sides: like all boxes of tilted faces, it is turned about its own centre.
    """
    half = (box[2:] - box[:2]) / 2
    centre = transform_points(invert_affine(to_upright), (box[None, :2] + box[None, 2:]) / 2)[0]
    return np.concatenate([centre - half, centre + half])


def detect_tilted(detector: Detector, image: np.ndarray) -> Detections:
    """Faces of a photo; a tilted one is detected again after it was turned upright.

    Args:
        detector: of upright faces.
        image: (H, W, 3) uint8 RGB.

    Returns:
        Boxes in the photo. That of a tilted face is the box that it has upright, moved to its
        centre.
    """
    found = Detections(*detector(image))
    if found.angles is None or not (np.abs(found.angles) > UPRIGHT_WITHIN).any():
        return found
    boxes, angles = found.boxes.copy(), found.angles.copy()
    for at in np.flatnonzero(np.abs(angles) > UPRIGHT_WITHIN):
        upright = _detect_upright(detector, image, boxes[at], angles[at])
        if upright is not None:
            boxes[at], _, angles[at] = upright
    return Detections(boxes, found.scores, angles)


def detect_turned(detector: Detector, image: np.ndarray) -> Detections:
    """Faces of a photo in four orientations, each face as it is found best.

    A face that lies between two orientations is found in several of them, with similar scores and
    angles that contradict each other: it is turned upright by each, and the best is kept.

    Args:
        detector: of upright faces.
        image: (H, W, 3) uint8 RGB.

    Returns:
        Boxes in the photo as it is, see `detect_tilted`; the angles tell how the faces lie in it.
    """
    boxes, scores, angles = [], [], []
    for quarters in range(4):
        found = Detections(*detector(np.ascontiguousarray(np.rot90(image, quarters))))
        back = _to_unturned(quarters, image.shape[:2])
        boxes += list(transform_boxes(back, np.asarray(found.boxes, float).reshape(-1, 4)))
        scores += list(found.scores)
        tilt = np.zeros(len(found.boxes)) if found.angles is None else found.angles
        angles += list(tilt + 90 * quarters)
    results: list[tuple[np.ndarray, float, float]] = []
    waiting = sorted(range(len(boxes)), key=lambda at: -scores[at])
    while waiting:
        best = waiting[0]
        same = [at for at in waiting if intersection_over_union(boxes[at], boxes[best]) > _OVERLAP]
        waiting = [at for at in waiting if at not in same]
        if len(same) == 1 and abs(_signed(angles[best])) <= UPRIGHT_WITHIN:
            results.append((boxes[best], scores[best], _signed(angles[best])))
            continue
        tried = (_detect_upright(detector, image, boxes[at], angles[at]) for at in same)
        upright = [result for result in tried if result is not None]
        as_found = (boxes[best], scores[best], _signed(angles[best]))
        results.append(max(upright, key=lambda result: result[1], default=as_found))
    results.sort(key=lambda result: -result[1])
    return Detections(
        np.array([box for box, _, _ in results]).reshape(-1, 4),
        np.array([score for _, score, _ in results], dtype=float),
        np.array([degrees for _, _, degrees in results], dtype=float),
    )


def _detect_upright(
    detector: Detector, image: np.ndarray, box: np.ndarray, degrees: float
) -> tuple[np.ndarray, float, float] | None:
    """Box, score and tilt of a face that is detected again in its region, turned upright.

    None if no face is found in its middle; beside it may be others.
    """
    best = None
    for _ in range(_ROUNDS):
        size = (_REGION_SIDE, _REGION_SIDE)
        to_region = crop_transform(expand_box(box, _REGION, square=True), size)
        to_region = rotate_affine(to_region, size, degrees)
        region = warp(image, to_region, size)
        found = Detections(*detector(region))
        boxes = np.asarray(found.boxes, float).reshape(-1, 4)
        at = _in_the_middle(boxes)
        if at is None:
            break
        centre = transform_points(invert_affine(to_region), _centres(boxes[at][None]))[0]
        side = (boxes[at, 2:] - boxes[at, :2]) / np.hypot(*to_region[0, :2])
        box = np.concatenate([centre - side / 2, centre + side / 2])
        degrees = _signed(degrees + (0.0 if found.angles is None else float(found.angles[at])))
        best = box, float(found.scores[at]), degrees
    return best


def _in_the_middle(boxes: np.ndarray) -> int | None:
    """Index of the best of a region's faces (N, 4) near its centre; None if none is there."""
    distances = np.linalg.norm(_centres(boxes) - (_REGION_SIDE - 1) / 2, axis=1)
    near = np.flatnonzero(distances < _NEAR * _REGION_SIDE)
    return int(near[0]) if len(near) else None


def _centres(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def _signed(degrees: float) -> float:
    """An angle from -180 to 180 degrees."""
    return (degrees + 180) % 360 - 180


def _to_unturned(quarters: int, size: tuple[int, int]) -> np.ndarray:
    """Transform (2, 3) from an image turned by `np.rot90` to the image of `size`."""
    right, bottom = size[1] - 1.0, size[0] - 1.0
    x, y = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]
    from_right, from_bottom = [0.0, -1.0, right], [-1.0, 0.0, bottom]
    both = [-1.0, 0.0, right], [0.0, -1.0, bottom]
    return np.array([(x, y), (from_right, x), both, (y, from_bottom)][quarters])
