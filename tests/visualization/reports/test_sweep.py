"""Tables of a sweep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from facekp.cli.sweep_tables import show_ranking
from facekp.visualization.reports.sweep import (
    means_of_repeats,
    read_jobs,
    swept_settings,
    write_sweep_report,
)


def jobs(rows: list[tuple[str, float, str, float, str]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["data", "lr", "dataset.fold", "best", "status"])
    frame.insert(1, "experiment", "part3")
    frame.insert(4, "monitor", "val/nme")
    return frame


def test_means_over_folds_with_paired_differences() -> None:
    means = means_of_repeats(
        jobs(
            [
                ("IBUG, fold 1/3", 0.1, "1/3", 0.030, "done"),
                ("IBUG, fold 2/3", 0.1, "2/3", 0.050, "done"),
                ("IBUG, fold 3/3", 0.1, "3/3", 0.040, "done"),
                ("IBUG, fold 1/3", 0.2, "1/3", 0.028, "done"),
                ("IBUG, fold 2/3", 0.2, "2/3", 0.046, "done"),
                ("IBUG, fold 3/3", 0.2, "3/3", np.nan, "failed"),
            ]
        )
    )
    assert means["lr"].tolist() == [0.2, 0.1]
    assert means["runs"].tolist() == [2, 3]
    np.testing.assert_allclose(means["mean"], [0.037, 0.040])
    # of 0.028 and 0.046: half their distance; of three: 0.01 / sqrt(3)
    np.testing.assert_allclose(means["standard_error"], [0.009, 0.01 / np.sqrt(3)])
    # the failed fold takes no part: 0.002 and 0.004
    np.testing.assert_allclose(means["difference"][1], 0.003)
    np.testing.assert_allclose(means["difference_error"][1], 0.001)
    assert means["paired"][1] == 2
    assert means["data"].tolist() == ["IBUG", "IBUG"]


def test_means_of_before_go_when_nothing_is_repeated_any_more(tmp_path: Path) -> None:
    means = tmp_path / "means.csv"
    means.write_text("of before")
    write_sweep_report(tmp_path, "train.py")
    assert not means.exists()


def test_there_are_no_means_where_nothing_is_repeated() -> None:
    single = jobs([("IBUG", 0.1, "1/3", 0.03, "done"), ("IBUG", 0.2, "1/3", 0.05, "done")])
    assert means_of_repeats(single).empty
    assert means_of_repeats(single.drop(columns="dataset.fold")).empty


def test_jobs_on_other_data_and_with_other_monitors_are_not_ranked_together(tmp_path: Path) -> None:
    target = "facekp.data.imm.IMMDataModule"
    for at, (place, monitor) in enumerate([("A", "val/mse"), ("B", "val/mse"), ("A", "val/loss")]):
        folder = tmp_path / f"{at}_part1/.hydra"
        folder.mkdir(parents=True)
        dataset = {"_target_": target, "data_dir": "${data_dir}" if at < 2 else "A"}
        config = {"dataset": dataset, "data_dir": place, "name": "part1", "monitor": monitor}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        overrides = [f"data_dir={place}", f"monitor={monitor}"]
        (folder / "overrides.yaml").write_text(yaml.safe_dump(overrides))
    jobs = read_jobs(tmp_path)
    assert jobs["data"].tolist() == ["IMM", "IMM (2)", "IMM"]
    assert swept_settings(jobs) == ["data_dir"]
    assert jobs["monitor"].tolist() == ["val/mse", "val/mse", "val/loss"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("error: a.foo: its format is not recognised; e.g.\n  csv:\n    1,2", "error: a.foo: its format"),
        ("Traceback (most recent call last):\n  ...\nValueError: no", "ValueError: no"),
    ],
)  # fmt: skip
def test_a_failed_job_says_why_in_one_line(tmp_path: Path, text: str, line: str) -> None:
    folder = tmp_path / "0_part1/.hydra"
    folder.mkdir(parents=True)
    config = {"dataset": {"_target_": "facekp.data.imm.IMMDataModule"}, "name": "x", "monitor": "m"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "overrides.yaml").write_text("[]")
    (tmp_path / "0_part1/error.txt").write_text(text)
    assert read_jobs(tmp_path)["error"][0].startswith(line)


def test_settings_in_brackets_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"job": "0_x", "data": "IMM", "experiment": "x", "callbacks": "[default,ema]",
           "monitor": "val/mse", "best": 0.1, "status": "done"}  # fmt: skip
    other = row | {"job": "1_x", "callbacks": "[default]"}
    show_ranking(pd.DataFrame([row, other]), pd.DataFrame())
    said = capsys.readouterr().out
    assert "[default,ema]" in said
    assert "[default]" in said
