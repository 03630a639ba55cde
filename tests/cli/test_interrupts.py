from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import ROOT, interrupted


def test_a_stopped_run_says_how_it_is_continued(small: list[str], tmp_path: Path) -> None:
    run = tmp_path / "my run"
    settings = [*small, "trainer.max_epochs=500", f"hydra.run.dir={run}"]
    code, said = interrupted([sys.executable, "train.py", *settings], "epoch 25/")
    assert code == 130
    assert f"continue    python train.py 'resume={run}'" in said
    assert "Traceback" not in said
    assert (run / "checkpoints/last.ckpt").is_file()


@pytest.mark.long
def test_a_stopped_sweep_leaves_its_report(small: list[str], tmp_path: Path) -> None:
    sweep = [
        "-m",
        *small,
        "seed=0,1",
        "trainer.max_epochs=1,5000",
        f"hydra.sweep.dir={tmp_path / 's'}",
    ]
    code, said = interrupted([sys.executable, "train.py", *sweep], "epoch 1/5000")
    assert code == 130
    assert f"python train.py resume={tmp_path / 's'}" in said
    table = pd.read_csv(tmp_path / "s/sweep.csv")
    assert set(table.status) == {"done", "unfinished"}
    assert (tmp_path / "s/report.html").is_file()


def test_ctrl_c_in_a_finalizer_is_not_lost() -> None:
    code = """
import os, signal, time
from facekp.cli import interrupts

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)

interrupts.REPEAT_AFTER = 0.2
with interrupts.resumable():
    Finalized()
    while True:
        time.sleep(0.05)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    assert "Exception ignored" in done.stderr
    assert done.stdout.split() == ["stopped"]
    assert done.returncode == 130
