"""Augmentation by albumentations that moves points, exchanges sides and owns its randomness."""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from facekp.core.errors import ConfigError
from facekp.core.geometry import Size, compose_affine, is_reflection, transform_points
from facekp.core.image import warp
from facekp.core.landmarks import LandmarkScheme

if TYPE_CHECKING:
    import albumentations as A

NO_FLIP_PAIRS = (
    "augmentation: it mirrors faces, but landmarks {name} have no flip pairs, so left and right "
    "points would be confused; give the scheme flip_pairs ([] if no point has a counterpart), or "
    "take an augmentation that does not mirror, e.g. augmentation=wild_no_flip"
)

_MIRRORS = {"HorizontalFlip", "VerticalFlip", "Transpose", "D4", "SquareSymmetry"}
# Corners of a small triangle: its orientation changes where a transform mirrors the image.
_PROBE = np.array([[-0.1, -0.1], [0.1, -0.1], [-0.1, 0.1]])


class Augmentation:
    """Random transforms of a face, a function of the given seed alone.

    Leading `A.Affine` and `A.HorizontalFlip` transforms are folded into the one transform from
    photo to network input: a rotated face shows what the photo has beside it (as far as it is kept,
    see `facekp.core.crop.CONTEXT`) instead of black corners, and pixels are resampled once. All
    others run on the cropped image, in their order. Points are moved, never dropped; wherever the
    image is mirrored (also inside `A.OneOf`), left and right points are exchanged.

    Args:
        transforms: albumentations transforms.
    """

    def __init__(self, transforms: Sequence[A.BasicTransform | A.BaseCompose] = ()) -> None:
        transforms = list(transforms)
        self.mirrors = any(map(_mirrors, transforms))
        """Whether a transform among them is known to mirror the image."""
        self.affine: list[A.Affine | A.HorizontalFlip] = []
        self.rest: A.Compose | None = None
        if not transforms:
            return
        import albumentations as A  # takes most of a second; prediction does not need it

        while transforms and isinstance(transforms[0], A.Affine | A.HorizontalFlip):
            self.affine.append(transforms.pop(0))
        if transforms:
            points = A.KeypointParams(format="xy", remove_invisible=False)
            with warnings.catch_warnings():
                # albumentations warns if no transform would move points, which is fine.
                warnings.simplefilter("ignore")
                self.rest = A.Compose(transforms, keypoint_params=points)

    def __call__(
        self,
        image: np.ndarray,
        keypoints: np.ndarray | None,
        matrix: np.ndarray,
        size: Size,
        scheme: LandmarkScheme,
        seed: Sequence[int],
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """One augmented crop.

        Args:
            image: (H, W) or (H, W, 3) uint8, the photo.
            keypoints: (scheme.count, 2) pixels of the photo, nan for missing points; or None.
            matrix: transform (2, 3) from photo to crop before augmentation.
            size: (height, width) of the crop.
            scheme: which points are exchanged in a mirrored face.
            seed: integers that fix the randomness, e.g. (seed, epoch, sample).

        Returns:
            The crop (height, width[, 3]) uint8, its points (scheme.count, 2) in pixels of the crop,
            and the transform (2, 3) that was applied (without the transforms that run on the crop).

        Raises:
            ConfigError: a transform changes the size of the crop.
        """
        # One pair of generators feeds all transforms, in order; nothing else draws from it.
        generator = np.random.default_rng(tuple(seed))
        python = random.Random(int(generator.integers(2**63)))
        for transform in self.affine:
            transform.set_random_state(generator, python)
            matrix = compose_affine(_drawn_matrix(transform, size), matrix)
        crop = warp(image, matrix, size)
        mirrored = is_reflection(matrix)
        points = None if keypoints is None else transform_points(matrix, keypoints)
        if self.rest is not None:
            self.rest.set_random_state(generator, python)
            probe = np.array(size[::-1]) * (0.5 + _PROBE)
            with_probe = probe if points is None else np.concatenate([points, probe])
            with_probe = np.nan_to_num(with_probe)  # a place for missing points, restored below
            result = self.rest(image=crop, keypoints=with_probe.astype(np.float32))
            crop, moved = result["image"], np.asarray(result["keypoints"], dtype=float)
            if crop.shape[:2] != tuple(size):
                found = "x".join(map(str, crop.shape[:2]))
                raise ConfigError(
                    f"augmentation: a transform changed the crop from {size[0]}x{size[1]} to "
                    f"{found}; use transforms that keep the size, such as A.Affine for a crop"
                )
            a, b, c = moved[-3:]
            mirrored ^= bool(np.linalg.det(np.stack([b - a, c - a])) < 0)
            if points is not None:
                points = np.where(np.isnan(points), np.nan, moved[:-3])
        if points is not None and mirrored:
            if scheme.flip_pairs is None:
                raise ConfigError(NO_FLIP_PAIRS.format(name=scheme.name))
            points = points[scheme.flip_indices]
        return crop, points, matrix


def _mirrors(transform: object) -> bool:
    """Whether a transform, or one inside it, is a mirror of albumentations."""
    inner = getattr(transform, "transforms", ())
    return type(transform).__name__ in _MIRRORS or any(map(_mirrors, inner))


def _drawn_matrix(transform: A.Affine | A.HorizontalFlip, size: Size) -> np.ndarray:
    """Matrix (2, 3) drawn by a transform for a crop of `size`; the identity if not applied."""
    if transform.py_random.random() >= transform.p:
        return np.eye(2, 3)
    import albumentations as A

    if isinstance(transform, A.HorizontalFlip):
        return np.array([[-1.0, 0.0, size[1] - 1.0], [0.0, 1.0, 0.0]])
    drawn = transform.get_params_dependent_on_data({"shape": (*size, 1)}, {})
    return np.asarray(drawn["matrix"], dtype=float)[:2]
