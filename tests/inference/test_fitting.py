from __future__ import annotations

import cv2
import numpy as np
import pytest

from facekp.core.geometry import expand_box
from facekp.core.image import read_image
from facekp.inference.fitting import disagreement, fit_points
from facekp.inference.predictor import Predictor
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load()


@pytest.fixture(scope="module")
def face(predictor: Predictor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A photo, its face's box as in training, and its points."""
    image = read_image(ROOT / "docs/astronaut.webp")
    (found,) = predictor(image)
    return image, predictor.training_box(found.bbox, found.box_source), found.keypoints


def test_a_good_box_is_used_as_it_is(predictor: Predictor, face: tuple) -> None:
    image, box, points = face
    np.testing.assert_array_equal(fit_points(predictor, image, box), points)


@pytest.mark.parametrize("shift", [-0.15, 0.15])
@pytest.mark.parametrize("scale", [0.75, 2.2])
def test_a_box_around_the_whole_head_or_a_part_of_the_face_will_do(
    predictor: Predictor, face: tuple, scale: float, shift: float
) -> None:
    image, box, points = face
    side = box[2] - box[0]
    drawn = expand_box(box, scale) + shift * side
    error = np.linalg.norm(fit_points(predictor, image, drawn) - points, axis=1).mean()
    once = np.linalg.norm(predictor.predict_boxes([(image, drawn)])[0] - points, axis=1).mean()
    assert error < 0.03 * side
    assert error < once


def test_a_blurred_face_is_less_sure_and_none_is_no_error(
    predictor: Predictor, face: tuple
) -> None:
    image, box, _ = face
    blurred = cv2.GaussianBlur(image, (0, 0), 7)
    boxes, upright = box[None], np.zeros(1)
    sharp, soft = (disagreement(predictor, x, boxes, upright)[0] for x in (image, blurred))
    assert soft > 1.5 * sharp
    assert disagreement(predictor, image, boxes[:0], upright[:0]).shape == (0,)
