"""Settings of the trainer."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from facekp import metrics
from facekp.core.errors import ConfigError
from facekp.metrics import KeypointMetrics
from facekp.training.trainer import _devices
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


def test_apple_s_gpu_is_used_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a fake device: no such machine runs these tests."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    for gpus in (1, -1, [0]):
        assert _devices(gpus, 1, True) == {"accelerator": "mps", "devices": 1}
    with pytest.raises(ConfigError, match=r"give trainer\.gpus=1"):
        _devices(2, 1, False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="there are 0 CUDA GPUs"):
        _devices(1, 1, False)


def test_sums_stay_on_the_cpu_where_a_device_has_no_float64(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics, "NO_FLOAT64", ("meta",))
    found = KeypointMetrics().to("meta")
    assert found.sums.device.type == "cpu"
    assert metrics.device_of_sums(torch.device("meta")).type == "cpu"
    monkeypatch.setattr(metrics, "NO_FLOAT64", ())
    assert KeypointMetrics().to("meta").sums.device.type == "meta"
