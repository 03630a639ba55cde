"""A disk that fills up (a minute)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.helpers import train_py


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
