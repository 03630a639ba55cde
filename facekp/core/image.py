"""Reading image files, downscaling, and the one warp that every image goes through."""

from __future__ import annotations

import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps

from facekp.core.errors import DataError
from facekp.core.geometry import Size, compose_affine, invert_affine, transform_points

MAX_PIXELS = 120_000_000
"""Larger images are refused before decoding: a small file can unpack to gigabytes."""


def image_size(path: str | Path, *, upright: bool = False) -> Size:
    """(height, width) of an image file, from its header alone.

    Args:
        path: the file.
        upright: after its EXIF orientation has been applied.

    Raises:
        DataError: a missing file, not an image, or more than `MAX_PIXELS`.
    """
    with open_image(path) as image:
        height, width, is_tiff = image.height, image.width, image.format == "TIFF"
    # Pillow transposes a TIFF as it opens it.
    if upright != is_tiff and abs(exif_transform(path)[0, 1]) == 1:
        return width, height
    return height, width


def read_image(path: str | Path, *, upright: bool = False) -> np.ndarray:
    """Image file as (H, W, 3) uint8 RGB.

    Any mode is converted to 8-bit RGB: grey and palette are expanded, transparent pixels are
    blended with white, CMYK is converted, 16-bit values are scaled to 8 bits.

    Args:
        path: the file.
        upright: apply the EXIF orientation. Right for a user's photo; wrong for a data set, whose
            points refer to the pixels as stored.

    Raises:
        DataError: a missing or truncated file, not an image, or more than `MAX_PIXELS`.
    """
    with open_image(path) as image:
        pixels = rgb_from_pil(image, upright=upright, name=path)
        is_tiff = image.format == "TIFF"
    if is_tiff and not upright:  # Pillow has turned it
        to_upright = exif_transform(path)[:, :2]
        down, right = to_upright.sum(axis=1)[::-1].astype(int)  # 1, or -1 if mirrored
        pixels = pixels[::down, ::right]
        pixels = pixels.transpose(1, 0, 2) if to_upright[0, 0] == 0 else pixels
        pixels = np.ascontiguousarray(pixels)
    return pixels


def read_reduced_image(path: str | Path, min_side: int) -> tuple[np.ndarray, int]:
    """An upright image file as (H, W, 3) uint8 RGB, perhaps reduced by its decoder.

    A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size, which is faster than to decode it and to
    shrink it afterwards.

    Args:
        path: the file.
        min_side: its longest side is reduced to this or more.

    Returns:
        The pixels, and the factor by which they are reduced, 1 if they are not. The pixel `p` of
        the reduced image is at `(p + 0.5) * factor - 0.5` in the whole one.

    Raises:
        DataError: as `read_image`.
    """
    with open_image(path) as image:
        width, height = image.size
        factor = 1
        if image.format in ("JPEG", "MPO"):
            # Of whole blocks only: turned upright, a part of one would come first.
            fitting = (n for n in (8, 4, 2) if max(image.size) >= n * min_side)
            factor = next((n for n in fitting if width % n == height % n == 0), 1)
            image.draft(None, (width // factor, height // factor))
            factor = round(width / image.width)
        return rgb_from_pil(image, upright=True, name=path), factor


def rgb_from_pil(
    image: Image.Image, *, upright: bool = False, name: str | Path = "image"
) -> np.ndarray:
    """A PIL image as (H, W, 3) uint8 RGB, see `read_image`.

    Args:
        image: of any mode; its pixels may not be decoded yet.
        upright: apply the EXIF orientation.
        name: of the file, for messages.

    Raises:
        DataError: it cannot be decoded.
    """
    try:
        image.load()
        if upright:
            image = ImageOps.exif_transpose(image)
        return _to_rgb(image)
    except Exception as error:  # Pillow's decoders and its EXIF reader raise anything
        raise DataError(
            name, f"the image cannot be decoded ({error})", "replace or remove the file"
        ) from error


def count_pages(path: str | Path) -> int:
    """Number of images in a file (pages, frames); `read_image` reads the first.

    Raises:
        DataError: as `image_size`.
    """
    with open_image(path) as image:
        try:
            return int(getattr(image, "n_frames", 1))
        except Exception as error:  # as in read_image
            problem = f"its pages cannot be counted ({error})"
            raise DataError(path, problem, "replace or remove the file") from error


def exif_transform(path: str | Path) -> np.ndarray:
    """Transform (2, 3) from a file's pixels as stored to the upright image (EXIF orientation).

    Raises:
        DataError: as `image_size`.
    """
    with open_image(path) as image:
        try:
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        except Exception as error:  # as in read_image
            problem = f"its EXIF cannot be read ({error})"
            raise DataError(path, problem, "save the image again") from error
        width, height = image.size
        if image.format == "TIFF" and orientation in range(5, 9):  # Pillow has transposed it
            width, height = height, width
        right, bottom = width - 1.0, height - 1.0
    x, y = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]
    from_right, from_bottom = [-1.0, 0.0, right], [0.0, -1.0, bottom]
    # EXIF 2.32, tag 0x0112: where the stored image's first row and column belong.
    rows = {
        2: (from_right, y),
        3: (from_right, from_bottom),
        4: (x, from_bottom),
        5: (y, x),
        6: (from_bottom, x),
        7: (from_bottom, from_right),
        8: (y, from_right),
    }
    return np.array(rows.get(orientation, (x, y)))


def open_image(path: str | Path) -> Image.Image:
    """Open an image file in a supported format; its pixels are not decoded yet.

    Raises:
        DataError: as `image_size`.
    """
    try:
        with warnings.catch_warnings():
            # MAX_PIXELS bounds the same danger.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=_formats())
    except FileNotFoundError as error:
        raise DataError(path, "no such image", "check the path and the data set") from error
    except IsADirectoryError as error:
        raise DataError(path, "a folder, not an image", "give the files in it") from error
    except Image.DecompressionBombError as error:
        problem = f"more than {MAX_PIXELS:,} pixels ({error})"
        raise DataError(path, problem, "downscale it first") from error
    except Exception as error:  # as in read_image
        remedy = "replace or remove the file"
        if Path(path).suffix.lower() in (".heic", ".heif") and "HEIF" not in _formats():
            remedy = "HEIC needs the heif extra: pip install 'facekp[heif]'"
        raise DataError(path, f"not a readable image ({error})", remedy) from error
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width}x{image.height}"
        image.close()
        raise DataError(path, f"{size} is more than {MAX_PIXELS:,} pixels", "downscale it first")
    return image


