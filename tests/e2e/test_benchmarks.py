"""The benchmarks run."""

from __future__ import annotations

from pathlib import Path

from benchmarks.training import epoch_times


def test_benchmark_of_training(tmp_path: Path, imm_data: Path) -> None:
    small = [f"data_dir={imm_data}", "dataset.val_people=[33]", "report=false"]
    times = epoch_times(tmp_path, "part1", small, epochs=3)
    assert times["images"].tolist() == [18, 18]
    assert (times["training"] < times["epoch"]).all()
    assert (times[["training_ceiling", "operations", "convolution"]] > 0).all(axis=None)
