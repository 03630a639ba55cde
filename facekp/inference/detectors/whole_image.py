"""The whole image as one face."""

from __future__ import annotations

import numpy as np

from facekp.core.geometry import image_box
from facekp.inference.detectors.base import Detections, Detector


class WholeImage(Detector):
    """Takes the whole image as one face."""

    name = "image"

    def __call__(self, image: np.ndarray) -> Detections:
        """One box around the image."""
        return Detections(image_box(image.shape[:2])[None], np.ones(1))
