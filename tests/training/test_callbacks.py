"""Early stopping and averaged weights."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

import facekp
from facekp.core.errors import ConfigError
from facekp.inference.detectors import WholeImage
from facekp.inference.predictor import Predictor
from facekp.tasks.evaluate import evaluate
from tests.conftest import composed
from tests.helpers import Run, assert_same_end


def test_early_stopping_and_averaged_weights(run: Run) -> None:
    settings = ["callbacks=[default,ema,early_stopping]", "model=heatmap_net_tiny"]
    settings += ["model/scheduler=none"]
    _, whole = run("whole", *settings)
    saved = torch.load(whole / "checkpoints/last.ckpt", weights_only=True)
    name = "network.heatmaps.weight"
    assert not torch.equal(saved["state_dict"][name], saved["current_model_state"][name])
    _, part = run("part", *settings, "trainer.max_epochs=1")
    run("part", *settings, f"ckpt_path={part / 'checkpoints/last.ckpt'}")
    assert_same_end(whole, part)
    stopping = ["callbacks=[default,early_stopping]", "callbacks.early_stopping.patience=1"]
    _, folder = run("stops", *stopping, "model.optimizer.lr=0")
    assert len(pd.read_csv(folder / "metrics.csv")) == 2
    run("stops", *stopping, "model.optimizer.lr=0", f"ckpt_path={folder / 'checkpoints/last.ckpt'}")
    assert len(pd.read_csv(folder / "metrics.csv")) == 2
    more = [*stopping, "model.optimizer.lr=0", "callbacks.early_stopping.patience=2"]
    run("stops", *more, f"ckpt_path={folder / 'checkpoints/last.ckpt'}")
    assert len(pd.read_csv(folder / "metrics.csv")) == 3
    _, folder = run("at_once", *stopping, "callbacks.early_stopping.patience=0")
    assert len(pd.read_csv(folder / "metrics.csv")) >= 1
    with pytest.raises(ConfigError, match=r"early stopping: .*val/nme`.*val/nme_interocular"):
        run("wrong", *stopping, "callbacks.early_stopping.monitor=val/nme")


def test_averaged_weights_are_those_that_are_tested(ibug_data: Path, tmp_path: Path) -> None:
    result = facekp.train(
        composed(
            "experiment=part3", f"data_dir={ibug_data}", f"run_dir={tmp_path}", "model=face_net",
            "model.input_size=[64,64]", "augmentation=none", "trainer.max_epochs=2", "report=false",
            "dataset.batch_size=8", "dataset.split=300w", "callbacks=[default,ema]",
        )
    )  # fmt: skip
    predictor = Predictor.load(result.best_ckpt, WholeImage)
    evaluate(predictor, str(ibug_data), "test", 0.08, str(tmp_path / "out"))
    expected = pd.read_csv(tmp_path / "out/errors.csv")["mae_px"].mean()
    assert result.metrics["test/mae_px"] == pytest.approx(expected, rel=1e-4)
