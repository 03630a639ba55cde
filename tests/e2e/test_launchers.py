"""Launchers and searches (minutes)."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers import sweep_table, train_py


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
def test_a_search_continues_where_its_storage_says(tmp_path: Path, small: list[str]) -> None:
    import sqlite3

    search = ["-m", "hydra/sweeper=optuna", *small, "+search=part1", "trainer.max_epochs=1"]
    for count in (2, 3, 4):
        wrong = ["dataset.points=[999]"] if count == 4 else []  # another study, all trials fail
        done = train_py(tmp_path, *search, *wrong, f"hydra.sweeper.n_trials={count}")
        assert done.returncode == (1 if wrong else 0), done.stderr
        assert "Traceback" not in done.stderr
        table = pd.read_csv(max(tmp_path.glob("runs/sweeps/*")) / "sweep.csv")
        assert len(table) == count  # with the earlier trials
    with sqlite3.connect(tmp_path / "runs/search_part1.db") as study:
        states = [row[0] for row in study.execute("select state from trials")]
    assert states == ["COMPLETE"] * (3 + 4)
    done = train_py(tmp_path, *search, "hydra.sweeper.n_trials=3")
    assert done.returncode == 0
    assert "complete: 3 trials" in done.stdout
    assert len(list(tmp_path.glob("runs/sweeps/*"))) == 3
    job = sorted(tmp_path.glob("runs/sweeps/*/*/results.json"))[0].parent
    done = train_py(tmp_path, f"resume={job}")
    assert done.returncode == 0, done.stderr
    assert "+search" not in json.loads((job / "results.json").read_text())["command"]
