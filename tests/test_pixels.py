"""A blob drawn at a keypoint is still under the keypoint after everything that moves pixels."""

from __future__ import annotations

from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import pytest
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from facekp.core.crop import CONTEXT
from facekp.core.geometry import (
    box_from_ltwh,
    compose_affine,
    crop_transform,
    denormalize_points,
    expand_box,
    image_box,
    invert_affine,
    is_reflection,
    normalize_points,
    transform_points,
)
from facekp.core.image import downscale, downscale_factor, to_channels, warp
from facekp.core.landmarks import IBUG68
from facekp.data.augmentation import Augmentation

CONF = Path(__file__).parent.parent / "conf"


def blobs(points: np.ndarray, size: tuple[int, int], sigma: float) -> np.ndarray:
    """One picture (H, W) uint8 a point, with a Gaussian blob at it."""
    ys, xs = np.mgrid[: size[0], : size[1]]
    squared = (xs - points[:, 0, None, None]) ** 2 + (ys - points[:, 1, None, None]) ** 2
    return np.round(255 * np.exp(-squared / (2 * sigma**2))).astype(np.uint8)


def centre_of(image: np.ndarray) -> np.ndarray:
    """Centre of mass (2,) of a picture (H, W)."""
    ys, xs = np.mgrid[: image.shape[0], : image.shape[1]]
    weight = image / image.sum(dtype=float)
    return np.array([(xs * weight).sum(), (ys * weight).sum()])


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


@settings(max_examples=40, deadline=None)
@given(
    st.floats(-40, 60), st.floats(-40, 60), st.floats(90, 260), st.floats(90, 260),
    st.sampled_from([(60, 80), (96, 96), (224, 224), (180, 240)]),
)  # fmt: skip
def test_blob_under_warp(left: float, top: float, wide: float, high: float, size: tuple) -> None:
    box = np.array([left, top, left + wide, top + high])
    matrix = crop_transform(box, size)
    point = box[:2] + (box[2:] - box[:2]) * np.array([0.45, 0.55])
    photo = blobs(point[None], (300, 320), 6.0)[0]
    if not (20 < point[0] < 300 and 20 < point[1] < 280):
        return
    seen = warp(photo, matrix, size)
    np.testing.assert_allclose(centre_of(seen), transform_points(matrix, point), atol=0.06)


def test_blob_under_strong_shrinking() -> None:
    point = np.array([[331.25, 207.5]])
    photo = blobs(point, (480, 640), 18.0)[0]
    for size in ((60, 80), (48, 48), (37, 51)):
        matrix = crop_transform(image_box((480, 640)), size)
        seen = warp(photo, matrix, size)
        # OpenCV places samples on a grid of 1/32 px.
        np.testing.assert_allclose(centre_of(seen), transform_points(matrix, point[0]), atol=0.05)


def test_outside_of_the_photo_is_black() -> None:
    photo = np.full((40, 40), 200, dtype=np.uint8)
    seen = warp(photo, crop_transform(np.array([-40.5, -0.5, 39.5, 39.5]), (40, 80)), (40, 80))
    assert (seen[:, :40] == 0).all()
    assert (seen[:, 40:] == 200).all()


def test_kept_part_gives_the_pixels_of_the_whole_photo() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (700, 900), dtype=np.uint8)
    box = np.array([201.3, 150.7, 611.9, 540.2])
    matrix = crop_transform(box, (100, 110))
    part, to_part = downscale(photo, downscale_factor(matrix), expand_box(box, CONTEXT))
    assert part.size < photo.size / 4
    whole = warp(photo, matrix, (100, 110)).astype(int)
    kept = warp(part, compose_affine(matrix, invert_affine(to_part)), (100, 110)).astype(int)
    assert np.abs(whole - kept).max() <= 1


def augmentation(name: str) -> Augmentation:
    return instantiate(OmegaConf.load(CONF / "augmentation" / f"{name}.yaml"))


def geometric(name: str) -> Augmentation:
    """The augmentation without what only changes grey values, so that blobs can be measured."""
    config = OmegaConf.load(CONF / "augmentation" / f"{name}.yaml")
    keep = ("HorizontalFlip", "Affine")
    config.transforms = [t for t in config.transforms if t._target_.split(".")[-1] in keep]
    return instantiate(config)


