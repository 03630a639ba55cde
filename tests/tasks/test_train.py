"""Training runs: reproducible, recorded, and clear about wrong settings."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from facekp.core.errors import ConfigError, DataError, FacekpError
from tests.helpers import Run, assert_same_end, weights


def test_same_numbers_again_and_with_workers(run: Run) -> None:
    _, first = run("first")
    _, again = run("again")
    _, workers = run("workers", "dataset.num_workers=2")
    _, other = run("other", "seed=1")
    assert_same_end(first, again)
    assert_same_end(first, workers)
    assert not torch.equal(*(weights(f)["network.head.0.weight"] for f in (first, other)))


def test_diverged_run_says_so(run: Run) -> None:
    with pytest.raises(
        FacekpError, match=r"the loss is nan in epoch 1, step .*lower model\.optimizer\.lr"
    ):
        run("r", "model.optimizer.lr=1e30", "trainer.max_epochs=2")


def test_a_run_leaves_its_records(run: Run) -> None:
    best, folder = run("r")
    frame = pd.read_csv(folder / "metrics.csv")
    assert best == pytest.approx(frame["val/mse"].min())
    assert {
        "train/loss",
        "val/loss",
        "val/nme_interocular",
        "val/mae_px",
        "lr",
        "images_per_second",
    } <= set(frame.columns)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["model"]["channels"] == [12, 18, 28]
    environment = yaml.safe_load((folder / "environment.yaml").read_text())
    assert len(environment["data_fingerprint"]) == 64
    assert environment["environment"]["torch"].startswith(torch.__version__.split("+")[0])
    results = json.loads((folder / "results.json").read_text())
    assert results["val/mse"] == best
    assert results["epochs"] == 3
    assert results["seconds"] > 0
    assert 1e8 < results["peak_bytes"] < 1e11
    saved = torch.load(folder / "checkpoints/best.ckpt", weights_only=True)["facekp"]
    assert saved["config"]["model"]["input_size"] == [60, 80]
    assert (saved["scheme"]["name"], saved["points"]) == ("imm58", [52])
    assert len(saved["scheme"]["names"]) == 58


def test_missing_data_says_what_to_do(run: Run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"imm_face_db.*data_dir=.*imm_face_db\.zip.*synthetic_imm"):
        run("r", f"data_dir={tmp_path / 'nowhere'}")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.kernel_sizes=[3,5]", "3 convolutions need 3 numbers"),
        ("model.input_size=[12,12]", "too small"),
        ("model.pool=mean", "max, blur, max_blur"),
        ("dataset.points=[58]", "from 0 to 57"),
        ("dataset.batch_size=0", "at least 1"),
        ("dataset.cache=ram", "disk, memory or off"),
        ("trainer.gpus=64", "there are"),
        ("trainer.gpus=many", "trainer.gpus=many"),
        ("model._target_=os.system", "this is not a KeypointNetwork"),
        ("monitor=val/accuracy", "val/mse"),
        ("monitor=val/auc_0.08_interocular", "val/mse"),
        ("seed=-1", "seed=-1"),
        ("trainer.max_epochs=0", "at least 1"),
        ("dataset.channels=3", "model.in_channels=1"),
        ("dataset.val_people=[99]", "the people in .* are 01, 02, 03, 33"),
        ("ckpt_path=nowhere.ckpt", "no such file"),
    ],
)
def test_wrong_settings_are_named(run: Run, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run("r", "trainer.max_epochs=1", override)


def test_no_report(run: Run) -> None:
    _, folder = run("r", "report=false", "trainer.max_epochs=1")
    assert (folder / "results.json").is_file()
    assert not (folder / "report.html").exists()
    assert not (folder / "pictures").exists()


def test_callbacks_that_a_run_needs_are_named(run: Run) -> None:
    with pytest.raises(ConfigError, match=r"callbacks: best, history, last are missing"):
        run("r", "callbacks=[ema]")
