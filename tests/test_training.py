"""Runs: they repeat, resume, record, and leave safe checkpoints."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from facekp.cli.config import new_dir, run_dir
from facekp.core.errors import ConfigError, DataError, FacekpError
from facekp.models.bundled import BUNDLED
from facekp.models.factory import build_network

from .conftest import ROOT, composed

Run = Callable[..., tuple[float, Path]]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]


def figures(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "metrics.csv").drop(columns="images_per_second")


def assert_same_end(a: Path, b: Path) -> None:
    one, other = weights(a), weights(b)
    assert all(torch.equal(one[name], other[name]) for name in one)
    pd.testing.assert_frame_equal(figures(a), figures(b), check_exact=True)


def test_same_numbers_again_and_with_workers(run: Run) -> None:
    _, first = run("first")
    _, again = run("again")
    _, workers = run("workers", "dataset.num_workers=2")
    _, other = run("other", "seed=1")
    assert_same_end(first, again)
    assert_same_end(first, workers)
    assert not torch.equal(*(weights(f)["network.head.0.weight"] for f in (first, other)))


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


def test_epochs_without_validation_repeat_no_figures(run: Run) -> None:
    _, folder = run("r", "trainer.check_val_every_n_epoch=2", "trainer.max_epochs=4")
    frame = pd.read_csv(folder / "metrics.csv")
    assert list(frame["val/mse"].isna()) == [True, False, True, False]
    assert (frame["images_per_second"] < 1e6).all()


def test_diverged_run_says_so(run: Run) -> None:
    with pytest.raises(FacekpError, match=r"never a number: lower model\.optimizer\.lr"):
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
    assert saved["scheme"]["count"] == 58


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


def test_folders_are_never_shared(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: new_dir(str(tmp_path / "runs")), range(40)))
    assert len(set(folders)) == 40


def test_resumed_run_goes_on_in_its_folder(tmp_path: Path) -> None:
    checkpoint = tmp_path / "runs/part1/then/checkpoints/last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    assert run_dir(str(tmp_path / "new"), str(checkpoint)) == str(tmp_path / "runs/part1/then")


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
        ("model._target_=os.system", "this is no KeypointNetwork"),
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


@pytest.mark.parametrize(
    "path", sorted((ROOT / "conf/experiment").glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_experiment_composes_and_builds_its_network(path: Path) -> None:
    cfg = composed(f"experiment={path.stem}")
    assert cfg.name == path.stem
    network = build_network(cfg.model, 3).eval()
    views = torch.zeros(1, cfg.dataset.channels, *cfg.dataset.input_size)
    assert network(views).shape == (1, 3, 2)
    assert {cfg.init_from, cfg.teacher} <= {None, *BUNDLED}


def test_sizes_and_choices_can_be_swept() -> None:
    cfg = composed("experiment=part2", "model=face_net_240x320", "model.kernel_sizes=[5,5,3,3,1]",
                   "model/loss=wing", "model/optimizer=sgd", "model/scheduler=cosine")  # fmt: skip
    assert cfg.dataset.input_size == [240, 320]
    assert cfg.model.scheduler.T_max == 20


def test_command_line_sweeps_over_the_parts(
    tmp_path: Path, imm_data: Path, ibug_data: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for source in (imm_data, ibug_data):
        folder = next(source.iterdir())
        (data / folder.name).symlink_to(folder)
    done = subprocess.run(
        [
            sys.executable, str(ROOT / "train.py"), "-m", "experiment=part1,part2,part3",
            f"runs_dir={tmp_path}/runs", f"data_dir={data}", "trainer.max_epochs=1",
            "dataset.batch_size=12,0", "dataset.cache=memory",
        ],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    # a batch of 0 fails, and takes no other job along
    assert done.returncode == 1
    assert "3 of 6 jobs failed: 1_part1, 3_part2, 5_part3" in done.stderr
    (table,) = tmp_path.glob("runs/sweeps/*/sweep.csv")
    jobs = pd.read_csv(table)
    assert list(jobs["job"]) == [
        "0_part1", "1_part1", "2_part2", "3_part2", "4_part3", "5_part3"
    ]  # fmt: skip
    assert list(jobs["dataset.batch_size"]) == [12, 0] * 3
    assert list(jobs["status"]) == ["done", "failed"] * 3
    assert "dataset.batch_size=0: give a whole number, at least 1" in jobs["error"][1]
    page = (table.parent / "report.html").read_text()
    assert 'href="0_part1/report.html"' in page
    assert (table.parent / "0_part1/report.html").is_file()
    assert "at least 1" in page
    names = sorted(path.parent.parent.name for path in tmp_path.glob("runs/sweeps/*/*/*/best.ckpt"))
    assert names == ["0_part1", "2_part2", "4_part3"]
    assert len(list(tmp_path.glob("runs/sweeps/*/*/checkpoints/best.ckpt"))) == 3


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped_in_any_precision(run: Run, precision: str) -> None:
    clip = ["trainer.gradient_clip_val=0.5", f"trainer.precision={precision}"]
    value, _ = run("run", "trainer.max_epochs=1", *clip)
    assert value > 0


def test_loss_of_an_epoch_that_is_cut_is_its_own(run: Run) -> None:
    _, folder = run("run", "trainer.max_epochs=3", "+trainer.max_steps=7")
    history = pd.read_csv(folder / "metrics.csv")
    assert history["step"].tolist()[-1] == 7
    assert history["train/loss"].is_unique
