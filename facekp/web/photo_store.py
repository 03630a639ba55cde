"""Photos as JPEG for a browser: whole ones, parts of them, thumbnails."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import cv2
import numpy as np

from facekp.core.image import read_image, read_reduced_image

VIEW_SIDE = 2048
"""Longest side of what is sent; larger photos are reduced, and their parts sent on demand."""
THUMBNAIL_SIDE = 160
MEMORY = 512 << 20
"""Bytes of decoded photos that are kept; at least one is."""
QUALITY = 92


class PhotoStore:
    """Decodes photos, and keeps the last ones; several threads may use it.

    Args:
        files: the photos; they are asked for by number.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = list(files)
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self._thumbnails: dict[int, bytes] = {}
        self._lock, self._decoding = Lock(), Lock()

    def pixels(self, number: int) -> np.ndarray:
        """A photo, (H, W, 3) uint8 RGB, upright; not to be modified.

        Raises:
            DataError: it cannot be read.
        """
        kept = self._get(number)
        if kept is not None:
            return kept
        with self._decoding:  # of one photo at a time, as ten large ones would take all memory
            kept = self._get(number)
            if kept is not None:
                return kept
            image = read_image(self.files[number], upright=True)
            with self._lock:
                self._kept[number] = image
                while len(self._kept) > 1 and sum(p.nbytes for p in self._kept.values()) > MEMORY:
                    self._kept.popitem(last=False)
            return image

    def _get(self, number: int) -> np.ndarray | None:
        with self._lock:
            if number in self._kept:
                self._kept.move_to_end(number)
            return self._kept.get(number)

    def view(self, number: int) -> bytes:
        """A photo as JPEG, reduced to `VIEW_SIDE`.

        Raises:
            DataError: it cannot be read.
        """
        return to_jpeg(_reduced(self.pixels(number), VIEW_SIDE))

    def part(self, number: int, left: int, top: int, right: int, bottom: int) -> bytes:
        """The pixels from (left, top) to before (right, bottom) as JPEG, reduced to `VIEW_SIDE`.

        Raises:
            DataError: the photo cannot be read.
            ValueError: there are no such pixels.
        """
        image = self.pixels(number)
        if not (0 <= left < right <= image.shape[1] and 0 <= top < bottom <= image.shape[0]):
            raise ValueError(f"no pixels from {left}, {top} to {right}, {bottom}")
        return to_jpeg(_reduced(image[top:bottom, left:right], VIEW_SIDE))

    def thumbnail(self, number: int) -> bytes:
        """A photo as a small JPEG.

        Raises:
            DataError: it cannot be read.
        """
        if number not in self._thumbnails:
            image, _ = read_reduced_image(self.files[number], THUMBNAIL_SIDE)
            self._thumbnails[number] = to_jpeg(_reduced(image, THUMBNAIL_SIDE))
        return self._thumbnails[number]


def to_jpeg(image: np.ndarray) -> bytes:
    """An image (H, W, 3) uint8 RGB as a JPEG file."""
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return data.tobytes()


def _reduced(image: np.ndarray, side: int) -> np.ndarray:
    """An image with at most `side` pixels per side."""
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    width, height = (max(1, round(scale * n)) for n in image.shape[1::-1])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
