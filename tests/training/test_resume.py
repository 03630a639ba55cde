"""Resumed runs end where uninterrupted ones do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import timm
import torch

from facekp.core.errors import ConfigError, FacekpError
from tests.helpers import Run, assert_same_end


def test_a_resume_needs_no_longer_what_its_run_started_from(run: Run) -> None:
    first = run("first", "trainer.max_epochs=1")[1] / "checkpoints/best.ckpt"
    folder = run("second", "trainer.max_epochs=1", f"init_from={first}")[1]
    first.unlink()
    last = f"ckpt_path={folder}/checkpoints/last.ckpt"
    run("second", f"init_from={first}", last, "trainer.max_epochs=2")
    assert len(pd.read_csv(folder / "metrics.csv")) == 2


def test_a_resume_needs_no_published_weights(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def published(name: str, pretrained: bool = False, **settings: Any) -> torch.nn.Module:
        if pretrained and folder is not None:
            raise OSError("no connection")
        return create(name, **settings)

    monkeypatch.setattr(timm, "create_model", published)
    folder = None
    small = [
        "model=heatmap_net", "model.trunk=mobilenetv3_small_050", "model.pretrained=true",
        "model.input_size=[64,64]", "model/scheduler=none",
    ]  # fmt: skip
    _, folder = run("r", *small, "trainer.max_epochs=1")
    last = f"ckpt_path={folder}/checkpoints/last.ckpt"
    run("r", *small, "trainer.max_epochs=2", last)
    assert len(pd.read_csv(folder / "metrics.csv")) == 2


@pytest.mark.parametrize(
    ("scheduler", "length"), [("cosine", "T_max=4"), ("step", "step_size=1"), ("one_cycle", "total_steps=4")]
)  # fmt: skip
def test_resumed_run_ends_where_the_uninterrupted_one_does(
    run: Run, scheduler: str, length: str
) -> None:
    settings = [
        f"model/scheduler={scheduler}",
        f"model.scheduler.{length}",
        "model/optimizer=adamw",
    ]
    _, whole = run("whole", *settings, "trainer.max_epochs=4", "report=true")
    for stop in (1, 2, 3):
        _, part = run(f"part{stop}", *settings, f"trainer.max_epochs={stop}")
        last = part / "checkpoints/last.ckpt"
        run(f"part{stop}", *settings, "trainer.max_epochs=4", f"ckpt_path={last}")
        assert_same_end(whole, part)


def test_best_checkpoint_survives_a_resume(run: Run) -> None:
    _, folder = run("r", "trainer.max_epochs=2", "report=true")
    first = pd.read_csv(folder / "metrics.csv")["val/mse"].min()
    # A learning rate that ruins the network: the best epoch is before the resume.
    best, _ = run(
        "r", "trainer.max_epochs=3", f"ckpt_path={folder / 'checkpoints/last.ckpt'}",
        "trainer.gradient_clip_val=1e-12", "report=true",
    )  # fmt: skip
    frame = pd.read_csv(folder / "metrics.csv")
    assert list(frame["epoch"]) == [0, 1, 2]
    assert best == frame["val/mse"].min() <= first
    saved = torch.load(folder / "checkpoints/best.ckpt", weights_only=True)
    assert saved["epoch"] == frame["val/mse"].idxmin()


def test_the_best_checkpoint_holds_no_optimizer(run: Run) -> None:
    _, folder = run("r", "trainer.max_epochs=1")
    best, last = (folder / "checkpoints" / name for name in ("best.ckpt", "last.ckpt"))
    assert best.stat().st_size < last.stat().st_size / 2
    with pytest.raises(ConfigError, match=r"has no optimizer; give last\.ckpt"):
        run("r", "trainer.max_epochs=2", f"ckpt_path={best}")


def test_moved_run_keeps_its_best(run: Run, tmp_path: Path) -> None:
    _, folder = run("r", "trainer.max_epochs=2")
    before = torch.load(folder / "checkpoints/best.ckpt", weights_only=True)
    folder.rename(tmp_path / "moved")
    last = tmp_path / "moved/checkpoints/last.ckpt"
    state = torch.load(last, weights_only=True)
    for name in state["state_dict"]:  # ruined, so that the next epoch is worse
        if name.startswith("network.head"):
            state["state_dict"][name] += 3.0
    torch.save(state, last)
    best, _ = run("moved", "trainer.max_epochs=3", f"ckpt_path={last}")
    after = torch.load(tmp_path / "moved/checkpoints/best.ckpt", weights_only=True)
    assert after["epoch"] == before["epoch"]
    frame = pd.read_csv(tmp_path / "moved/metrics.csv")
    assert best == frame["val/mse"].min() < frame["val/mse"].iloc[-1]


def test_resume_refuses_another_recipe_and_leaves_the_records(run: Run, tmp_path: Path) -> None:
    _, folder = run("r", "trainer.max_epochs=1")
    last, config = folder / "checkpoints/last.ckpt", (folder / "config.yaml").read_text()
    for override, message in (
        ("model.optimizer.lr=1e-5", r"model\.optimizer\.lr=1e-05 \(was 0\.001\)"),
        ("model=face_net", "model.channels"),
        ("seed=3", "seed=3"),
    ):
        with pytest.raises(ConfigError, match=message):
            run("r", override, f"ckpt_path={last}")
        assert (folder / "config.yaml").read_text() == config
    with pytest.raises(ConfigError, match="is resumed in its own folder"):
        run("other", f"ckpt_path={last}")


def test_a_run_goes_on_also_before_its_first_validation(run: Run) -> None:
    settings = ["trainer.max_epochs=4", "trainer.check_val_every_n_epoch=3"]
    _, whole = run("whole", *settings)
    with pytest.raises(FacekpError, match="before its first validation"):
        run("part", *settings, "+trainer.max_steps=8")
    part = whole.parent / "part"
    assert not (part / "checkpoints/best.ckpt").exists()
    last = part / "checkpoints/last.ckpt"
    run("part", *settings, f"ckpt_path={last}")
    assert_same_end(whole, part)


def test_a_resume_with_another_metric_for_the_best_epoch_is_refused(run: Run) -> None:
    _, folder = run("r", "trainer.max_epochs=1")
    best = (folder / "checkpoints/best.ckpt").read_bytes()
    last = f"ckpt_path={folder / 'checkpoints/last.ckpt'}"
    with pytest.raises(ConfigError, match=r"monitor=val/mae_px \(was val/mse\)"):
        run("r", "trainer.max_epochs=2", "monitor=val/mae_px", last)
    with pytest.raises(ConfigError, match=r"threshold=0.5 \(was 0.08\)"):
        run("r", "trainer.max_epochs=2", "threshold=0.5", last)
    assert (folder / "checkpoints/best.ckpt").read_bytes() == best


def test_results_of_before_do_not_say_that_a_resumed_run_is_complete(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = run("r", "trainer.max_epochs=1")
    assert (folder / "results.json").is_file()

    def stopped(*_: object) -> None:
        raise FacekpError("stopped")

    last = f"ckpt_path={folder / 'checkpoints/last.ckpt'}"
    with pytest.raises(ConfigError, match=r"dataset\.batch_size=4"):
        run("r", "dataset.batch_size=4", last)
    assert (folder / "results.json").is_file()
    monkeypatch.setattr("facekp.tasks.train.fit", stopped)
    with pytest.raises(FacekpError, match="stopped"):
        run("r", "trainer.max_epochs=2", last)
    assert not (folder / "results.json").exists()
