"""From a face box to the network's input: the crop and the context kept around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facekp.core.geometry import Size, crop_transform, expand_box
from facekp.core.image import downscale, downscale_factor, warp

CONTEXT = 1.6
"""Side of the region kept around an expanded box, in box sides; augmentation moves within it."""

PartOfImage = tuple[np.ndarray, np.ndarray]
"""Pixels (H, W[, C]) uint8 of a part of an image, and the transform (2, 3) from the image to it."""


@dataclass(frozen=True)
class Crop:
    """How a face box becomes the network's input.

    Args:
        size: (height, width) of the network's input.
        channels: 1 (grey) or 3 (RGB).
        box_scale: factor by which the face box is expanded.
        square: extend the box to a square first; otherwise it is stretched to the input.
    """

    size: Size
    channels: int
    box_scale: float = 1.0
    square: bool = False

    def expand(self, bbox: np.ndarray) -> np.ndarray:
        """The box (4,) that fills the network's input for a face box (4,)."""
        return expand_box(bbox, self.box_scale, self.square)

    def transform(self, bbox: np.ndarray) -> np.ndarray:
        """Transform (2, 3) from the photo to the network's input for a face box (4,)."""
        return crop_transform(self.expand(bbox), self.size)

    def cut(self, image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """The network's input (C, H, W) uint8 of an image, by a transform (2, 3) to it."""
        pixels = warp(image, matrix, self.size, self.channels)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def crop_with_context(image: np.ndarray, box: np.ndarray, matrix: np.ndarray) -> PartOfImage:
    """The part of an image around an expanded `box`, downscaled as far as `matrix` allows."""
    return downscale(image, downscale_factor(matrix), expand_box(box, CONTEXT))
