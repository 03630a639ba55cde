"""A blob drawn at a point is still under the point after every augmentation."""

from __future__ import annotations

import albumentations as A
import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from facekp.core.errors import ConfigError
from facekp.core.geometry import (
    crop_transform,
    is_reflection,
)
from facekp.core.landmarks import IBUG68, LandmarkScheme
from facekp.data.augmentation import Augmentation
from tests.conftest import ROOT
from tests.helpers import blobs, centre_of

CONF = ROOT / "conf"


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
    library = A.Compose([transform], keypoint_params=A.KeypointParams("xy", remove_invisible=False))
    alone = library(image=photo, keypoints=points)["keypoints"]
    np.testing.assert_allclose(moved, alone[IBUG68.flip_indices], atol=1e-3)


def test_rotation_twice_is_no_mirror() -> None:
    points = np.random.default_rng(1).uniform(60, 120, (68, 2))
    augment = Augmentation([A.HorizontalFlip(p=1), A.NoOp(), A.HorizontalFlip(p=1)])
    photo = np.zeros((180, 180), np.uint8)
    _, moved, _ = augment(photo, points, np.eye(2, 3), (180, 180), IBUG68, (0, 0, 0))
    np.testing.assert_allclose(moved, points, atol=1e-3)


def test_missing_points_stay_missing_and_are_exchanged() -> None:
    points = np.random.default_rng(1).uniform(60, 120, (68, 2))
    points[36] = np.nan  # the right eye's outer corner
    photo = np.full((180, 180), 90, np.uint8)
    frame = (np.eye(2, 3), (180, 180), IBUG68, (0, 0, 0))
    for transforms in ([A.HorizontalFlip(p=1)], [A.NoOp(), A.HorizontalFlip(p=1)]):
        _, moved, _ = Augmentation(transforms)(photo, points, *frame)
        assert np.flatnonzero(np.isnan(moved).any(axis=1)).tolist() == [45]


def test_points_without_flip_pairs_are_not_mirrored() -> None:
    scheme = LandmarkScheme("paw", ("wrist", "toe"))
    points, photo = np.array([[10.0, 10], [20, 30]]), np.zeros((50, 50), np.uint8)
    frame = (np.eye(2, 3), (50, 50), scheme, (0, 0, 0))
    with pytest.raises(ConfigError, match="landmarks paw have no flip pairs"):
        Augmentation([A.HorizontalFlip(p=1)])(photo, points, *frame)
    _, moved, _ = Augmentation([A.Affine(rotate=(5, 5), p=1)])(photo, points, *frame)
    assert np.isfinite(moved).all()


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

    first, second = augmentation(name), augmentation(name)
    view(first, (0, 0, 7))  # what was drawn before must not matter
    np.testing.assert_array_equal(view(first, (0, 3, 5)), view(second, (0, 3, 5)))
    assert (view(first, (0, 3, 5)) != view(first, (0, 4, 5))).any()
    assert (view(first, (0, 3, 5)) != view(first, (1, 3, 5))).any()
