"""Sweeps: failing jobs, restarts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from facekp.cli.sweeps import check_multirun
from facekp.core.errors import ConfigError
from tests.conftest import ROOT
from tests.helpers import sweep_table, train_py


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
            "dataset.batch_size=12", "dataset.points=[52],[999]", "dataset.cache=memory",
        ],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    # a point that does not exist fails, and takes no other job along
    assert done.returncode == 1
    assert "3 of 6 jobs failed: 1_part1, 3_part2, 5_part3" in done.stderr
    (table,) = tmp_path.glob("runs/sweeps/*/sweep.csv")
    jobs = pd.read_csv(table)
    assert list(jobs["job"]) == [
        "0_part1", "1_part1", "2_part2", "3_part2", "4_part3", "5_part3"
    ]  # fmt: skip
    assert list(jobs["dataset.points"]) == ["[52]", "[999]"] * 3
    assert list(jobs["status"]) == ["done", "failed"] * 3
    assert "999" in jobs["error"][1]
    assert "part1, part2: best 2 of 2 by val/mse" in done.stdout
    page = (table.parent / "report.html").read_text()
    assert 'href="0_part1/report.html"' in page
    assert (table.parent / "0_part1/report.html").is_file()
    assert "999" in page
    names = sorted(path.parent.parent.name for path in tmp_path.glob("runs/sweeps/*/*/*/best.ckpt"))
    assert names == ["0_part1", "2_part2", "4_part3"]
    assert len(list(tmp_path.glob("runs/sweeps/*/*/checkpoints/best.ckpt"))) == 3


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "hydra/sweeper=optuna experiment=part1 +search=part1",
            "sweeper=optuna: a sweep or search",
        ),
        ("+search=part1", r"\+search=part1: a sweep or search needs -m"),
        ("hydra/launcher=slurm experiment=part3", "launcher=slurm: a sweep or search needs -m"),
        ("-m +search=part1", r"\+search=part1: a search needs hydra/sweeper=optuna, too"),
    ],
)
def test_what_a_single_run_would_ignore_is_refused(arguments: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_multirun(arguments.split())
    check_multirun(["-m", "hydra/sweeper=optuna", "+search=part1"])
    check_multirun(["hydra.mode=MULTIRUN", "hydra/launcher=cpus"])


def test_several_devices_are_not_for_sweeps(tmp_path: Path, small: list[str]) -> None:
    done = train_py(tmp_path, "-m", *small, "trainer.cpus=2")
    assert done.returncode == 1
    assert "a run on several devices starts its own command again" in done.stdout + done.stderr
