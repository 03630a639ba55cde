"""albumentations behind a wrapper that moves points, swaps sides and owns the randomness."""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from facekp.core.errors import ConfigError
from facekp.core.geometry import Size, apply_map, compose, mirrors
from facekp.core.image import warp
from facekp.core.landmarks import LandmarkScheme

if TYPE_CHECKING:
    import albumentations as A

# Corners of a small triangle; it changes its sense where a transform mirrors the image.
_PROBE = np.array([[-0.1, -0.1], [0.1, -0.1], [-0.1, 0.1]])


class Augmentation:
    """Random views of a face, a function of the given seed alone.

    `A.Affine` and `A.HorizontalFlip` at the head of the list are folded into the one map from photo
    to network input: a turned face shows what the photo has beside it (as far as it is kept, see
    `facekp.data.cache.CONTEXT`), not black corners, and pixels are resampled once. All others run
    on the view, in their order. Points are moved, never dropped; wherever the image is mirrored
    (also inside `A.OneOf`), left and right points change places.

    Args:
        transforms: albumentations transforms.
    """

    def __init__(self, transforms: Sequence[A.BasicTransform | A.BaseCompose] = ()) -> None:
        transforms = list(transforms)
        self.affine: list[A.Affine | A.HorizontalFlip] = []
        self.rest: A.Compose | None = None
        if not transforms:
            return
        import albumentations as A  # most of a second, which using a network need not wait for

        while transforms and isinstance(transforms[0], A.Affine | A.HorizontalFlip):
            self.affine.append(transforms.pop(0))
        if transforms:
            points = A.KeypointParams(format="xy", remove_invisible=False)
            with warnings.catch_warnings():
                # albumentations warns where no transform would move points; that is fine.
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
        """One augmented view.

        Args:
            image: (H, W) or (H, W, 3) uint8, the photo.
            keypoints: (scheme.count, 2) pixels of the photo, or None.
            matrix: map (2, 3) from photo to view before augmentation.
            size: (height, width) of the view.
            scheme: which points change places in a mirror.
            seed: whole numbers that fix the randomness, e.g. (seed, epoch, sample).

        Returns:
            The view (height, width[, 3]) uint8, its points (scheme.count, 2) in its
            pixels, and the map (2, 3) that was used in the end (transforms behind the leading
            affine ones are not part of it).
        """
        # One pair of generators feeds every transform, in order: nothing else draws from it.
        generator = np.random.default_rng(tuple(seed))
        python = random.Random(int(generator.integers(2**63)))
        for transform in self.affine:
            transform.set_random_state(generator, python)
            matrix = compose(_matrix_of(transform, size), matrix)
        view = warp(image, matrix, size)
        mirrored = mirrors(matrix)
        points = None if keypoints is None else apply_map(matrix, keypoints)
        if self.rest is not None:
            self.rest.set_random_state(generator, python)
            probe = np.array(size[::-1]) * (0.5 + _PROBE)
            given = probe if points is None else np.concatenate([points, probe])
            result = self.rest(image=view, keypoints=given.astype(np.float32))
            view, moved = result["image"], np.asarray(result["keypoints"], dtype=float)
            if view.shape[:2] != tuple(size):
                found = "x".join(map(str, view.shape[:2]))
                raise ConfigError(
                    f"augmentation: a transform changed the view from {size[0]}x{size[1]} to "
                    f"{found}; use transforms that keep the size, such as A.Affine for a crop"
                )
            a, b, c = moved[-3:]
            mirrored ^= bool(np.linalg.det(np.stack([b - a, c - a])) < 0)
            points = None if points is None else moved[:-3]
        if points is not None and mirrored:
            points = points[scheme.partners]
        return view, points, matrix


def _matrix_of(transform: A.Affine | A.HorizontalFlip, size: Size) -> np.ndarray:
    """Map (2, 3) that a transform drew for a view of `size`: identity where it does not apply."""
    if transform.py_random.random() >= transform.p:
        return np.eye(2, 3)
    import albumentations as A

    if isinstance(transform, A.HorizontalFlip):
        return np.array([[-1.0, 0.0, size[1] - 1.0], [0.0, 1.0, 0.0]])
    drawn = transform.get_params_dependent_on_data({"shape": (*size, 1)}, {})
    return np.asarray(drawn["matrix"], dtype=float)[:2]
