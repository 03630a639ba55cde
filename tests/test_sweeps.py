"""Sweeps, several devices, resuming, and dying at any moment."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from facekp.cli.resume import expand_resume
from facekp.cli.validation import validate_config
from facekp.core import devices
from facekp.core.errors import ConfigError, FacekpError
from facekp.core.files import atomic_write_text
from facekp.core.run_folder import accept_resume
from facekp.training.callbacks.median_stopping import MedianStopping

from .conftest import ROOT, composed
from .test_training import assert_same_end

Run = Callable[..., tuple[float, Path]]


def train_py(folder: Path, *arguments: str, **settings: object) -> subprocess.CompletedProcess:
    """Run `train.py` to its end."""
    return subprocess.run(
        command(folder, *arguments),
        capture_output=True, text=True, cwd=folder, check=False, **settings,  # type: ignore[call-overload]
    )  # fmt: skip


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "train.py"), *arguments, f"runs_dir={folder}/runs"]


@pytest.fixture
def small(imm_data: Path) -> list[str]:
    """Part 1 on a few drawn faces, quickly."""
    return ["experiment=part1", f"data_dir={imm_data}", "trainer.max_epochs=3", "report=false"]


def sweep_table(folder: Path) -> pd.DataFrame:
    (path,) = folder.glob("runs/sweeps/*/sweep.csv")
    return pd.read_csv(path).set_index("job").sort_index()


def test_files_are_whole_or_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    atomic_write_text(path, "first")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(FacekpError, match=r"a\.txt cannot be written \(No space left"):
            atomic_write_text(path, "second")
    assert path.read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_resume_repeats_what_a_run_was_started_with(tmp_path: Path) -> None:
    hydra = tmp_path / "it's/.hydra"
    hydra.mkdir(parents=True)
    (hydra / "overrides.yaml").write_text("- experiment=part1\n- seed=3\n")
    here = str(tmp_path / "it's").replace("'", "\\'")
    again = expand_resume([f"resume={tmp_path}/it's", "trainer.max_epochs=9"])
    assert again == [
        "experiment=part1", "seed=3", f"hydra.run.dir='{here}'", "hydra.output_subdir=.hydra/resumed",
        "trainer.max_epochs=9",
    ]  # fmt: skip
    (hydra.parent / "checkpoints").mkdir()
    (hydra.parent / "checkpoints/last.ckpt").touch()
    again = expand_resume([f"resume={tmp_path}/it's"])
    assert again[-1] == f"ckpt_path='{here}/checkpoints/last.ckpt'"
    assert expand_resume(["seed=1"]) == ["seed=1"]
    # What a resume changes counts once the run has taken it.
    (hydra / "resumed").mkdir()
    (hydra / "resumed/overrides.yaml").write_text("- seed=4\n")
    assert "seed=3" in expand_resume([f"resume={tmp_path}/it's"])
    accept_resume(hydra.parent)
    assert "seed=4" in expand_resume([f"resume={tmp_path}/it's"])
    (tmp_path / "multirun.yaml").write_text(
        "hydra: {overrides: {hydra: [hydra.mode=MULTIRUN, hydra/launcher=cpus], task: ['seed=0,1']}}"
    )
    assert expand_resume(["-m", f"resume={tmp_path}", "seed=2"]) == [
        "-m", "hydra/launcher=cpus", "seed=0,1", f"hydra.sweep.dir='{tmp_path}'", "seed=2"
    ]  # fmt: skip
    (tmp_path / "multirun.yaml").unlink()
    with pytest.raises(ConfigError, match="not the folder of a run"):
        expand_resume([f"resume={tmp_path}"])


def test_a_sweep_started_again_runs_what_is_missing(tmp_path: Path, small: list[str]) -> None:
    first = train_py(tmp_path, "-m", *small, "seed=0,1,2", "trainer.max_epochs=2")
    assert first.returncode == 0, first.stderr
    (folder,) = tmp_path.glob("runs/sweeps/*")
    before = sweep_table(tmp_path)
    # As if it had died after the second job's training, and before the third.
    (folder / "1_part1/results.json").unlink()
    shutil.rmtree(folder / "2_part1")
    again = train_py(tmp_path, f"resume={folder}")
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("finished earlier") == 1
    after = sweep_table(tmp_path)
    pd.testing.assert_series_equal(before["best"], after["best"])
    assert list(after["status"]) == ["done"] * 3
    # What was done before does not hide that it fails now.
    failing = train_py(tmp_path, f"resume={folder}", "trainer.max_epochs=1", "seed=0")
    assert failing.returncode == 1
    assert sweep_table(tmp_path).loc["0_part1", "status"] == "failed"
    assert "has completed 2 epochs" in sweep_table(tmp_path).loc["0_part1", "error"]


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


def test_no_tensorboard(run: Run) -> None:
    _, folder = run("r", "~logger", "trainer.max_epochs=1")
    assert not (folder / "tensorboard").exists()


def test_several_devices_are_not_for_sweeps(tmp_path: Path, small: list[str]) -> None:
    done = train_py(tmp_path, "-m", *small, "trainer.cpus=2")
    assert done.returncode == 1
    assert "a run on several devices starts its own command again" in done.stdout + done.stderr


def test_each_process_claims_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"test-{os.getpid()}-{n}" for n in range(2)]
    monkeypatch.setattr(devices, "_claims", {})
    assert [devices.claim_gpu(names) for _ in range(2)] == [0, 0]
    code = (
        "import sys, time; from facekp.core.devices import claim_gpu\n"
        "print(claim_gpu(sys.argv[1:]), flush=True); time.sleep(60)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, *names], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "1\n"
    third = subprocess.run(
        [sys.executable, "-c", code, *names], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "all 2 GPUs are taken" in third.stderr
    other.kill()
    other.wait()
    fourth = subprocess.Popen(
        [sys.executable, "-c", code, *names], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert fourth.stdout is not None
    assert fourth.stdout.readline() == "1\n"
    fourth.kill()
    fourth.wait()


def test_gpus_are_counted_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3,7")
    assert devices.gpu_count() == 3
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices.gpu_count() == 1


@pytest.mark.parametrize("value", ["two", "[0,x]", "true", "null", "1.5", "-2"])
def test_gpus_must_be_numbers(value: str) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.gpus="):
        validate_config(composed(f"trainer.gpus={value}", "run_dir=x"))


def test_hopeless_jobs_end_early(run: Run, tmp_path: Path) -> None:
    for number, value in enumerate((1e-9, 1e-9, 1.0)):
        folder = tmp_path / f"{number}_part1"
        folder.mkdir()
        history = pd.DataFrame({"epoch": range(3), "val/mse": value})
        history.to_csv(folder / "metrics.csv", index=False)
    settings = [
        "callbacks=[default,median_stopping]",
        "callbacks.median_stopping.min_epochs=2",
        "callbacks.median_stopping.min_jobs=3",
    ]
    _, folder = run("9_part1", *settings)
    assert len(pd.read_csv(folder / "metrics.csv")) == 2
    _, folder = run("8_part1", *settings, "callbacks.median_stopping.min_jobs=9")
    assert len(pd.read_csv(folder / "metrics.csv")) == 3


def test_median_rule_reads_only_jobs_of_its_experiment(tmp_path: Path) -> None:
    for name in ("0_part1", "1_part2", "2_part1"):
        (tmp_path / name).mkdir()
        history = pd.DataFrame({"epoch": [0, 1], "val/mse": [2.0, 1.0]})
        history.to_csv(tmp_path / name / "metrics.csv", index=False)
    rule = MedianStopping(tmp_path / "0_part1", "part1", "val/mse")
    assert list(rule._others(0)) == [2.0]
    assert list(rule._others(1)) == [1.0]
    assert list(rule._others(2)) == []


def test_early_stopping_and_averaged_weights(run: Run) -> None:
    settings = ["callbacks=[default,ema,early_stopping]"]
    _, whole = run("whole", *settings)
    saved = torch.load(whole / "checkpoints/last.ckpt", weights_only=True)
    name = "network.head.0.weight"
    assert not torch.equal(saved["state_dict"][name], saved["current_model_state"][name])
    _, part = run("part", *settings, "trainer.max_epochs=1")
    run("part", *settings, f"ckpt_path={part / 'checkpoints/last.ckpt'}")
    assert_same_end(whole, part)
    stopping = ["callbacks=[default,early_stopping]", "callbacks.early_stopping.patience=1"]
    _, folder = run("stops", *stopping, "model.optimizer.lr=0")
    assert len(pd.read_csv(folder / "metrics.csv")) == 2


def test_callbacks_that_a_run_needs_are_named(run: Run) -> None:
    with pytest.raises(ConfigError, match=r"callbacks: best, history, last are missing"):
        run("r", "callbacks=[ema]")


def test_accumulated_and_clipped_steps(run: Run) -> None:
    _, folder = run("r", "trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=1")
    assert list(pd.read_csv(folder / "metrics.csv")["step"]) == [2, 4, 6]


def test_a_lost_loader_process_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from facekp.data.dataset import KeypointDataset

    here, load = os.getpid(), KeypointDataset.__getitems__

    def dies_in_a_worker(self: KeypointDataset, keys: list) -> dict:
        if os.getpid() != here and keys[0][0] == 1:  # in the second epoch
            os.kill(os.getpid(), signal.SIGKILL)
        return load(self, keys)

    with monkeypatch.context() as patch:
        patch.setattr(KeypointDataset, "__getitems__", dies_in_a_worker)
        with pytest.raises(
            FacekpError, match=r"a loader process died .* resume=.*/r continues the run"
        ):
            run("r", "dataset.num_workers=1")
    folder = run("whole")[1]
    last = folder.parent / "r/checkpoints/last.ckpt"
    assert_same_end(folder, run("r", f"ckpt_path={last}")[1])


def test_slurm_settings_compose() -> None:
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose(
            "config", ["hydra/launcher=slurm", "hydra.launcher.partition=gpu"],
            return_hydra_config=True,
        )  # fmt: skip
    launcher = OmegaConf.to_container(cfg.hydra.launcher, resolve=False)
    assert launcher["_target_"].endswith("SlurmLauncher")
    assert launcher["partition"] == "gpu"
    assert launcher["gpus_per_node"] == launcher["tasks_per_node"] == 1


# What follows takes minutes: `make test-long`.


@pytest.mark.long
def test_two_processes_judge_as_one(tmp_path: Path, small: list[str]) -> None:
    """Uneven splits: 18 faces to train and 6 to validate, on 1 and 2 processes, and on 4."""
    tables = []
    for processes in (1, 2, 4):
        folder = tmp_path / str(processes)
        folder.mkdir()
        done = train_py(
            folder, *small, "trainer=ddp", "trainer.gpus=0", f"trainer.cpus={processes}",
            "model.optimizer.lr=0", "dataset.batch_size=4",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert len(list(folder.glob("runs/part1/*"))) == 1
        (table,) = folder.glob("runs/part1/*/metrics.csv")
        tables.append(pd.read_csv(table).filter(like="val/").drop(columns="val/loss"))
    for table in tables[1:]:
        pd.testing.assert_frame_equal(tables[0], table, rtol=1e-6)


@pytest.mark.long
def test_two_processes_train_as_one(tmp_path: Path, small: list[str]) -> None:
    """Two processes with half the batch take the same steps as one."""
    tables = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        done = train_py(
            folder, *small, "trainer=ddp", "trainer.gpus=0", f"trainer.cpus={processes}",
            f"dataset.batch_size={6 // processes}", "augmentation=light",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        (table,) = folder.glob("runs/part1/*/metrics.csv")
        tables.append(pd.read_csv(table).drop(columns="images_per_second"))
    pd.testing.assert_frame_equal(*tables, rtol=1e-4)


@pytest.mark.long
def test_launchers_give_what_one_after_another_gives(tmp_path: Path, small: list[str]) -> None:
    tables = []
    for launcher in ("basic", "cpus", "submitit_local"):
        folder = tmp_path / launcher
        folder.mkdir()
        done = train_py(folder, "-m", *small, "seed=0,1", f"hydra/launcher={launcher}")
        assert done.returncode == 0, done.stderr
        tables.append(sweep_table(folder).drop(columns="seconds"))
    pd.testing.assert_frame_equal(tables[0], tables[1])
    pd.testing.assert_frame_equal(tables[0], tables[2])


@pytest.mark.long
def test_a_search_goes_on_where_its_storage_says(tmp_path: Path, small: list[str]) -> None:
    import sqlite3

    search = [
        "-m", "hydra/sweeper=optuna", *small, "+search=part1", "hydra.sweeper.n_trials=2",
        "trainer.max_epochs=1",
    ]  # fmt: skip
    for count in (2, 4, 6):
        wrong = ["model.input_size=[4,4]"] if count == 6 else []  # each of its trials fails
        done = train_py(tmp_path, *search, *wrong)
        assert done.returncode == (1 if wrong else 0), done.stderr
        assert "Traceback" not in done.stderr
        with sqlite3.connect(tmp_path / "runs/search_part1.db") as study:
            states = [row[0] for row in study.execute("select state from trials")]
        assert states == ["COMPLETE"] * count


@pytest.mark.long
def test_thirty_kills_change_nothing(tmp_path: Path, small: list[str]) -> None:
    """`kill -9` at random moments: in imports, steps, validations, and writing of checkpoints."""
    settings = [*small, "trainer.max_epochs=150", "augmentation=light", "model/scheduler=cosine"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    start = time.perf_counter()
    assert train_py(whole, *settings).returncode == 0
    total = time.perf_counter() - start
    rng = random.Random(0)
    (killed / "run").mkdir()
    first = [*command(killed, *settings), f"hydra.run.dir={killed}/run"]
    process = subprocess.Popen(first, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    kills = 0
    while kills < 30:
        # Mostly after the imports, and far enough to get anywhere at all.
        time.sleep(rng.uniform(0.3, 0.9) * total if kills % 5 else rng.uniform(0, 0.3) * total)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        for path in (killed / "run").glob("checkpoints/*.ckpt"):
            torch.load(path, weights_only=True)  # whole
        again = (
            command(killed, f"resume={killed}/run") if (killed / "run/.hydra").is_dir() else first
        )
        process = subprocess.Popen(again, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert_same_end(next((whole / "runs/part1").iterdir()), killed / "run")


@pytest.mark.long
def test_a_full_disk_loses_nothing(tmp_path: Path, small: list[str]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)],
        capture_output=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip("cannot mount a small disk here")
    try:
        # Room for the checkpoints, and for a while for what TensorBoard adds.
        filler = disk / "filler"
        filler.write_bytes(b"0" * 2_200_000)
        done = train_py(tmp_path, *small, f"hydra.run.dir={disk}/run", "trainer.max_epochs=4000")
        assert done.returncode == 1
        assert "cannot be written (No space left on device)" in done.stderr
        assert "Traceback" not in done.stderr
        epoch = torch.load(disk / "run/checkpoints/last.ckpt", weights_only=True)["epoch"]
        torch.load(disk / "run/checkpoints/best.ckpt", weights_only=True)
        filler.unlink()
        more = train_py(tmp_path, f"resume={disk}/run", f"trainer.max_epochs={epoch + 3}")
        assert more.returncode == 0, more.stderr
        history = pd.read_csv(disk / "run/metrics.csv")
        assert list(history["epoch"]) == list(range(epoch + 3))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
