from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import ROOT


def stopped(until: str, *arguments: str) -> tuple[int, str]:
    """Exit status and output of `train.py`, which Ctrl-C ends when it has said something."""
    process = subprocess.Popen(
        [sys.executable, "train.py", *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if until in line:
            process.send_signal(signal.SIGINT)
            break
    rest, _ = process.communicate(timeout=60)
    return process.returncode, said + rest


def test_a_stopped_run_says_how_it_is_continued(small: list[str], tmp_path: Path) -> None:
    run = tmp_path / "my run"
    code, said = stopped("epoch 25/", *small, "trainer.max_epochs=500", f"hydra.run.dir={run}")
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
    code, said = stopped("epoch 1/5000", *sweep)
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

interrupts.AGAIN = 0.2
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
