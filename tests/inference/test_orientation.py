"""Faces that do not stand upright."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from facekp.data.synthetic import draw_ibug_face
from facekp.inference.detectors import Detections, Detector, YuNetDetector
from facekp.inference.orientation import detect_tilted, detect_turned
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


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turned_photo_gives_the_turned_points(quarters: int) -> None:
    """The box of another detector is converted along the face's axes, not along the photo's."""
    predictor = Predictor.load(detector=YuNetDetector)
    (upright,) = predictor(PICTURE)
    picture = np.ascontiguousarray(np.rot90(PICTURE, -quarters))
    centre = (np.array(PICTURE.shape[1::-1]) - 1) / 2, (np.array(picture.shape[1::-1]) - 1) / 2
    turn = np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), quarters)
    middle = turn @ (upright.bbox.reshape(2, 2).mean(axis=0) - centre[0]) + centre[1]
    half = (upright.bbox[2:] - upright.bbox[:2]) / 2
    box = np.concatenate([middle - half, middle + half])
    (found,) = predictor(picture, [box], "yunet", angles=[90 * quarters])
    expected = (upright.keypoints - centre[0]) @ turn.T + centre[1]
    assert np.abs(found.keypoints - expected).max() < 0.5


def test_a_tilted_face_is_not_mistaken_for_its_neighbour() -> None:
    class Two(Detector):
        """A tilted face, and an upright one beside it that is surer."""

        def __call__(self, image: np.ndarray) -> Detections:
            if image.shape[0] == 300:  # the photo
                boxes = np.array([[170.0, 100, 210, 140], [60, 60, 160, 160]])
                return Detections(boxes, np.array([0.9, 0.8]), np.array([0.0, 40]))
            boxes = np.array([[150.0, 60, 190, 100], [48, 44, 144, 140]])
            return Detections(boxes, np.array([0.9, 0.8]), np.array([-40.0, 0]))

    found = detect_tilted(Two(), np.zeros((300, 300, 3), np.uint8))
    centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    assert np.abs(centres - [[190, 120], [110, 110]]).max() < 15
    assert found.angles is not None
    assert found.angles.tolist() == [0, 40]