def seen_centres(
    augment: Augmentation, points: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres of blobs drawn at `points` in a photo, the points as returned, and the map."""
    size, photo_size = (160, 200), (240, 300)
    matrix = crop_transform(np.array([20.0, 10.0, 280.0, 220.0]), size)
    centres, moved, used = [], None, None
    for photo in blobs(points, photo_size, 4.0):
        view, moved, used = augment(photo, points, matrix, size, IBUG68, (seed, 0, 1))
        centres.append(centre_of(view))
    return np.array(centres), moved, used


@pytest.mark.parametrize("name", ["none", "rotate", "light", "strong"])
@pytest.mark.parametrize("seed", range(6))
def test_blob_under_augmentation(name: str, seed: int) -> None:
    points = np.random.default_rng(seed).uniform((110, 90), (190, 150), (68, 2))
    centres, moved, matrix = seen_centres(geometric(name), points, seed)
    order = IBUG68.flip_indices if is_reflection(matrix) else np.arange(68)
    np.testing.assert_allclose(centres[order], moved, atol=0.1)


@pytest.mark.parametrize(
    "transform",
    [
        A.OneOf([A.HorizontalFlip(p=1)], p=1),
        A.Sequential([A.ToGray(p=1), A.HorizontalFlip(p=1)], p=1),
        A.VerticalFlip(p=1),
        A.Transpose(p=1),
    ],
    ids=["one-of", "sequential", "vertical", "transpose"],
)
def test_every_mirror_swaps_sides(transform: A.BasicTransform) -> None:
    points = np.random.default_rng(1).uniform(60, 120, (68, 2))
    size = (180, 180)
    photo = np.zeros((180, 180, 3), np.uint8)
    augment = Augmentation([A.NoOp(), transform])
    _, moved, _ = augment(photo, points, np.eye(2, 3), size, IBUG68, (0, 0, 0))
    one = A.Compose([transform], keypoint_params=A.KeypointParams("xy", remove_invisible=False))
    alone = one(image=photo, keypoints=points)["keypoints"]
    np.testing.assert_allclose(moved, alone[IBUG68.flip_indices], atol=1e-3)


def test_rotation_twice_is_no_mirror() -> None:
    points = np.random.default_rng(1).uniform(60, 120, (68, 2))
    augment = Augmentation([A.HorizontalFlip(p=1), A.NoOp(), A.HorizontalFlip(p=1)])
    photo = np.zeros((180, 180), np.uint8)
    _, moved, _ = augment(photo, points, np.eye(2, 3), (180, 180), IBUG68, (0, 0, 0))
    np.testing.assert_allclose(moved, points, atol=1e-3)


def test_no_point_is_dropped() -> None:
    points = np.random.default_rng(2).uniform(-60, 260, (68, 2))  # many outside the view
    photo = np.full((200, 200), 90, np.uint8)
    for seed in range(20):
        _, moved, _ = augmentation("strong")(
            photo, points, np.eye(2, 3), (200, 200), IBUG68, (seed,)
        )
        assert moved.shape == (68, 2)
        assert np.isfinite(moved).all()


def test_turned_view_shows_the_photo_not_black_corners() -> None:
    photo = np.full((300, 300), 150, np.uint8)
    matrix = crop_transform(np.array([100.0, 100.0, 200.0, 200.0]), (100, 100))
    turn = Augmentation([A.Affine(rotate=(30, 30), p=1)])
    view, _, _ = turn(photo, None, matrix, (100, 100), IBUG68, (0,))
    assert view.min() == 150


@pytest.mark.parametrize("name", ["rotate", "light", "strong"])
def test_the_seed_alone_decides(name: str) -> None:
    rng = np.random.default_rng(0)
    photo, points = rng.integers(0, 256, (120, 120), dtype=np.uint8), rng.uniform(20, 100, (68, 2))

    def view(augment: Augmentation, seed: tuple[int, ...]) -> np.ndarray:
        return augment(photo, points, np.eye(2, 3), (120, 120), IBUG68, seed)[0]

    one, other = augmentation(name), augmentation(name)
    view(one, (0, 0, 7))  # what was drawn before must not matter
    np.testing.assert_array_equal(view(one, (0, 3, 5)), view(other, (0, 3, 5)))
    assert (view(one, (0, 3, 5)) != view(one, (0, 4, 5))).any()
    assert (view(one, (0, 3, 5)) != view(one, (1, 3, 5))).any()


def test_grey_view_of_a_colour_photo_is_the_view_of_the_grey_photo() -> None:
    generator = np.random.default_rng(0)
    photo = cv2.GaussianBlur(generator.integers(0, 256, (300, 400, 3), dtype=np.uint8), (9, 9), 2)
    for box in ([20, 30, 90, 110], [-40.5, -30, 200, 210], [350, 250, 430, 330], [0, 0, 399, 299]):
        matrix = crop_transform(np.array(box, dtype=float), (64, 64))
        part = warp(photo, matrix, (64, 64), channels=1).astype(int)
        whole = warp(to_channels(photo, 1), matrix, (64, 64)).astype(int)
        assert abs(part - whole).max() <= 1
