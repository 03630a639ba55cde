"""Launchers and searches (minutes)."""

from __future__ import annotations

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
