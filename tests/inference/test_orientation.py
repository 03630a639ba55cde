"""Faces that do not stand upright."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from facekp.data.synthetic import draw_ibug_face
from facekp.inference.detectors import YuNetDetector
from facekp.inference.orientation import detect_turned
from facekp.inference.predictor import Predictor

PICTURE, POINTS, _ = draw_ibug_face(3, 0)


def turned(degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """The picture and its points, turned clockwise, on a larger canvas."""
    height, width = PICTURE.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, 1.0)
    matrix[:, 2] += ((600 - width) / 2, (600 - height) / 2)
    picture = cv2.warpAffine(PICTURE, matrix, (600, 600), borderValue=(120, 120, 120))
    return picture, POINTS @ matrix[:, :2].T + matrix[:, 2]


@pytest.mark.parametrize("degrees", [0, 90, 135, 180, 270])
def test_a_photo_may_lie_in_any_way(degrees: float) -> None:
    picture, _ = turned(degrees)
    found = detect_turned(YuNetDetector(), picture)
    assert len(found.boxes) == 1
    assert found.angles is not None
    difference = (found.angles[0] - degrees + 180) % 360 - 180
    assert abs(difference) < 15
    centre = (found.boxes[0, :2] + found.boxes[0, 2:]) / 2
    assert np.abs(centre - 300).max() < 40


def test_points_of_tilted_faces_are_as_good_as_upright_ones() -> None:
    eyes = np.linalg.norm(POINTS[36] - POINTS[45])

    def error(predictor: Predictor, degrees: float) -> float:
        picture, points = turned(degrees)
        (face,) = predictor(picture)
        return float(np.linalg.norm(face.keypoints - points, axis=1).mean() / eyes)

    upright = error(Predictor.load(), 0)
    for degrees in (30, -45):
        assert error(Predictor.load(), degrees) < upright + 0.02
    for degrees in (90, 180):
        assert error(Predictor.load(turned=True), degrees) < upright + 0.02
