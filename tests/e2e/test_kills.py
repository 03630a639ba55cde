"""A run that is killed again and again (minutes)."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from tests.helpers import assert_same_end, command, train_py


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
