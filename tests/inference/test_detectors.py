"""Face detectors."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from omegaconf import OmegaConf

from facekp.core.errors import ConfigError, DataError
from facekp.core.geometry import bounding_box
from facekp.data.synthetic import draw_ibug_face
from facekp.inference.detectors import (
    CenterFaceDetector,
    Detector,
    DlibDetector,
    YuNetDetector,
)
from facekp.inference.predictor import Predictor
from tests.conftest import ROOT


def test_a_long_thin_photo_has_no_face() -> None:
    pytest.importorskip("dlib")
    assert len(DlibDetector()(np.zeros((5, 20000, 3), np.uint8))[0]) == 0


def test_centerface_needs_its_network(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"detector\.model is missing: give the centerface"):
        CenterFaceDetector()
    with pytest.raises(DataError, match=r"a\.onnx: no such file"):
        CenterFaceDetector(str(tmp_path / "a.onnx"))
    (tmp_path / "a.onnx").write_bytes(b"no network")
    with pytest.raises(DataError, match=r"a\.onnx: not an ONNX network"):
        CenterFaceDetector(str(tmp_path / "a.onnx"))


def test_dlib_finds_a_drawn_face() -> None:
    pytest.importorskip("dlib")
    from hydra.utils import instantiate

    detector = instantiate(OmegaConf.load(ROOT / "conf/detector/dlib.yaml"))()
    hits = 0
    for number in range(10):
        picture, points, _ = draw_ibug_face(number, 0)
        boxes, scores = detector(picture)[:2]
        assert boxes.shape == (len(scores), 4)
        nose = points[30]
        hits += any((box[:2] < nose).all() and (nose < box[2:]).all() for box in boxes)
    assert hits >= 5


def test_yunet_finds_drawn_faces_also_where_they_fill_the_picture() -> None:
    detector = YuNetDetector()
    for number in range(10):
        picture, points, _ = draw_ibug_face(number, 0)
        left, top, right, bottom = bounding_box(points).round().astype(int)
        close = picture[max(top, 0) : bottom, max(left, 0) : right]
        for image, shift in ((picture, (0, 0)), (close, (max(left, 0), max(top, 0)))):
            (box, *_), scores, angles = detector(image)
            nose = points[30] - shift
            assert (box[:2] < nose).all()
            assert (nose < box[2:]).all()
            assert scores[0] > 0.6
            assert angles is not None
        enlarged = cv2.resize(close, None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC)
        assert len(detector(enlarged).boxes) == 1
    assert len(detector(np.zeros((5, 20000, 3), np.uint8)).boxes) == 0


def test_tiny_faces_are_found_on_request() -> None:
    face = cv2.resize(draw_ibug_face(3, 0)[0], (44, 44), interpolation=cv2.INTER_AREA)
    photo = np.full((1200, 1600, 3), 120, np.uint8)
    photo[600:644, 800:844] = face
    assert len(YuNetDetector()(photo).boxes) == 0
    (box,) = YuNetDetector(tiny=True)(photo).boxes
    assert np.abs((box[:2] + box[2:]) / 2 - (821, 620)).max() < 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(threshold=2), "threshold=2"),
        (dict(max_side="large"), "max_side=large"),
        (dict(tiny="off"), "tiny=off"),
        (dict(model="nowhere.onnx"), "nowhere.onnx: No such file"),
        (dict(model=__file__), "SHA-256 differs"),
    ],
)
def test_wrong_settings_of_yunet(settings: dict, message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        YuNetDetector(**settings)


@pytest.mark.parametrize("make", [YuNetDetector, DlibDetector])
def test_one_predictor_in_several_threads(make: type[Detector]) -> None:
    if make is DlibDetector:
        pytest.importorskip("dlib")
    predictor = Predictor.load(detector=make)
    pictures = [draw_ibug_face(number, 0)[0] for number in range(6)] * 4
    alone = [predictor(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(predictor, pictures))
    for first, second in zip(alone, together, strict=True):
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a.keypoints, b.keypoints)
