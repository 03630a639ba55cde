"""`trainer.precision=auto`."""

from __future__ import annotations

import pytest
import torch
import yaml
from torch import nn

from facekp.core.crop import Crop
from facekp.training import precision
from facekp.training.precision import quicker_precision
from facekp.training.trainer import training_device
from tests.helpers import Run, assert_same_end


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [((1.0, 0.5), "bf16-mixed"), ((1.0, 0.95), "32-true"), ((1.0, 100.0), "32-true")],
)
def test_the_quicker_one_is_taken_and_said(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    seconds: tuple[float, float],
    chosen: str,
) -> None:
    monkeypatch.setattr(precision, "_step_seconds", lambda *_: seconds)
    network, crop = nn.Flatten(), Crop((8, 8), 1)
    with caplog.at_level("INFO"):
        assert quicker_precision(network, crop, 4, torch.device("cpu")) == chosen
    assert f"trainer.precision={chosen}" in caplog.text


def test_emulated_bfloat16_is_not_tried_on_a_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def step_seconds(_: nn.Module, images: torch.Tensor) -> tuple[float, float]:
        tried.append(len(images))
        return 1.0, 50.0

    monkeypatch.setattr(precision, "_step_seconds", step_seconds)
    quicker_precision(nn.Flatten(), Crop((8, 8), 1), 512, torch.device("cpu"))
    assert tried == [2]


def test_it_changes_nothing_else_and_a_resume_keeps_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, fixed = run("fixed", "trainer.precision=32-true")
    monkeypatch.setattr(precision, "MARGIN", 1e9)
    auto = ["trainer.precision=auto"]
    _, whole = run("whole", *auto)
    assert_same_end(fixed, whole)
    _, part = run("part", *auto, "trainer.max_epochs=1")
    monkeypatch.setattr(precision, "MARGIN", 0.0)  # would now choose the other
    run("part", *auto, f"ckpt_path={part / 'checkpoints/last.ckpt'}")
    config = yaml.safe_load((part / "config.yaml").read_text())
    assert config["trainer"]["precision"] == "32-true"
    assert_same_end(whole, part)


def test_several_devices_have_no_common_clock() -> None:
    assert training_device(0, 1, False) == torch.device("cpu")
    assert training_device(0, 2, False) is None
