"""A detector's boxes are turned into those of the training, whatever its points are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facekp.core.geometry import apply_box_prior
from facekp.data.records import FaceRecord
from facekp.inference.detectors import Detections, Detector
from facekp.training.detector_prior import measure_detector_prior
from tests.helpers import ibug


class Shifted(Detector):
    """Finds every face by its record, a third too large and 10 px to the right; and a box apart."""

    name = "shifted"
    points_prior = (0.1, 0.0, 0.8, 0.9)

    def __init__(self, records: list[FaceRecord]) -> None:
        self.boxes = iter([record.bbox for record in records])

    def __call__(self, image: np.ndarray) -> Detections:
        box = next(self.boxes)
        side = (box[2:] - box[:2]) / 6
        far = box + 900
        return np.array([far, box + np.concatenate([-side, side])]), np.ones(2)


class Blind(Detector):
    name = "blind"

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, image: np.ndarray) -> Detections:
        self.calls += 1
        return np.empty((0, 4)), np.empty(0)


def test_the_prior_turns_the_detectors_boxes_into_the_trainings(ibug_data: Path) -> None:
    records = ibug(ibug_data).splits["train"]
    prior = measure_detector_prior(records, Shifted(records))
    assert prior is not None
    for record in records[:5]:
        side = (record.bbox[2:] - record.bbox[:2]) / 6
        detected = record.bbox + np.concatenate([-side, side])
        face = apply_box_prior(detected, np.array(Shifted.points_prior))
        np.testing.assert_allclose(apply_box_prior(face, prior), record.bbox, atol=0.6)


def test_data_without_faces_is_given_up_soon(ibug_data: Path) -> None:
    detector = Blind()
    assert measure_detector_prior(ibug(ibug_data).splits["train"], detector) is None
    assert detector.calls == 8
