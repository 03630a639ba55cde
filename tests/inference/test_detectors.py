"""Face detectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from facekp.core.errors import ConfigError, DataError
from facekp.data.synthetic import draw_ibug_face
from facekp.inference.detectors import CenterFaceDetector, DlibDetector
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
