"""Flip pairs compared with the data: proposed where none are known, checked where they are."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from facekp.core.alignment import procrustes_align
from facekp.core.landmarks import LandmarkScheme

Pairs = tuple[tuple[int, int], ...]

TOLERANCE = 0.12
"""Distance between a point and its mirrored counterpart, in sizes of the mean shape, beyond which
they are no pair if another point fits twice as well."""


def proposed_flip_pairs(mean: np.ndarray) -> Pairs:
    """Pairs of points that exchange places when the mean shape is mirrored.

    Points are assigned to the mirrored ones by least total distance (the Hungarian method), and the
    mirrored shape is aligned to the assignment, in turn.

    Args:
        mean: (K, 2) mean shape of upright faces, in any unit.
    """
    centred = mean - mean.mean(axis=0)
    mirrored = centred * (-1, 1)
    order = np.arange(len(mean))
    for _ in range(10):
        distance = np.linalg.norm(mirrored[:, None] - centred[None], axis=-1)
        # A point and its counterpart have one distance: the assignment is then an exchange.
        _, found = linear_sum_assignment(distance + distance.T)
        if (found == order).all():
            break
        order = found
        (mirrored,), _ = procrustes_align((centred * (-1, 1))[None], centred[order])
    exchanged = [(a, int(b)) for a, b in enumerate(order) if a < b and order[b] == a]
    return tuple(exchanged)


def contradicted_pairs(mean: np.ndarray, scheme: LandmarkScheme) -> list[str]:
    """What the mean shape says against declared flip pairs, one line per pair or point.

    Args:
        mean: (K, 2) mean shape of upright faces.
        scheme: with flip pairs.
    """
    if scheme.flip_pairs is None or scheme.count < 3:
        return []
    centred = mean - mean.mean(axis=0)
    partners = scheme.flip_indices
    (mirrored,), _ = procrustes_align((centred * (-1, 1))[partners][None], centred)
    size = np.sqrt((centred**2).sum(axis=1).mean())
    distance = np.linalg.norm(mirrored[:, None] - centred[None], axis=-1) / size
    found = []
    for point in range(scheme.count):
        to_itself, partner = distance[point, point], int(partners[point])
        nearest = int(distance[point].argmin())
        if to_itself > TOLERANCE and distance[point, nearest] < to_itself / 2 and point <= partner:
            names = scheme.point_names
            pair = f"{names[point]} and {names[partner]}"
            what = f"{pair} are declared a flip pair" if point != partner else (
                f"{names[point]} is declared its own counterpart")  # fmt: skip
            found.append(f"{what}; mirrored, {names[partner]} lies at {names[nearest]}")
    return found
