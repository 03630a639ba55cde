"""Morphs: no cracks, no flipped triangles, points where they belong."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facekp.core.geometry import transform_points
from facekp.core.landmarks import IBUG68
from facekp.data.synthetic import draw_ibug_face
from facekp.visualization.morph import (
    AlignedPhoto,
    Mesh,
    Morph,
    align_photo,
    alignment_transform,
    mean_face,
    triangulate,
    zoom_to_fill,
)

SIZE = (160, 200)


def shape_of(number: int) -> np.ndarray:
    """Points of a drawn face, in a frame."""
    _, points, _ = draw_ibug_face(number, 0)
    return transform_points(alignment_transform(points, IBUG68, SIZE), points)


def on_frame(image: np.ndarray, shape: np.ndarray) -> AlignedPhoto:
    """A photo that the frame fills."""
    return AlignedPhoto(image, shape, np.eye(2, 3))


def checkerboard() -> np.ndarray:
    rows, columns = np.indices(SIZE)
    board = ((rows // 8 + columns // 8) % 2 * 255).astype(np.uint8)
    return np.repeat(board[..., None], 3, axis=2)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_a_face_that_becomes_itself_does_not_change(share: float) -> None:
    board = on_frame(checkerboard(), shape_of(1))
    frame = Morph(board, board, SIZE).frame(share)
    assert np.abs(frame.astype(int) - board.image).max() <= 1


def test_a_morph_of_many_points() -> None:
    rows, columns = np.mgrid[20:140:12j, 30:170:14j]
    shape = np.stack([columns, rows], axis=-1).reshape(-1, 2)
    shape += np.random.default_rng(0).uniform(-3, 3, shape.shape)
    assert len(Mesh(shape, shape, SIZE).triangles) > 256
    board = on_frame(checkerboard(), shape)
    assert np.abs(Morph(board, board, SIZE).frame(0.5).astype(int) - board.image).max() <= 1


def test_halfway_is_the_same_from_both_ends() -> None:
    rng = np.random.default_rng(0)
    first, second = (
        on_frame(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8), shape_of(n)) for n in (1, 2)
    )
    forth, back = Morph(first, second, SIZE).frame(0.5), Morph(second, first, SIZE).frame(0.5)
    assert np.abs(forth.astype(int) - back).max() <= 1
    shape = (first.shape + second.shape) / 2
    mean = mean_face([first, second], shape, SIZE)
    assert np.abs(forth.astype(int) - mean).mean() < 2


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_points_are_carried_to_their_place(share: float) -> None:
    first, second = shape_of(3), shape_of(4)
    way = Morph(on_frame(checkerboard(), first), on_frame(checkerboard(), second), SIZE)
    target = way.shape(share)
    assert len(way.mesh.used) > 60
    rows, columns = np.indices(SIZE)
    for point in way.mesh.used[::6]:
        offset = np.stack([columns, rows], axis=-1) - first[point]
        blob = 255 * np.exp(-(offset**2).sum(axis=-1) / 8)
        photo = on_frame(np.repeat(blob[..., None], 3, axis=2).astype(np.uint8), first)
        frame = way.mesh.warp(photo, target, way.mesh.labels(target))[..., 0].astype(float)
        peak = np.unravel_index(frame.argmax(), SIZE)[::-1]
        assert np.abs(peak - target[point]).max() <= 1


def test_no_cracks_between_triangles() -> None:
    # A smooth picture stays smooth: a crack would be a jump.
    ramp = np.repeat(np.arange(SIZE[1], dtype=np.uint8)[None, :, None], SIZE[0], axis=0)
    ramp = np.repeat(ramp, 3, axis=2)
    way = Morph(on_frame(ramp, shape_of(5)), on_frame(ramp, shape_of(6)), SIZE)
    for share in (0.2, 0.5, 0.8):
        frame = way.frame(share)[..., 0].astype(int)
        assert np.abs(np.diff(frame, axis=0)).max() <= 6
        assert np.diff(frame, axis=1).min() >= -1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 500), st.integers(0, 500), st.floats(0, 12))
def test_no_triangle_turns_over(first: int, second: int, noise: float) -> None:
    rng = np.random.default_rng(first)
    ends = [shape_of(n) + rng.normal(0, noise, (68, 2)) for n in (first, second)]
    mesh = Mesh(ends[0], ends[1], SIZE)
    for share in np.linspace(0, 1, 21):
        shape = (1 - share) * ends[0] + share * ends[1]
        corners = np.concatenate([shape[mesh.used], mesh.border])[mesh.triangles]
        a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        areas = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2
        assert areas.min() > 0
        assert areas.sum() == pytest.approx(SIZE[0] * SIZE[1])


def test_a_face_out_of_the_frame_is_left_to_the_border() -> None:
    far = shape_of(1) + 1000
    used, triangles = triangulate(far, far, SIZE)
    assert len(used) == 0
    assert len(triangles) > 2


def test_eyes_are_level_and_in_their_place() -> None:
    picture, points, _ = draw_ibug_face(7, 0)
    turned = align_photo(picture, points, alignment_transform(points, IBUG68, SIZE, zoom=0.5), SIZE)
    right, left = turned.shape[36], turned.shape[45]
    np.testing.assert_allclose(left - right, [0.125 * min(SIZE), 0], atol=1e-6)
    back = transform_points(turned.from_frame, turned.shape)
    assert back.min() > 0
    assert (back.max(axis=0) < turned.image.shape[1::-1]).all()


def test_zoom_fills_the_frame_and_no_more() -> None:
    picture, points, _ = draw_ibug_face(7, 0)
    zoom = zoom_to_fill(points, IBUG68, SIZE, picture.shape[:2])
    for factor, fills in ((1.01, True), (0.99, False)):
        to_frame = alignment_transform(points, IBUG68, SIZE, zoom * factor)
        white = np.full_like(picture, 255)
        frame = cv2.warpAffine(white, to_frame, SIZE[::-1], flags=cv2.INTER_NEAREST)
        assert (frame.min() == 255) == fills
    assert zoom_to_fill(points - 1000, IBUG68, SIZE, picture.shape[:2]) == np.inf
