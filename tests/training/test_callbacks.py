"""Early stopping and averaged weights."""

from __future__ import annotations

import pandas as pd
import torch

from tests.helpers import Run, assert_same_end


def test_early_stopping_and_averaged_weights(run: Run) -> None:
    settings = ["callbacks=[default,ema,early_stopping]"]
    _, whole = run("whole", *settings)
    saved = torch.load(whole / "checkpoints/last.ckpt", weights_only=True)
    name = "network.head.0.weight"
    assert not torch.equal(saved["state_dict"][name], saved["current_model_state"][name])
    _, part = run("part", *settings, "trainer.max_epochs=1")
    run("part", *settings, f"ckpt_path={part / 'checkpoints/last.ckpt'}")
    assert_same_end(whole, part)
    stopping = ["callbacks=[default,early_stopping]", "callbacks.early_stopping.patience=1"]
    _, folder = run("stops", *stopping, "model.optimizer.lr=0")
    assert len(pd.read_csv(folder / "metrics.csv")) == 2
