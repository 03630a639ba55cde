"""The benchmarks run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.annotators import align_to_annotations, pair_annotations
from benchmarks.few_images import arrows, chosen, write_labels
from benchmarks.formats import DRAWN, measured
from benchmarks.training import epoch_times
from tests.helpers import annotated_face, ibug


@pytest.mark.long
def test_benchmark_of_training(tmp_path: Path, imm_data: Path) -> None:
    small = [f"data_dir={imm_data}", "dataset.val_people=[33]", "report=false"]
    times = epoch_times(tmp_path, "part1", small, epochs=3)
    assert times["images"].tolist() == [18, 18]
    assert (times["training"] < times["epoch"]).all()
    assert (times[["training_ceiling", "operations", "convolution"]] > 0).all(axis=None)


def test_few_images_are_split_by_person(tmp_path: Path) -> None:
    known, _ = arrows(tmp_path / "arrows", 240)
    two_each = [(file, str(n // 2), points) for n, (file, _, points) in enumerate(known)]
    some = chosen(two_each, 30, seed=1)
    write_labels(tmp_path / "x.csv", tuple("abcde"), some, tmp_path, validation=6)
    table = pd.read_csv(tmp_path / "x.csv")
    assert table["split"].value_counts().to_dict() == {"train": 24, "val": 6}
    assert table.groupby("group")["split"].nunique().max() == 1
    assert (tmp_path / table["file"][0]).is_file()


def test_pairs_of_annotations_of_the_same_picture() -> None:
    numbers = ["0035", "0053", "0053_mirror", "0001", "0712", "0730", "0695"]
    several = ["1420413841_1", "1420413841_2", "1425648903_1"]
    names = [f"lfpw/trainset/image_{number}.jpg" for number in numbers]
    names += [f"helen/trainset/{number}.jpg" for number in several]
    pairs = pair_annotations([annotated_face(name=name) for name in names])
    found = [(first.name[-8:-4], second.name[-8:-4]) for first, second in pairs]
    assert found == [("0035", "0053"), ("0712", "0730"), ("0712", "0695"), ("0730", "0695")]


def test_a_similarity_puts_points_over_the_annotated_ones() -> None:
    points = np.random.default_rng(0).uniform(0, 90, (68, 2))
    turned = 1.3 * points @ [[0.8, 0.6], [-0.6, 0.8]] + (30, -7)
    np.testing.assert_allclose(
        align_to_annotations(turned[None], [annotated_face(points)]), points[None], atol=1e-9
    )


@pytest.mark.parametrize("name", DRAWN)
def test_formats_that_are_only_read(tmp_path: Path, ibug_data: Path, name: str) -> None:
    """Written by the benchmark from their documentation, read to 1e-6 px."""
    source = ibug(ibug_data)
    path = DRAWN[name](tmp_path, source.splits["train"])
    row = measured("drawn", name, source, {"train": path}, None, tmp_path)
    assert row["faces"] == len(source.splits["train"])
    if name != "kaggle":  # which holds images of its own, and three digits
        assert row["largest difference, px"] < 1e-6
