"""The programs as they are called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT


def test_command_line(checkpoints: dict[str, Path], ibug_data: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "predict.py"),
        f"runs_dir={tmp_path}/runs",
        f"data_dir={ibug_data}",
    ]
    done = subprocess.run(
        [*command, "task=evaluate", f"ckpt_path={checkpoints['ibug']}"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("runs/evaluate/*/errors.csv"))) == 1
    done = subprocess.run(
        [*command, "task=kaggle", "ckpt_path=nowhere.ckpt"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert (
        done.stderr.strip().splitlines()[-1].startswith("error: nowhere.ckpt: no such checkpoint")
    )


def test_help_says_what_a_program_does_and_which_groups_it_has(tmp_path: Path) -> None:
    told = {
        program: subprocess.run(
            [sys.executable, str(ROOT / f"{program}.py"), "--help"],
            capture_output=True, text=True, check=True, cwd=tmp_path,
        ).stdout
        for program in ("train", "predict")
    }  # fmt: skip
    assert "train.py experiment=part1\n" in told["train"]
    assert "experiment: 300w_best, annotations" in told["train"]
    assert "task: " not in told["train"]
    assert "predict.py photo.jpg" in told["predict"]
    assert "task: annotate, camera" in told["predict"]
    assert "experiment: " not in told["predict"]
    assert not list(tmp_path.iterdir())
