"""The benchmarks run."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.formats import DRAWN, measured
from benchmarks.training import epoch_times
from tests.helpers import ibug


def test_benchmark_of_training(tmp_path: Path, imm_data: Path) -> None:
    small = [f"data_dir={imm_data}", "dataset.val_people=[33]", "report=false"]
    times = epoch_times(tmp_path, "part1", small, epochs=3)
    assert times["images"].tolist() == [18, 18]
    assert (times["training"] < times["epoch"]).all()
    assert (times[["training_ceiling", "operations", "convolution"]] > 0).all(axis=None)


@pytest.mark.parametrize("name", DRAWN)
def test_formats_that_are_only_read(tmp_path: Path, ibug_data: Path, name: str) -> None:
    """Written by the benchmark from their documentation, read to 1e-6 px."""
    source = ibug(ibug_data)
    path = DRAWN[name](tmp_path, source.splits["train"])
    row = measured("drawn", name, source, {"train": path}, None, tmp_path)
    assert row["faces"] == len(source.splits["train"])
    if name != "kaggle":  # which holds images of its own, and three digits
        assert row["largest difference, px"] < 1e-6
