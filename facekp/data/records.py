"""Face records: what the readers return."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facekp.core.errors import DataError
from facekp.core.geometry import Size
from facekp.core.image import image_size, read_image, to_channels
from facekp.core.landmarks import LandmarkScheme

Splits = dict[str, list["FaceRecord"]]
"""Records by split: `train`, `val`, and perhaps `test` and `predict`."""
SPLIT_VERBS = {"train": "train", "val": "validate", "test": "test", "predict": "to predict"}
"""What the faces of a split do, for messages."""


@dataclass(frozen=True, eq=False)
class FaceRecord:
    """One face of one image file.

    Args:
        image: path of the image.
        bbox: face box (4,) `xyxy`, see `facekp.core.geometry`.
        keypoints: (K, 2) pixels of the image, nan for missing points; None if the face is not
            annotated.
        name: of the entry in its data set, e.g. `01-1m` or `helen/trainset/123_1.jpg`.
        group: entries of the same person or photo share it; a split never separates them.
        subset: part of the data set that it belongs to (a folder of iBUG, a view of IMM).
        origin: (file, line) of the annotation, for messages.
        size: (height, width) that the image must have, if the annotation states it.
        upright: whether points refer to the photo after its EXIF orientation has been applied.
        occluded: (K,) bool, annotated but hidden points; None if the data set does not say.
        tags: subsets that are evaluated apart, of which a face may be in several.
    """

    image: Path
    bbox: np.ndarray
    keypoints: np.ndarray | None
    name: str
    group: str
    subset: str
    origin: tuple[Path, int | None]
    size: Size | None = None
    upright: bool = False
    occluded: np.ndarray | None = None
    tags: tuple[str, ...] = ()

    def normalizer(self, scheme: LandmarkScheme) -> float:
        """What the face's NME is divided by, in pixels; nan if unknown."""
        if self.keypoints is None:
            return float("nan")
        size = self.size
        if size is None:
            size = (
                image_size(self.image, upright=self.upright)
                if scheme.normalizer.name == "image"
                else (0, 0)
            )
        return scheme.normalizer.value(np.asarray(self.keypoints, float), self.bbox, size)

    def load(self, channels: int) -> np.ndarray:
        """The image, (H, W) uint8 for one channel or (H, W, 3) RGB.

        Raises:
            DataError: the image is missing, broken or not of the stated size.
        """
        image = read_image(self.image, upright=self.upright)
        if self.size is not None and image.shape[:2] != tuple(self.size):
            stated, found = (f"{size[1]}x{size[0]}" for size in (self.size, image.shape))
            path, line = self.origin
            raise DataError(
                path,
                f"{self.name} is stated as {stated}, the image is {found}",
                "restore the image, or correct the entry",
                line,
            )
        return to_channels(image, channels)


def annotated_points(record: FaceRecord) -> np.ndarray:
    """Keypoints (K, 2) of a record that is known to have them."""
    assert record.keypoints is not None
    return record.keypoints
