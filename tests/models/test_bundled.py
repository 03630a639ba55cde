"""The bundled networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facekp.core.landmarks import IBUG68
from facekp.inference.predictor import Predictor
from facekp.metrics import face_errors, summarize
from facekp.models.bundled import BUNDLED
from facekp.tasks.training_data import load_training_data
from tests.conftest import ROOT

FIGURES = {
    "ibug68": (0.0329, 2.30),
    "ibug68_medium": (0.0315, 2.20),
    "ibug68_large": (0.0305, 2.12),
    "ibug68_best": (0.0264, 1.89),
}
"""NME and MAE in px of the bundled networks on their validation faces (221; ibug68_best: 22)."""


@pytest.mark.parametrize("name", FIGURES)
def test_bundled_networks_need_nothing_else(name: str) -> None:
    assert BUNDLED[name].stat().st_size <= 8e6
    box = np.array([[60.0, 50.0, 190.0, 180.0]])
    (face,) = Predictor.load(name)(ROOT / "docs/astronaut.webp", box)
    regions = {name: face.keypoints[list(at)] for name, at in IBUG68.parts.items()}
    assert regions["right_eye"][:, 0].max() < regions["left_eye"][:, 0].min()
    assert regions["left_eye"][:, 1].max() < regions["outer_mouth"][:, 1].min()


@pytest.mark.parametrize(("name", "nme", "mae_px"), [(n, *f) for n, f in FIGURES.items()])
def test_figures_of_the_bundled_networks(
    real_data: Path, name: str, nme: float, mae_px: float
) -> None:
    predictor = Predictor.load(name)
    datamodule = load_training_data(predictor.description, str(real_data))
    assert datamodule.fingerprint() == predictor.description.data_fingerprint
    faces = datamodule.splits["val"]
    found = np.stack(predictor.predict_boxes((face.load(3), face.bbox) for face in faces))
    figures = summarize(face_errors(faces, found, predictor.points, IBUG68), 0.08).iloc[0]
    assert figures["nme_interocular"] == pytest.approx(nme, abs=1e-4)
    assert figures["mae_px"] == pytest.approx(mae_px, abs=0.01)
