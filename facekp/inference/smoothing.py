"""Smoothing of points over time."""

from __future__ import annotations

import numpy as np

MIN_CUTOFF = 1.0
"""Hz, of a face that is still."""
BETA = 30.0
"""Hz that each eye distance per second adds."""
SPEED_CUTOFF = 1.0
"""Hz, of the estimated speed."""


class OneEuroFilter:
    """Smooths points: strongly where they stand still, hardly where they move.

    G. Casiez, N. Roussel, D. Vogel, "1 euro filter: A simple speed-based low-pass filter for noisy
    input in interactive systems", CHI 2012. Each point has a filter of its own, whose speed is that
    of the point in the plane.

    Args:
        min_cutoff: Hz, of points that stand still: lower is steadier.
        beta: Hz that each eye distance per second adds: higher lags less behind.
    """

    def __init__(self, min_cutoff: float = MIN_CUTOFF, beta: float = BETA) -> None:
        self.min_cutoff, self.beta = min_cutoff, beta
        self._points: np.ndarray | None = None
        self._speed = np.zeros(2)
        self._seconds = 0.0

    def __call__(self, points: np.ndarray, seconds: float, eye_distance: float) -> np.ndarray:
        """The smoothed points (K, 2) of the next moment.

        Args:
            points: (K, 2), in any unit.
            seconds: time of the points.
            eye_distance: in the unit of the points.
        """
        if self._points is None:
            self._points, self._speed = points, np.zeros_like(points)
        elif (passed := seconds - self._seconds) > 0:
            speed = (points - self._points) / passed
            self._speed = self._speed + _share(SPEED_CUTOFF, passed) * (speed - self._speed)
            faces_per_second = np.linalg.norm(self._speed, axis=1) / max(eye_distance, 1e-9)
            share = _share(self.min_cutoff + self.beta * faces_per_second, passed)[:, None]
            self._points = self._points + share * (points - self._points)
        self._seconds = seconds
        return self._points


def _share(cutoff: np.ndarray | float, passed: float) -> np.ndarray:
    """How much of a new value a low-pass filter takes after some seconds."""
    rate = 2 * np.pi * np.asarray(cutoff) * passed
    return rate / (rate + 1)