@cache
def _formats() -> tuple[str, ...]:
    """Pillow's names of the supported formats; none, such as EPS, that runs another program."""
    Image.init()
    with suppress(ImportError):
        import pi_heif

        pi_heif.register_heif_opener()
    named = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF", "HEIF")
    return tuple(name for name in named if name in Image.OPEN)


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):
        values = np.asarray(image).clip(0, 65535).astype(np.uint16)
        return np.repeat((values // 257 + (values % 257 > 128)).astype(np.uint8)[..., None], 3, 2)
    if image.mode == "F":
        light = np.nan_to_num(np.asarray(image, dtype=np.float32))
        light *= 255 / max(float(light.max(initial=0)), 1.0)
        return np.repeat(light.clip(0, 255).round().astype(np.uint8)[..., None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))


def to_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """(H, W, 3) RGB or (H, W) grey to (H, W) for one channel, (H, W, 3) for three."""
    if channels == 1:
        return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)


def downscale_factor(matrix: np.ndarray) -> int:
    """Integer factor by which a photo may be averaged before it is warped by `matrix` (2, 3)."""
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    return max(1, int(1 / scale + 1e-6))


def downscale(
    image: np.ndarray, factor: int, roi: np.ndarray, channels: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The part of a photo inside `roi`, averaged over blocks of `factor x factor` pixels.

    The blocks start at multiples of `factor` in the photo whatever the roi, so that a cached part
    gives exactly the pixels that the whole photo would.

    Args:
        image: (H, W) or (H, W, C) uint8.
        factor: at least 1.
        roi: box (4,); clipped to the image.
        channels: 1 or 3 converts to grey or RGB; None keeps the channels.

    Returns:
        The small image and the transform (2, 3) from the photo to it.
    """
    height, width = image.shape[:2]
    limit = np.array([width, height])
    first = np.clip(np.floor(roi[:2]), 0, limit - 1).astype(int) // factor * factor
    last = np.clip(np.ceil(roi[2:]).astype(int) + 1, first + 1, limit)
    part = image[first[1] : last[1], first[0] : last[0]]
    part = part if channels is None else to_channels(part, channels)
    if factor > 1:
        blocks = -(-(last - first) // factor)
        missing = blocks * factor - (last - first)
        if missing.any():
            part = cv2.copyMakeBorder(
                part, 0, int(missing[1]), 0, int(missing[0]), cv2.BORDER_REPLICATE
            )
        part = cv2.resize(part, (int(blocks[0]), int(blocks[1])), interpolation=cv2.INTER_AREA)
    offset = (0.5 - first) / factor - 0.5
    return part, np.column_stack([np.eye(2) / factor, offset])


def source_region(matrix: np.ndarray, size: Size, margin: float) -> np.ndarray:
    """Box (4,) around the region of a photo that a warp to `size` reads.

    Args:
        matrix: transform (2, 3) from the photo to the output.
        size: (height, width) of the output.
        margin: pixels of the photo added on each side.
    """
    height, width = size
    corners = np.array([[-1, -1], [width, -1], [-1, height], [width, height]], dtype=float)
    corners = transform_points(invert_affine(matrix), corners)
    return np.concatenate([corners.min(axis=0) - margin, corners.max(axis=0) + margin])


def warp(
    image: np.ndarray, matrix: np.ndarray, size: Size, channels: int | None = None
) -> np.ndarray:
    """Warp a photo to a network's input: the only place where facekp resamples images for one.

    Bilinear, after averaging blocks where the transform shrinks by two or more (no aliasing); black
    outside the photo.

    Args:
        image: (H, W) or (H, W, C) uint8.
        matrix: transform (2, 3) from the photo to the output.
        size: (height, width) of the output.
        channels: 1 or 3 converts to grey or RGB; None keeps the channels.

    Returns:
        (height, width) or (height, width, C) uint8.
    """
    factor = downscale_factor(matrix)
    if factor > 1 or channels is not None:
        image, to_small = downscale(image, factor, source_region(matrix, size, factor), channels)
        matrix = compose_affine(matrix, invert_affine(to_small))
    return cv2.warpAffine(
        image,
        matrix,
        (size[1], size[0]),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
