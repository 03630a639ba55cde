"""Weights that are passed on: packed, started from, and those that facekp brings along."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from facekp.core.description import DESCRIPTION_KEY
from facekp.core.errors import ConfigError, DataError, FacekpError
from facekp.core.landmarks import IBUG68
from facekp.inference.predictor import Predictor
from facekp.metrics import face_errors, summarize
from facekp.models.bundled import BUNDLED
from facekp.models.checkpoint import load_network, read_checkpoint
from facekp.tasks.common import load_training_data
from facekp.tasks.pack import pack
from facekp.training.resume import check_resume

from .conftest import ROOT

FIGURES = {
    "ibug68": (0.0329, 2.30),
    "ibug68_medium": (0.0315, 2.20),
    "ibug68_large": (0.0305, 2.12),
    "ibug68_best": (0.0264, 1.89),
}
"""NME and MAE in px of the networks that come along, on their validation faces (221; the best: 22)."""
Run = Callable[..., tuple[float, Path]]


def test_packed_network_is_the_same_and_names_nothing_of_the_machine(
    run: Run, tmp_path: Path
) -> None:
    best = run("whole")[1] / "checkpoints/best.ckpt"
    packed = pack(str(best), str(tmp_path / "packed"))
    assert packed.stat().st_size < best.stat().st_size / 4
    before, after = Predictor.load(best), Predictor.load(packed)
    views = np.random.default_rng(1).integers(0, 256, (4, 1, 60, 80), dtype=np.uint8)
    np.testing.assert_allclose(before.backend(views), after.backend(views), atol=2e-3)
    description = read_checkpoint(packed)[1].to_dict()
    assert str(tmp_path) not in repr(description)
    assert platform.platform() not in repr(description)
    with pytest.raises(ConfigError, match="packed weights can be used, but not resumed"):
        check_resume(read_checkpoint(best)[1], str(packed))
    # Weights that half precision cannot hold are refused, and the file is not touched.
    checkpoint = read_checkpoint(best)[0]
    checkpoint["state_dict"]["network.head.0.weight"][0, 0] = 1e6
    torch.save(checkpoint, best)
    content = packed.read_bytes()
    with pytest.raises(FacekpError, match="half precision"):
        pack(str(best), str(packed.parent))
    assert packed.read_bytes() == content


def test_a_run_starts_from_another_ones_weights(run: Run) -> None:
    best = run("first")[1] / "checkpoints/best.ckpt"
    still = ["trainer.max_epochs=1", "model.optimizer.lr=0", f"init_from={best}"]
    _, folder = run("second", *still, "dataset.points=[52,0]")
    old, new = (load_network(p)[0].state_dict() for p in (best, folder / "checkpoints/best.ckpt"))
    same = {name for name in new if torch.equal(old[name], new[name])}
    assert new.keys() - same == {"head.2.weight", "head.2.bias"}  # of one point, and of two


def test_a_teacher_counts_as_much_as_the_labels(run: Run) -> None:
    best = run("teacher")[1] / "checkpoints/best.ckpt"
    still = [
        "trainer.max_epochs=1", "model.optimizer.lr=0", f"init_from={best}", "augmentation=none",
    ]  # fmt: skip
    alone, with_itself = (
        pd.read_csv(run(name, *still, *more)[1] / "metrics.csv")["train/loss"].iloc[0]
        for name, more in (("alone", []), ("taught", [f"teacher={best}"]))
    )
    assert with_itself == pytest.approx(alone / 4, rel=1e-4)  # half the error, squared


def test_a_teacher_sees_in_its_own_size_and_a_resume_needs_it(run: Run) -> None:
    teacher = run("teacher", "trainer.max_epochs=1")[1] / "checkpoints/best.ckpt"
    settings = [
        "model.input_size=[120,160]",
        "trainer.precision=bf16-mixed",
        "trainer.max_epochs=1",
    ]
    folder = run("pupil", *settings, f"teacher={teacher}")[1]
    assert np.isfinite(pd.read_csv(folder / "metrics.csv")["train/loss"]).all()
    last = folder / "checkpoints/last.ckpt"
    with pytest.raises(ConfigError, match=r"teacher=None \(was "):
        run("pupil", *settings, f"ckpt_path={last}")


def test_a_resume_needs_no_longer_what_its_run_started_from(run: Run) -> None:
    first = run("first", "trainer.max_epochs=1")[1] / "checkpoints/best.ckpt"
    folder = run("second", "trainer.max_epochs=1", f"init_from={first}")[1]
    first.unlink()
    last = f"ckpt_path={folder}/checkpoints/last.ckpt"
    run("second", f"init_from={first}", last, "trainer.max_epochs=2")
    assert len(pd.read_csv(folder / "metrics.csv")) == 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [("teacher=ibug68", "trained with scheme=ibug68, here it is imm58; use the same"),
     ("dataset.points=[0]", r"dataset.points=\[52\], here it is \[0\]"),
     ("model.in_channels=3", "model.in_channels=1, here it is 3"),
     ("dataset.square=true", "dataset.square=False, here it is True"),
     ("model.input_size=[60,60]", r"its input \[60, 80\] has another aspect ratio")],
)  # fmt: skip
def test_a_teacher_of_something_else_is_refused(run: Run, setting: str, message: str) -> None:
    teacher = run("teacher", "trainer.max_epochs=1")[1] / "checkpoints/best.ckpt"
    with pytest.raises(ConfigError, match=message):
        run("pupil", f"teacher={teacher}", setting)


def test_validation_faces_that_a_start_may_have_seen_are_named(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    first = run("first", "trainer.max_epochs=1")[1] / "checkpoints/best.ckpt"
    with caplog.at_level(logging.WARNING, logger="facekp"):
        run("same", "trainer.max_epochs=1", f"init_from={first}")
        assert "has seen" not in caplog.text
        run("other", "trainer.max_epochs=1", f"init_from={first}", "dataset.val_people=[1]")
    assert "validation faces can be among the faces that it has seen" in caplog.text


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


@pytest.mark.parametrize("name", FIGURES)
def test_networks_that_come_along_need_nothing_else(name: str) -> None:
    assert BUNDLED[name].stat().st_size <= 8e6
    box = np.array([[60.0, 50.0, 190.0, 180.0]])
    (face,) = Predictor.load(name)(ROOT / "docs/astronaut.webp", box)
    regions = {name: face.keypoints[list(at)] for name, at in IBUG68.parts.items()}
    assert regions["right_eye"][:, 0].max() < regions["left_eye"][:, 0].min()
    assert regions["left_eye"][:, 1].max() < regions["outer_mouth"][:, 1].min()


@pytest.mark.parametrize(("name", "nme", "mae_px"), [(n, *f) for n, f in FIGURES.items()])
def test_figures_of_the_networks_that_come_along(
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
