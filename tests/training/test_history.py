"""The history of a run, in files and on TensorBoard."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pandas as pd
import torch

import facekp
from tests.conftest import composed
from tests.helpers import Run


def stored_seconds(folder: Path) -> float:
    """The time that a run's last checkpoint holds."""
    state = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    return state["callbacks"]["History"]["seconds"]


def test_epochs_without_validation_repeat_no_figures(run: Run) -> None:
    _, folder = run("r", "trainer.check_val_every_n_epoch=2", "trainer.max_epochs=4")
    frame = pd.read_csv(folder / "metrics.csv")
    assert list(frame["val/mse"].isna()) == [True, False, True, False]
    assert (frame["images_per_second"] < 1e6).all()


def test_a_resumed_run_counts_the_time_of_all_sittings(run: Run) -> None:
    _, folder = run("r", "trainer.max_epochs=1")
    before = 0.0
    for epochs in (2, 3):
        earlier = stored_seconds(folder)
        assert earlier > before
        started = time.perf_counter()
        run("r", f"trainer.max_epochs={epochs}", f"ckpt_path={folder}/checkpoints/last.ckpt")
        sitting = time.perf_counter() - started
        seconds = json.loads((folder / "results.json").read_text())["seconds"]
        # What a sitting did after its last checkpoint, such as the report, is not counted again.
        assert earlier < stored_seconds(folder) < seconds < earlier + sitting
        before = earlier


def test_a_test_part_does_not_change_the_time(
    checkpoints: dict[str, Path], ibug_data: Path, tmp_path: Path
) -> None:
    """Testing loads the best checkpoint, which has a time of its own."""
    folder = tmp_path / "300w"
    shutil.copytree(checkpoints["300w"].parent.parent, folder)
    earlier, started = stored_seconds(folder), time.perf_counter()
    facekp.train(
        composed(
            "experiment=part3", f"data_dir={ibug_data}", f"run_dir={folder}", "model=face_net",
            "model.input_size=[64,64]", "augmentation=none", "trainer.max_epochs=2", "report=false",
            "dataset.batch_size=8", "dataset.split=300w",
            f"ckpt_path={folder}/checkpoints/last.ckpt",
        )
    )  # fmt: skip
    sitting = time.perf_counter() - started
    results = json.loads((folder / "results.json").read_text())
    assert "test/mae_px" in results
    assert earlier < results["seconds"] < earlier + sitting


def test_tensorboard_shows_losses_in_one_chart_and_hparams(run: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, folder = run("r")
    main = EventAccumulator(str(folder / "tensorboard"))
    main.Reload()
    tags = main.Tags()
    assert {"train/loss", "val/loss", "val/nme_interocular", "val/mae_px", "lr"} <= set(
        tags["scalars"]
    )
    assert "_hparams_/session_start_info" in main.summary_metadata
    for part in ("train", "val"):
        chart = EventAccumulator(str(folder / f"tensorboard/loss_{part}"))
        chart.Reload()
        assert [event.step for event in chart.Scalars("loss")] == [0, 1, 2]


def test_loss_of_an_epoch_that_is_cut_is_its_own(run: Run) -> None:
    _, folder = run("run", "trainer.max_epochs=3", "+trainer.max_steps=7")
    history = pd.read_csv(folder / "metrics.csv")
    assert history["step"].tolist()[-1] == 7
    assert history["train/loss"].is_unique
