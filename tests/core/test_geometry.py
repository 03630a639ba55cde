"""Boxes, points and affine transforms."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from facekp.core.geometry import (
    apply_box_prior,
    box_from_ltwh,
    compose_affine,
    crop_transform,
    denormalize_points,
    expand_box,
    image_box,
    invert_affine,
    normalize_points,
    relative_box,
    transform_points,
)


def test_normalised_coordinates_span_the_image() -> None:
    corners = np.array([[-0.5, -0.5], [639.5, 479.5], [0.0, 0.0]])
    expected = [[0, 0], [1, 1], [0.5 / 640, 0.5 / 480]]
    np.testing.assert_allclose(normalize_points(corners, (480, 640)), expected)
    np.testing.assert_allclose(denormalize_points(np.array(expected), (480, 640)), corners)


def test_whole_image_maps_onto_itself() -> None:
    np.testing.assert_allclose(
        crop_transform(image_box((48, 64)), (48, 64)), np.eye(2, 3), atol=1e-12
    )


def test_dlib_box_holds_its_pixels() -> None:
    np.testing.assert_allclose(box_from_ltwh(10, 20, 5, 6), [9.5, 19.5, 14.5, 25.5])


def test_framed_box_may_leave_the_image() -> None:
    framed = expand_box(np.array([0.0, 0.0, 10.0, 20.0]), scale=1.5, square=True)
    np.testing.assert_allclose(framed, [-10, -5, 20, 25])


boxes = st.tuples(
    st.floats(-300, 300), st.floats(-300, 300), st.floats(5, 900), st.floats(5, 900)
).map(lambda t: np.array([t[0], t[1], t[0] + t[2], t[1] + t[3]]))


@given(boxes, st.integers(16, 300), st.integers(16, 300), st.floats(0.5, 2), st.booleans())
def test_inverse_brings_points_back(
    box: np.ndarray, height: int, width: int, scale: float, square: bool
) -> None:
    matrix = crop_transform(expand_box(box, scale, square), (height, width))
    points = np.random.default_rng(0).uniform(-500, 1500, (68, 2))
    np.testing.assert_allclose(
        transform_points(invert_affine(matrix), transform_points(matrix, points)), points, atol=1e-3
    )
    np.testing.assert_allclose(
        compose_affine(invert_affine(matrix), matrix), np.eye(2, 3), atol=1e-6
    )


def test_relative_boxes_are_inverse() -> None:
    box, reference = np.array([3.0, -4, 50, 61]), np.array([10.0, 20, 33, 40])
    np.testing.assert_allclose(apply_box_prior(reference, relative_box(box, reference)), box)
