"""Early stopping by the median rule."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from facekp.core.errors import ConfigError
from facekp.training.callbacks.median_stopping import MedianStopping
from tests.helpers import Run


def test_hopeless_jobs_end_early(run: Run, tmp_path: Path) -> None:
    for number, value in enumerate((1e-9, 1e-9, 1.0)):
        folder = tmp_path / f"{number}_part1"
        folder.mkdir()
        history = pd.DataFrame({"epoch": range(3), "val/mse": value})
        history.to_csv(folder / "metrics.csv", index=False)
    settings = [
        "callbacks=[default,median_stopping]",
        "callbacks.median_stopping.min_epochs=2",
        "callbacks.median_stopping.min_jobs=3",
    ]
    _, folder = run("9_part1", *settings)
    assert len(pd.read_csv(folder / "metrics.csv")) == 2
    run("9_part1", *settings, f"ckpt_path={folder / 'checkpoints/last.ckpt'}")
    assert len(pd.read_csv(folder / "metrics.csv")) == 2
    _, folder = run("8_part1", *settings, "callbacks.median_stopping.min_jobs=9")
    assert len(pd.read_csv(folder / "metrics.csv")) == 3
    with pytest.raises(ConfigError, match=r"median stopping: monitor=val/nme: .*val/mse"):
        run("7_part1", *settings, "callbacks.median_stopping.monitor=val/nme")


def test_median_rule_reads_only_jobs_of_its_experiment(tmp_path: Path) -> None:
    for name in ("0_part1", "1_part2", "2_part1", "3_my_part1"):
        (tmp_path / name).mkdir()
        history = pd.DataFrame({"epoch": [0, 1], "val/mse": [2.0, 1.0]})
        history.to_csv(tmp_path / name / "metrics.csv", index=False)
    rule = MedianStopping(tmp_path / "0_part1", "part1", "val/mse")
    assert list(rule._others(0)) == [2.0]
    assert list(rule._others(1)) == [1.0]
    assert list(rule._others(2)) == []


def test_median_rule_reads_only_jobs_with_the_same_faces(tmp_path: Path) -> None:
    for number, fold in enumerate(("1/5", "2/5", "1/5")):
        folder = tmp_path / f"{number}_part1"
        folder.mkdir()
        pd.DataFrame({"epoch": [0], "val/mse": [number]}).to_csv(
            folder / "metrics.csv", index=False
        )
        dataset = {"fold": fold, "batch_size": number}
        (folder / "config.yaml").write_text(yaml.safe_dump({"dataset": dataset}))
    assert list(MedianStopping(tmp_path / "0_part1", "part1", "val/mse")._others(0)) == [2.0]
