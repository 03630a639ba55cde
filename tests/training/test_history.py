"""The history of a run, in files and on TensorBoard."""

from __future__ import annotations

import json

import pandas as pd

from tests.helpers import Run


def test_epochs_without_validation_repeat_no_figures(run: Run) -> None:
    _, folder = run("r", "trainer.check_val_every_n_epoch=2", "trainer.max_epochs=4")
    frame = pd.read_csv(folder / "metrics.csv")
    assert list(frame["val/mse"].isna()) == [True, False, True, False]
    assert (frame["images_per_second"] < 1e6).all()


def test_a_resumed_run_counts_the_time_of_all_sittings(run: Run) -> None:
    _, folder = run("r", "trainer.max_epochs=1")
    results = folder / "results.json"
    first = json.loads(results.read_text())["seconds"]
    run("r", "trainer.max_epochs=2", f"ckpt_path={folder}/checkpoints/last.ckpt")
    second = json.loads(results.read_text())["seconds"]
    run("r", "trainer.max_epochs=3", f"ckpt_path={folder}/checkpoints/last.ckpt")
    third = json.loads(results.read_text())["seconds"]
    # What a sitting did after its last checkpoint, such as the report, is not counted again.
    assert first < second < third


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
