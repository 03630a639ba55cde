"""The predictor: photos, boxes, settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facekp.core.errors import ConfigError, DataError, FacekpError
from facekp.core.geometry import (
    bounding_box,
    image_box,
)
from facekp.data.synthetic import draw_ibug_face
from facekp.inference.detectors import Detector, WholeImage
from facekp.inference.predictor import Predictor
from tests.conftest import ROOT


def test_boxes_are_framed_as_in_training(checkpoints: dict[str, Path], imm_data: Path) -> None:
    imm = Predictor.load(checkpoints["imm"], WholeImage)
    whole = image_box((480, 640))
    np.testing.assert_array_equal(imm.training_box(whole, "image"), whole)
    # a face box on an IMM photo is framed about as IMM frames the face: the whole photo
    from facekp.data.imm import read_imm

    class Perfect(Detector):
        name = "points"

        def __call__(self, image: np.ndarray) -> Any:
            raise AssertionError

    imm = Predictor.load(checkpoints["imm"], Perfect)
    assert imm.detector.name == "points"
    for record in read_imm(imm_data / "imm_face_db"):
        framed = imm.training_box(bounding_box(record.keypoints), "points")
        assert np.abs(framed - whole).max() < 130
    ibug = Predictor.load(checkpoints["ibug"], WholeImage)
    box = np.array([-20.0, 5, 90, 120])
    np.testing.assert_array_equal(ibug.training_box(box, "dlib"), box)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[5, 5, 5, 9]], "not \\(N, 4\\)"),
        ([[9, 9, 5, 5]], "not \\(N, 4\\)"),
        ([[0, 0, float("nan"), 5]], "not \\(N, 4\\)"),
        ([[-1e12, 0, 1e12, 5]], "not \\(N, 4\\)"),
        ([[0, 0, 5]], "not \\(N, 4\\)"),
        ("box", "not \\(N, 4\\)"),
        ([[500, 500, 510, 510]], "lies outside the photo"),
    ],
)
def test_wrong_boxes_are_refused(checkpoints: dict[str, Path], boxes: Any, message: str) -> None:
    predictor = Predictor.load(checkpoints["ibug"])
    with pytest.raises(FacekpError, match=message):
        predictor(np.zeros((40, 40, 3), np.uint8), boxes=boxes)
    (face,) = predictor(np.zeros((40, 40, 3), np.uint8), boxes=np.array([5, 5, 20, 20]))
    assert face.score == 1


def test_wrong_angles_are_refused(checkpoints: dict[str, Path]) -> None:
    predictor = Predictor.load(checkpoints["ibug"])
    photo, box = np.zeros((40, 40, 3), np.uint8), [5, 5, 20, 20]
    with pytest.raises(ConfigError, match="angles: give 1 numbers"):
        predictor(photo, boxes=box, angles="x")
    with pytest.raises(ConfigError, match="angles: give a list with an entry for each photo"):
        predictor([photo, photo], boxes=[[box], [box]], angles=5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(flip_test="maybe"), "flip_test=maybe"),
        (dict(tta_passes=0), "tta_passes=0"),
        (dict(batch_size=0), "batch_size=0"),
        (dict(batch_size="abc"), "batch_size=abc"),
        (dict(device="nowhere"), "device=nowhere"),
        (dict(detector="yunet"), "detector=yunet: give what makes one"),
    ],
)
def test_wrong_settings_of_a_predictor(
    checkpoints: dict[str, Path], settings: dict, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Predictor.load(checkpoints["ibug"], **settings)


def test_predictor_takes_paths_arrays_and_lists(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    picture, _, box = draw_ibug_face(2, 0)
    Image.fromarray(picture).save(tmp_path / "a.png")
    predictor = Predictor.load(checkpoints["ibug"])
    boxes = np.array([[*box[:2], *(box[:2] + box[2:])]])
    (single,) = predictor(picture, boxes)
    (same,) = predictor(tmp_path / "a.png", boxes)
    two = predictor([picture, tmp_path / "a.png"], [np.repeat(boxes, 3, 0), boxes[:0]])
    np.testing.assert_array_equal(single.keypoints, same.keypoints)
    np.testing.assert_allclose(single.keypoints, two[0][2].keypoints, atol=1e-3)
    assert [len(faces) for faces in two] == [3, 0]
    assert single.keypoints.shape == (68, 2)
    np.testing.assert_array_equal(single.bbox, boxes[0])
    grey = predictor(picture[..., 0], boxes)
    assert len(grey) == 1
    with pytest.raises(DataError, match="numbers from"):
        predictor(picture.astype(float))


def test_using_a_network_needs_no_lightning() -> None:
    code = (
        "import sys, facekp.inference.predictor; "
        "print({'torch', 'pytorch_lightning', 'albumentations', 'torchvision'} & {*sys.modules})"
    )
    run = [sys.executable, "-c", code]
    assert subprocess.run(run, cwd=ROOT, capture_output=True, text=True).stdout == "set()\n"


def test_boxes_of_several_faces_with_and_without_angles() -> None:
    predictor = Predictor.load()
    photo = ROOT / "docs/astronaut.webp"
    (found,) = predictor(photo)
    for count in (0, 1, 3):
        boxes = np.array([found.bbox] * count).reshape(-1, 4)
        plain = predictor(photo, boxes, found.box_source)
        upright = predictor(photo, boxes, found.box_source, angles=np.zeros(count))
        (listed,) = predictor([photo], [boxes], found.box_source, angles=[[5.0] * count])
        assert len(plain) == len(upright) == len(listed) == count
        for a, b, c in zip(plain, upright, listed, strict=True):
            np.testing.assert_array_equal(a.keypoints, b.keypoints)
            assert not np.array_equal(a.keypoints, c.keypoints)
    with pytest.raises(ConfigError, match="angles"):
        predictor(photo, found.bbox, found.box_source, angles=[1, 2])
    with pytest.raises(ConfigError, match="angles are those of boxes"):
        predictor(photo, angles=[1])


def test_given_boxes_need_no_detector(checkpoints: dict[str, Path]) -> None:
    def unavailable() -> Detector:
        raise ConfigError("dlib is not installed")

    predictor = Predictor.load(checkpoints["ibug"], unavailable)
    photo, box = np.zeros((90, 90, 3), np.uint8), [[10.0, 10, 80, 80]]
    assert len(predictor(photo, box, "yunet")) == 1
    assert len(predictor(photo, box)) == 1
    with pytest.raises(ConfigError, match="dlib is not installed"):
        predictor(photo, box, "mine")


def test_predictions_can_be_repeated_for_a_tilted_face() -> None:
    predictor = Predictor.load()
    with Image.open(ROOT / "docs/astronaut.webp") as photo:
        tilted = np.asarray(photo.convert("RGB").resize((1024, 1024)).rotate(40))
    (found,) = predictor(tilted)
    assert abs(found.angle) > 20
    table = predictor(tilted).to_dataframe()
    assert table["angle"][0] == found.angle
    (again,) = predictor(tilted, found.bbox[None], found.box_source, angles=[found.angle])
    np.testing.assert_allclose(again.keypoints, found.keypoints, atol=1e-4)
