"""Finding faces in a photo, and boxes that were found before."""

from __future__ import annotations

import csv
import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from facekp.data.dlib_xml import read_dlib_xml
from facekp.errors import ConfigError, DataError
from facekp.geometry import box_from_ltwh, whole_image_box

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
    # Medians over every 14th training face of iBUG that it finds.
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


def read_boxes(path: str | Path) -> dict[str, np.ndarray]:
    """Boxes by image, from a dlib XML or a CSV with the columns file, left, top, right, bottom.

    Args:
        path: the file; an XML's width and height count pixels, a CSV's numbers are edges `xyxy`.

    Returns:
        (N, 4) boxes by the image's file name.

    Raises:
        DataError: missing or broken file, a missing column, a number that is not finite, an empty
            box; with file and line.
    """
    path = Path(path)
    found: dict[str, list[np.ndarray]] = {}
    if path.suffix.lower() == ".xml":
        for face in read_dlib_xml(path):
            found.setdefault(Path(face.file).name, []).append(face.bbox)
        return {name: np.array(boxes) for name, boxes in found.items()}
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
                found.setdefault(Path(row["file"]).name, []).append(box)
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})", "check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(path, f"not a CSV file ({error})", remedy) from error
    return {name: np.array(boxes) for name, boxes in found.items()}
