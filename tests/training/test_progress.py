from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from facekp.training.callbacks import progress
from facekp.training.callbacks.progress import TrainingProgress


class Clock:
    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def trainer(**settings: Any) -> Any:
    known = dict(
        current_epoch=0, max_epochs=100, is_global_zero=True, num_training_batches=10, world_size=1,
        callback_metrics={}, strategy=SimpleNamespace(root_device=torch.device("cpu")),
    )  # fmt: skip
    return SimpleNamespace(**known | settings)


def test_a_line_is_printed_at_least_every_half_minute_and_the_duration_once(
    clock: Clock, capsys: pytest.CaptureFixture
) -> None:
    callback, state = TrainingProgress(), trainer()
    callback.on_train_start(state, None)  # type: ignore[arg-type]
    callback.on_train_epoch_start(state, None)  # type: ignore[arg-type]
    for batch in range(10):
        clock.now += 12
        callback.on_train_batch_end(state, None, None, {"image": range(8)}, batch)  # type: ignore[arg-type]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("about 3 h 20 min in all, ")
    assert "trainer.max_epochs=60 would take 2 h 0 min" in " ".join(lines)
    steps = [line for line in lines if line.startswith("epoch 1/100")]
    assert [line.split()[2] for line in steps] == ["30", "60", "90"]


def test_a_short_training_announces_nothing(clock: Clock, capsys: pytest.CaptureFixture) -> None:
    callback, state = TrainingProgress(), trainer(max_epochs=2)
    callback.on_train_start(state, None)  # type: ignore[arg-type]
    callback.on_train_epoch_start(state, None)  # type: ignore[arg-type]
    for batch in range(10):
        clock.now += 2.5
        callback.on_train_batch_end(state, None, None, {"image": range(8)}, batch)  # type: ignore[arg-type]
    assert capsys.readouterr().out == ""
