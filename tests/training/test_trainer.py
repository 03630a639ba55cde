"""Settings of the trainer."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.helpers import Run


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped_in_any_precision(run: Run, precision: str) -> None:
    clip = ["trainer.gradient_clip_val=0.5", f"trainer.precision={precision}"]
    value, _ = run("run", "trainer.max_epochs=1", *clip)
    assert value > 0


def test_no_tensorboard(run: Run) -> None:
    _, folder = run("r", "~logger", "trainer.max_epochs=1")
    assert not (folder / "tensorboard").exists()


def test_accumulated_and_clipped_steps(run: Run) -> None:
    _, folder = run("r", "trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=1")
    assert list(pd.read_csv(folder / "metrics.csv")["step"]) == [2, 4, 6]
