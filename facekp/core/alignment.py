"""Aligning shapes, of which points may be missing."""

from __future__ import annotations

import numpy as np

from facekp.core.geometry import invert_affine, transform_points

MAX_SHAPES = 1000
"""Shapes of which `complete_shapes` takes the mean."""


def procrustes_align(shapes: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Align shapes (N, K, 2) to a mean shape (K, 2) by least-squares similarities, none mirrored.

    Missing points (nan) take no part. S. Umeyama, "Least-squares estimation of transformation
    parameters between two point patterns", PAMI 1991.

    Returns:
        The aligned shapes (N, K, 2), and the transforms (N, 2, 3) that align them.
    """
    present = np.isfinite(shapes).all(axis=2, keepdims=True)
    share = present / np.maximum(present.sum(axis=1, keepdims=True), 1)
    known = np.where(present, shapes, 0.0)
    centre, middle = (share * known).sum(axis=1), (share * mean).sum(axis=1)
    a = (present * (known - centre[:, None])) @ (1, 1j)
    b = (present * (mean - middle[:, None])) @ (1, 1j)
    rotation = (a.conj() * b).sum(axis=1) / np.maximum((np.abs(a) ** 2).sum(axis=1), 1e-12)
    entries = [rotation.real, -rotation.imag, rotation.imag, rotation.real]
    linear = np.stack(entries, axis=-1).reshape(-1, 2, 2)
    offset = middle - np.einsum("nij,nj->ni", linear, centre)
    transforms = np.concatenate([linear, offset[..., None]], axis=-1)
    return np.einsum("nij,nkj->nki", linear, shapes) + offset[:, None], transforms


def mean_shape(shapes: np.ndarray) -> np.ndarray:
    """Median shape (K, 2) of shapes (N, K, 2), aligned; centred, with a standard deviation of 1.

    It stands as upright as most of the shapes do. Every point must be present somewhere.
    """
    centred = shapes - np.nanmean(shapes, axis=1, keepdims=True)
    size = np.nanstd(centred, axis=(1, 2), keepdims=True)
    mean = np.nanmedian(centred / np.maximum(size, 1e-12), axis=0)
    for _ in range(4):
        aligned, _ = procrustes_align(shapes, mean)
        mean = np.nanmedian(aligned, axis=0)
    return mean


def complete_shapes(shapes: np.ndarray) -> np.ndarray:
    """Shapes (N, K, 2) with missing points where the aligned mean shape has them.

    Shapes of fewer than three points stay as they are; all do if a point is in none of the others.
    """
    present = np.isfinite(shapes).all(axis=2)
    enough = np.flatnonzero(present.sum(axis=1) >= 3)
    lacking = enough[~present[enough].all(axis=1)]
    if not len(lacking) or not present[enough].any(axis=0).all():
        return shapes
    mean = mean_shape(shapes[enough[:: max(1, len(enough) // MAX_SHAPES)]])
    _, transforms = procrustes_align(shapes[lacking], mean)
    if np.isnan(mean).any() or (np.abs(np.linalg.det(transforms[:, :, :2])) < 1e-12).any():
        return shapes  # points that coincide
    found = transform_points(
        invert_affine(transforms), np.broadcast_to(mean, shapes[lacking].shape)
    )
    filled = shapes.copy()
    filled[lacking] = np.where(present[lacking][..., None], shapes[lacking], found)
    return filled
