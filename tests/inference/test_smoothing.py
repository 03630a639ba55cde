"""The one-euro filter."""

from __future__ import annotations

import numpy as np

from facekp.inference.smoothing import OneEuroFilter


def test_still_points_are_smoothed_and_moving_ones_are_not_late() -> None:
    rng = np.random.default_rng(0)
    smooth = OneEuroFilter()
    noisy = 100 + rng.normal(0, 0.02, (200, 5, 2))
    still = np.array([smooth(points, n / 25, 50.0) for n, points in enumerate(noisy)])
    assert still[50:].std() < noisy[50:].std() / 2
    smooth = OneEuroFilter()
    for number in range(50):
        position = np.array([[8.0 * number, 0.0]])
        found = smooth(position, number / 25, 50.0)
    late = (position - found)[0, 0] / (8.0 * 25)
    assert 0 < late < 0.010  # seconds


def test_time_that_stands_still_changes_nothing() -> None:
    smooth = OneEuroFilter()
    first = smooth(np.zeros((1, 2)), 1.0, 50.0)
    assert (smooth(np.ones((1, 2)), 1.0, 50.0) == first).all()
