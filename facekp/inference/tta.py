"""Test-time augmentation: flip test, and further passes on boxes from the points found so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from facekp.core.crop import Crop, PartOfImage
from facekp.core.errors import ConfigError
from facekp.core.geometry import (
    apply_box_prior,
    bounding_box,
    compose_affine,
    denormalize_points,
    invert_affine,
    rotate_affine,
    transform_points,
)

ROTATIONS = (0.0, 8.0, -8.0, 16.0, -16.0)
"""Degrees by which the crops of the second to sixth pass are rotated."""
MAX_PASSES = 1 + len(ROTATIONS)

Network = Callable[[np.ndarray], np.ndarray]
"""Crops (B, C, H, W) uint8 to normalised keypoints (B, K, 2)."""


def check_passes(passes: int) -> None:
    """Check a number of passes.

    Raises:
        ConfigError: more than `MAX_PASSES`.
    """
    if passes > MAX_PASSES:
        raise ConfigError(f"tta_passes={passes}: at most {MAX_PASSES}")


def flip_test(network: Network, flip_order: Sequence[int]) -> Network:
    """A network whose points are averaged with those of the mirrored crop.

    Args:
        network: the network.
        flip_order: order of the points in a mirrored face, see `NetworkDescription.flip_order`.
    """

    def run(crops: np.ndarray) -> np.ndarray:
        mirrored = network(np.ascontiguousarray(crops[..., ::-1]))[:, flip_order]
        return (network(crops) + mirrored * (-1, 1) + (1, 0)) / 2

    return run


def predict_passes(
    network: Network,
    crop: Crop,
    box_prior: np.ndarray,
    parts: Sequence[PartOfImage],
    boxes: Sequence[np.ndarray],
    passes: int,
) -> np.ndarray:
    """Mean keypoints (B, K, 2) in photo pixels over several passes.

    The first pass crops the given boxes, each later one the boxes that the mean points so far
    suggest, from the third on rotated.

    Args:
        network: the network.
        crop: its crop.
        box_prior: (4,) a training box relative to its points' bounding box.
        parts: part of the photo around each face.
        boxes: (4,) box of each face, as in the training data.
        passes: at least 1, at most `MAX_PASSES`.
    """
    found = [_predict_pass(network, crop, parts, boxes, 0.0)]
    for degrees in ROTATIONS[: passes - 1]:
        mean = np.mean(found, axis=0)
        refined = [box_from_points(p, box_prior, b) for p, b in zip(mean, boxes, strict=True)]
        found.append(_predict_pass(network, crop, parts, refined, degrees))
    return np.mean(found, axis=0)


def box_from_points(points: np.ndarray, box_prior: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The box (4,) that points (K, 2) suggest; `box` if the points have collapsed."""
    extent = bounding_box(points)
    side = (extent[2:] - extent[:2]).mean()
    spread = np.isfinite(side) and side > 0.2 * (box[2:] - box[:2]).mean()
    return apply_box_prior(extent, box_prior) if spread else box


def _predict_pass(
    network: Network,
    crop: Crop,
    parts: Sequence[PartOfImage],
    boxes: Sequence[np.ndarray],
    degrees: float,
) -> np.ndarray:
    """Keypoints (B, K, 2) in photo pixels of one pass."""
    transforms = np.array([rotate_affine(crop.transform(b), crop.size, degrees) for b in boxes])
    crops = []
    for (part, to_part), transform in zip(parts, transforms, strict=True):
        to_crop = compose_affine(transform, invert_affine(to_part))
        crops.append(crop.cut(part, to_crop))
    points = denormalize_points(network(np.stack(crops)).astype(float), crop.size)
    return transform_points(invert_affine(transforms), points)
