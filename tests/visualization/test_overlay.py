"""Drawing on images."""

from __future__ import annotations

import numpy as np

from facekp.visualization.overlay import draw_points, letterbox


def test_drawing_puts_points_where_they_are() -> None:
    photo = np.zeros((100, 120, 3), np.uint8)
    for scale in (1.0, 3.0):
        drawn = draw_points(photo, np.array([[30.0, 70.0]]), (255, 0, 0), scale=scale)
        weight = drawn[..., 0] / drawn[..., 0].sum()
        ys, xs = np.mgrid[: weight.shape[0], : weight.shape[1]]
        centre = (np.array([(xs * weight).sum(), (ys * weight).sum()]) + 0.5) / scale - 0.5
        np.testing.assert_allclose(centre, [30, 70], atol=0.2)
    assert photo.max() == 0


def test_fit_keeps_proportions() -> None:
    picture = np.full((20, 40, 3), 7, np.uint8)
    fitted = letterbox(picture, (50, 50))
    assert fitted.shape == (50, 50, 3)
    assert (fitted[:, 0, 0] == 7).sum() == 25
