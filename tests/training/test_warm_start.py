"""Starting from the weights of another network."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from facekp.core.description import DESCRIPTION_KEY
from facekp.core.errors import ConfigError, DataError
from facekp.models.checkpoint import load_network
from facekp.training.warm_start import warn_of_differences
from tests.helpers import Run


def test_a_run_starts_from_another_ones_weights(run: Run) -> None:
    best = run("first")[1] / "checkpoints/best.ckpt"
    still = ["trainer.max_epochs=1", "model.optimizer.lr=0", f"init_from={best}"]
    _, folder = run("second", *still, "dataset.points=[52,0]")
    old, new = (load_network(p)[0].state_dict() for p in (best, folder / "checkpoints/best.ckpt"))
    same = {name for name in new if torch.equal(old[name], new[name])}
    assert new.keys() - same == {"head.2.weight", "head.2.bias"}  # of one point, and of two


def test_validation_faces_that_a_start_may_have_seen_are_named(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    first = run("first", "trainer.max_epochs=1")[1] / "checkpoints/best.ckpt"
    with caplog.at_level(logging.WARNING, logger="facekp"):
        run("same", "trainer.max_epochs=1", f"init_from={first}")
        assert "has seen" not in caplog.text
        run("other", "trainer.max_epochs=1", f"init_from={first}", "dataset.val_people=[1]")
    assert "validation faces can be among the faces that it has seen" in caplog.text


def test_a_teacher_of_unmoved_annotations_is_not_said_to_be_of_other_faces_for_sure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    teacher = load_network("ibug68")[1]
    dataset = {**teacher.config["dataset"], "label_shift": 0.005}
    student = replace(teacher, config={**teacher.config, "dataset": dataset}, data_fingerprint="")
    warn_of_differences("teacher=ibug68", teacher, student)
    assert "or only with another dataset.label_shift" in caplog.text


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [("nothing.ckpt", ConfigError, "init_from=.*: there is no such file"), ("broken.ckpt", DataError, "not one of facekp"),
     ("other.ckpt", DataError, "its description is not valid: scheme is missing")],
)  # fmt: skip
def test_weights_that_cannot_be_started_from(
    run: Run, tmp_path: Path, name: str, error: type[Exception], message: str
) -> None:
    other = {"state_dict": {}, DESCRIPTION_KEY: {"config": {"model": {}, "dataset": {}}}}
    torch.save(other, tmp_path / "other.ckpt")
    torch.save({DESCRIPTION_KEY: {"config": {}}}, tmp_path / "broken.ckpt")
    with pytest.raises(error, match=message):
        run("start", f"init_from={tmp_path / name}")
