"""Several processes train and evaluate as one (minutes)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.helpers import train_py


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
