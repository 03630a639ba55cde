"""Evaluation on annotated splits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from facekp.core.errors import ConfigError
from facekp.inference.predictor import Predictor
from facekp.tasks.evaluate import evaluate


def run_evaluate(checkpoint: Path, data: Path, output: Path, **changes: Any) -> pd.DataFrame:
    settings: dict[str, Any] = dict(split=None, threshold=0.08)
    predictor = Predictor.load(checkpoint, batch_size=8)
    return evaluate(predictor, str(data), output=str(output), **settings | changes)


def test_evaluation_agrees_with_training(
    checkpoints: dict[str, Path], imm_data: Path, tmp_path: Path
) -> None:
    metrics = run_evaluate(checkpoints["imm"], imm_data, tmp_path)
    history = pd.read_csv(checkpoints["imm"].parent.parent / "metrics.csv").iloc[-1]
    network = metrics.set_index("predictor").loc["network"]
    assert network["mae_px"] == pytest.approx(history["val/mae_px"], rel=1e-4)
    assert network["nme_interocular"] == pytest.approx(history["val/nme_interocular"], rel=1e-4)
    errors = pd.read_csv(tmp_path / "errors.csv")
    assert len(errors) == 6
    assert errors["nme_interocular"].mean() == pytest.approx(network["nme_interocular"])
    assert {"nme_jaw", "nme_brows", "nme_eyes", "nme_nose", "nme_mouth"} <= set(errors.columns)
    curve = pd.read_csv(tmp_path / "curve.csv")
    assert curve["network"].is_monotonic_increasing
    assert (tmp_path / "curve.png").stat().st_size > 5000
    assert len(json.loads((tmp_path / "metrics.json").read_text())) == 2


def test_300w_figures_only_by_its_protocol(
    checkpoints: dict[str, Path], ibug_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    own = run_evaluate(checkpoints["300w"], ibug_data, tmp_path)
    assert set(own["faces"]) == {"300-W common", "300-W challenging", "300-W full"}
    other = run_evaluate(checkpoints["ibug"], ibug_data, tmp_path)
    assert set(other["faces"]) == {"val"}
    assert "these are not 300-W figures" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"task\.split=test"):
        run_evaluate(checkpoints["ibug"], ibug_data, tmp_path, split="test")
