"""A user's photo in any form: path, array, PIL image or torch tensor."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from facekp.core.errors import ConfigError, DataError
from facekp.core.image import read_image, rgb_from_pil, to_channels

Photo = Any
"""A path; an array (H, W, 3), (H, W, 4), (H, W, 1) or (H, W); a PIL image; or a torch tensor, also
(3, H, W) or (1, H, W). Numbers are uint8, or floats from 0 to 1."""

_CHANNELS = (1, 3, 4)


def as_rgb(photo: Photo, *, bgr: bool = False) -> np.ndarray:
    """A photo as (H, W, 3) uint8 RGB.

    Args:
        photo: see `Photo`. Files and PIL images are turned upright by their EXIF orientation.
        bgr: arrays and tensors have the channels in OpenCV's order, blue first.

    Raises:
        ConfigError: not a photo by its type.
        DataError: a file that cannot be read; an array of another shape, type or range.
    """
    if isinstance(photo, str | Path):
        return read_image(photo, upright=True)
    if isinstance(photo, Image.Image):
        return rgb_from_pil(photo, upright=True)
    is_tensor = is_torch_tensor(photo)
    if is_tensor:
        photo = photo.detach().cpu()
        photo = (photo.float() if photo.is_floating_point() else photo).numpy()
    if not isinstance(photo, np.ndarray):
        raise ConfigError(
            f"photos: give paths, arrays, PIL images or torch tensors, not {type(photo)}"
        )
    pixels = _channels_last(photo, prefer_first=is_tensor)
    if pixels is None or pixels.size == 0:
        raise DataError(
            "array", f"{photo.dtype} {photo.shape} is not a photo", "give (H, W, 3) or (H, W)"
        )
    pixels = _as_uint8(pixels)
    if pixels.ndim == 2:
        return to_channels(pixels, 3)
    pixels = pixels[..., :3]
    return np.ascontiguousarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if bgr else pixels)


def is_torch_tensor(photo: Any) -> bool:
    """Whether this is a torch tensor, found out without importing torch."""
    return type(photo).__module__.partition(".")[0] == "torch" and hasattr(photo, "detach")


def as_photos(photos: Any) -> tuple[Iterable[Photo], bool]:
    """The photos of what may be one photo or several, and whether it is one.

    Args:
        photos: see `Photo`; or a list, a tuple, a generator or a batch (B, ...) of these.

    Raises:
        ConfigError: none of these.
    """
    if isinstance(photos, str | Path | Image.Image):
        return [photos], True
    if isinstance(photos, np.ndarray) or is_torch_tensor(photos):
        return (list(photos), False) if photos.ndim == 4 else ([photos], True)
    if isinstance(photos, Iterable) and not isinstance(photos, bytes | dict):
        return photos, False
    raise ConfigError(
        "photos: give a path, an array, a PIL image or a torch tensor, or several of these, not "
        f"{type(photos)}"
    )


def _channels_last(photo: np.ndarray, prefer_first: bool) -> np.ndarray | None:
    """(H, W) or (H, W, 3 or 4) pixels; None if the shape is no photo's."""
    if photo.ndim == 2:
        return photo
    if photo.ndim != 3:
        return None
    first, last = photo.shape[0] in _CHANNELS, photo.shape[2] in _CHANNELS
    if first and (prefer_first or not last):
        photo = photo.transpose(1, 2, 0)
    elif not last:
        return None
    return photo[..., 0] if photo.shape[2] == 1 else photo


def _as_uint8(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    if pixels.dtype == bool or not np.issubdtype(pixels.dtype, np.floating):
        raise DataError("array", f"{pixels.dtype} is not a photo's", "give uint8, or floats to 1")
    low, high = float(pixels.min()), float(pixels.max())
    if not -1e-3 <= low <= high <= 1 + 1e-3:  # nan is neither; resampling oversteps a little
        raise DataError(
            "array", f"numbers from {low:g} to {high:g}", "give uint8, or floats from 0 to 1"
        )
    return np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
