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
