"""What a reader returns: one face of one image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facekp.core.errors import DataError
from facekp.core.geometry import Size
from facekp.core.image import read_image, to_channels


@dataclass(frozen=True, eq=False)
class FaceRecord:
    """One face of one image file.

    Args:
        image: path of the image.
        bbox: face box (4,) `xyxy`, see `facekp.core.geometry`.
        keypoints: (K, 2) pixels of the image, or None where the file has no points.
        name: how the data set calls the entry, e.g. `01-1m` or `helen/trainset/123_1.jpg`.
        group: entries that show the same person or photo share it; a split never parts them.
        source: the part of the data set it comes from (a folder of iBUG, a view of IMM).
        place: (file, line) of the annotation, for messages.
        size: (height, width) the image must have, where the annotation says so.
    """

    image: Path
    bbox: np.ndarray
    keypoints: np.ndarray | None
    name: str
    group: str
    source: str
    place: tuple[Path, int | None]
    size: Size | None = None

    def load(self, channels: int) -> np.ndarray:
        """The image, (H, W) uint8 for one channel or (H, W, 3) RGB.

        Raises:
            DataError: the image is missing, broken or not of the stated size.
        """
        image = read_image(self.image)
        if self.size is not None and image.shape[:2] != tuple(self.size):
            stated, found = (f"{size[1]}x{size[0]}" for size in (self.size, image.shape))
            path, line = self.place
            raise DataError(
                path,
                f"{self.name} is stated as {stated}, the image is {found}",
                "restore the image, or mend the entry",
                line,
            )
        return to_channels(image, channels)
