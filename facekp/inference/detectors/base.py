"""What all face detectors share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import cv2
import numpy as np

from facekp.core.errors import ConfigError


class Detections(NamedTuple):
    """The faces of a photo, best first.

    Args:
        boxes: (N, 4) `xyxy` in pixels of the photo.
        scores: (N,).
        angles: (N,) degrees by which the faces are tilted, clockwise as seen; None: unknown.
    """

    boxes: np.ndarray
    scores: np.ndarray
    angles: np.ndarray | None = None

    def take(self, indices: np.ndarray) -> Detections:
        """Some of the faces, in the order of their indices (M,)."""
        angles = None if self.angles is None else self.angles[indices]
        return Detections(self.boxes[indices], self.scores[indices], angles)


class Detector(ABC):
    """Finds the faces of a photo. It may be called from several threads."""

    name: ClassVar[str]
    """What its boxes are called, see `FaceDataModule.box_source`."""
    points_prior: ClassVar[tuple[float, float, float, float]] = (0.0, 0.0, 1.0, 1.0)
    """Bounding box of a face's points relative to its box, see `geometry.relative_box`: measured,
    and used for networks that were trained with other boxes."""
    remedy: str = ""
    """What finds more faces, for the message that a photo has none."""

    @abstractmethod
    def __call__(self, image: np.ndarray) -> Detections:
        """Faces of a photo (H, W, 3) uint8 RGB; a plain tuple of boxes and scores is taken, too."""


def check_max_side(max_side: object) -> None:
    """Refuse a `detector.max_side` that photos cannot be downscaled to.

    Raises:
        ConfigError: it is not a whole number from 32.
    """
    if not isinstance(max_side, int) or max_side < 32:
        raise ConfigError(f"detector.max_side={max_side}: give a whole number, at least 32")


def check_threshold(threshold: object) -> None:
    """Refuse a `detector.threshold` that is no probability.

    Raises:
        ConfigError: it is not a number between 0 and 1.
    """
    if not isinstance(threshold, int | float) or not 0 < threshold < 1:
        raise ConfigError(f"detector.threshold={threshold}: give a number between 0 and 1")


def downscaled(image: np.ndarray, max_side: int) -> tuple[np.ndarray, float]:
    """An image downscaled so that no side exceeds `max_side`, and the scale."""
    scale = min(1.0, max_side / max(image.shape[:2]))
    if scale == 1:
        return image, scale
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), scale


def padded(image: np.ndarray, multiple: int) -> np.ndarray:
    """An image with black rows below and columns at the right up to multiples of a number."""
    below, right = (-side % multiple for side in image.shape[:2])
    return cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT)


def suppress_overlaps(found: Detections, overlap: float) -> Detections:
    """The best of boxes whose intersection over union exceeds `overlap`, best first."""
    ltwh = np.column_stack([found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]])
    kept = cv2.dnn.NMSBoxes(ltwh.tolist(), found.scores.tolist(), 0.0, overlap)
    return found.take(np.array(kept, dtype=int).ravel())
