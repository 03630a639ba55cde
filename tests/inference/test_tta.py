"""Test-time augmentation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facekp.core.description import NetworkDescription
from facekp.core.errors import ConfigError
from facekp.core.geometry import (
    bounding_box,
    normalize_points,
    relative_box,
)
from facekp.core.landmarks import IBUG68
from facekp.data.synthetic import draw_ibug_face
from facekp.inference.predictor import Predictor


def test_later_looks_are_framed_by_the_points(description: NetworkDescription) -> None:
    # A photo that tells where each pixel is, and a network that knows where the points are.
    rows, columns = np.indices((250, 250), dtype=np.uint8)
    photo = np.stack([columns, rows, np.zeros_like(rows)], axis=-1)
    _, points, _ = draw_ibug_face(0, 0)
    points = 60 + 100 * normalize_points(points - points.min(0), np.ptp(points, axis=0)[::-1])
    description = replace(
        description,
        crop=replace(description.crop, channels=3, size=(64, 64), box_scale=1.2),
        box_prior=relative_box(bounding_box(points) + (-10, -10, 10, 10), bounding_box(points)),
    )
    seen, turns = [], []

    def forward(views: np.ndarray) -> np.ndarray:
        inner = views[:, :2, 16:48:31, 16:48:31].astype(float)  # pixels 16 and 47 of both axes
        corner, right, below = inner[..., 0, 0], inner[..., 0, 1], inner[..., 1, 0]
        axes = np.stack([right - corner, below - corner], axis=-1) / 31  # of the view, in the photo
        seen.append((right + below) / 2)
        turns.append(np.degrees(np.arctan2(axes[:, 1, 0], axes[:, 0, 0])))
        in_crop = np.linalg.solve(axes[:, None], (points - corner[:, None])[..., None])[..., 0]
        return (in_crop + 16.5) / 64

    off = bounding_box(points) + (25, 5, 40, 30)
    predictor = Predictor(forward, description, tta_passes=6)
    (found,) = predictor.predict_boxes([(photo, off)])
    np.testing.assert_allclose(found, points, atol=2)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    assert [len(centres) for centres in seen] == [1] * 6
    assert np.abs(seen[0] - middle).max() > 20
    np.testing.assert_allclose(seen[1:], [[middle]] * 5, atol=2)
    np.testing.assert_allclose(np.abs(np.ravel(turns)), [0, 0, 8, 8, 16, 16], atol=1)
    assert turns[2] * turns[3] < 0 > turns[4] * turns[5]


def test_points_that_frame_nothing(
    checkpoints: dict[str, Path], description: NetworkDescription
) -> None:
    with pytest.raises(ConfigError, match="tta_passes=2: the network's points do not determine"):
        Predictor.load(checkpoints["imm"], tta_passes=2)
    # Points that have run together keep the box that was given.
    predictor = Predictor(lambda views: np.full((1, 68, 2), 0.5), description, tta_passes=3)
    (found,) = predictor.predict_boxes(
        [(np.zeros((90, 90, 3), np.uint8), np.array([9.5, 9.5, 49.5, 49.5]))]
    )
    np.testing.assert_allclose(found, 29.5)


def test_mirror_averaging_swaps_sides(description: NetworkDescription) -> None:
    """A network that finds the brightest column of each point's side is the same mirrored."""
    truth = np.random.default_rng(0).uniform(0.2, 0.8, (1, 68, 2))
    flipped = (truth * (-1, 1) + (1, 0))[:, IBUG68.flip_indices]

    def forward(views: np.ndarray) -> np.ndarray:
        return truth if views[0, 0, 0, 0] else flipped

    views = np.zeros((1, 1, 64, 64), np.uint8)
    views[..., 0] = 255
    predictor = Predictor(forward, description, flip_test=True)
    np.testing.assert_allclose(predictor.predict_crops(views), truth)


def of_points(description: NetworkDescription, points: list[int]) -> NetworkDescription:
    return replace(description, points=tuple(points), mean_shape=description.mean_shape[points])


def test_mirror_needs_partners(description: NetworkDescription) -> None:
    with pytest.raises(ConfigError, match="both points of a pair"):
        Predictor(lambda v: v, of_points(description, [36, 37]), flip_test=True)
    Predictor(lambda v: v, of_points(description, [36, 45, 30]), flip_test=True)
