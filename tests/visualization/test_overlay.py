"""Drawing on images."""

from __future__ import annotations

import numpy as np
import pytest

from facekp.inference.faces import Face
from facekp.visualization.overlay import draw_faces, draw_points, letterbox, point_radius


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


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_points_are_large_enough_to_be_seen(count: int) -> None:
    """On a photo of 12 megapixels, at any number of points."""
    points = np.random.default_rng(0).uniform(1000, 1300, (count, 2))
    assert point_radius(points, (3000, 4000)) >= 5
    assert point_radius(np.full((5, 2), np.nan), (3000, 4000)) >= 5


def test_one_face_is_drawn_as_a_list_of_it() -> None:
    photo = np.zeros((90, 90, 3), np.uint8)
    face = Face(
        np.array([10.0, 10, 80, 80]), np.random.default_rng(0).uniform(10, 80, (68, 2)), 1.0, "x"
    )
    np.testing.assert_array_equal(draw_faces(photo, face), draw_faces(photo, [face]))
    assert draw_faces(photo, face).any()
