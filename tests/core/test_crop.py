"""Crops, and the context kept around them."""

from __future__ import annotations

import numpy as np

from facekp.core.crop import CONTEXT
from facekp.core.geometry import (
    compose_affine,
    crop_transform,
    expand_box,
    invert_affine,
)
from facekp.core.image import downscale, downscale_factor, warp


def test_kept_part_gives_the_pixels_of_the_whole_photo() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (700, 900), dtype=np.uint8)
    box = np.array([201.3, 150.7, 611.9, 540.2])
    matrix = crop_transform(box, (100, 110))
    part, to_part = downscale(photo, downscale_factor(matrix), expand_box(box, CONTEXT))
    assert part.size < photo.size / 4
    whole = warp(photo, matrix, (100, 110)).astype(int)
    kept = warp(part, compose_affine(matrix, invert_affine(to_part)), (100, 110)).astype(int)
    assert np.abs(whole - kept).max() <= 1
