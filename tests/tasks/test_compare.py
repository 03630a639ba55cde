from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from facekp.core.errors import ConfigError
from facekp.core.landmarks import IBUG68, LandmarkScheme, Normalizer
from facekp.data.records import FaceRecord
from facekp.tasks.compare import (
    _check_points,
    _differing,
    _labels,
    _named,
    compare,
    paired_differences,
)
from tests.helpers import Page, Run


@pytest.fixture
def two(run: Run) -> list[str]:
    return [str(run("a")[1]), str(run("b", "model.optimizer.lr=3e-3", "trainer.max_epochs=2")[1])]


def test_runs_are_compared_on_the_same_faces(
    two: list[str], imm_data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "compared"
    differences = compare(two, str(imm_data), str(output))
    errors = pd.read_csv(output / "errors.csv")
    figures = pd.read_csv(output / "figures.csv").set_index("run")
    assert list(errors.columns) == ["image", "a", "b"]
    assert figures.nme_interocular["a"] == pytest.approx(errors.a.mean())
    row = differences[differences.metric == "nme_interocular"].iloc[0]
    assert row.difference == pytest.approx((errors.b - errors.a).mean())
    assert row.standard_error == pytest.approx(
        np.std(errors.b - errors.a, ddof=1) / len(errors) ** 0.5
    )
    settings = pd.read_csv(output / "settings.csv", dtype=str).set_index("setting")
    assert settings.loc["model.optimizer.lr"].astype(float).tolist() == [1e-3, 3e-3]
    assert settings.loc["trainer.max_epochs"].tolist() == ["3", "2"]
    assert "seed" not in settings.index
    for name in ("losses.png", "faces.jpg", "differences.csv"):
        assert (output / name).stat().st_size > 100
    page = Page(output / "report.html")
    assert page.headings == ["Losses", "Figures", "Differences", "Settings", "Faces"]
    assert re.search(
        r"[+-][\d.]+ ± [\d.]+ percentage points<", (output / "report.html").read_text()
    )
    assert not page.fetched


def test_a_sweep_is_its_finished_jobs(two: list[str], imm_data: Path, tmp_path: Path) -> None:
    sweep = Path(two[0]).parent
    (sweep / "c").mkdir()  # unfinished
    for runs in (str(sweep), [f"{sweep}/[a-c]"]):
        compare(runs, str(imm_data), str(tmp_path / "compared"))
        assert pd.read_csv(tmp_path / "compared/figures.csv").run.tolist() == ["a", "b"]


def test_losses_of_other_functions_are_not_compared(
    two: list[str], run: Run, imm_data: Path, tmp_path: Path
) -> None:
    other = str(run("d", "model/loss=l1", "trainer.max_epochs=1")[1])
    for runs, note in ((two, False), ([two[0], other], True)):
        output = tmp_path / f"compared-{note}"
        compare(runs, str(imm_data), str(output))
        assert (output / "mse.png").is_file() == note
        assert ("The loss functions differ" in (output / "report.html").read_text()) == note


def test_settings_that_an_older_run_lacks_do_not_differ() -> None:
    now: dict[str, Any] = {"seed": 0, "dataset": {"fold": None, "split_seed": 0, "batch_size": 4}}
    before = {"seed": 0, "dataset": {"batch_size": 8}}
    runs: list[Any] = [
        SimpleNamespace(description=SimpleNamespace(config=config)) for config in (now, before)
    ]
    assert _differing(runs).to_numpy().tolist() == [["dataset.batch_size", "4", "8"]]


def test_labels_are_short(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("0_a", "2_b", "sweeps/2026-11-27_21-14-09")]

    def labels(names: list[str], *differing: list[str]) -> list[str]:
        columns = ["setting", *map(str, range(len(names)))]
        return _labels(folders[: len(names)], names, pd.DataFrame(differing, columns=columns))

    assert labels(["a", "b", "c"]) == ["a", "b", "c"]
    assert labels(["a", "a"]) == ["0_a", "2_b"]
    assert labels(["a", "a", "c"]) == ["a 1", "a 2", "c"]
    assert labels(["a", "a", "a 1"]) == ["1 a", "2 a", "3 a 1"]
    # One setting that differs says more than a folder's name.
    rate, width = ["model.optimizer.lr", "0.1", "0.2"], ["model.widths", "[8, 16, 32]", "[64, 64]"]
    assert labels(["a", "a"], rate) == ["lr=0.1", "lr=0.2"]
    assert labels(["a", "b"], rate) == ["a", "b"]
    for differing in ([rate, width], [width]):
        assert labels(["a", "a"], *differing) == ["0_a", "2_b"]
    assert labels(["a"] * 3, ["seed", "0", "1", "1"]) == ["a 1", "a 2", "a 3"]


def test_runs_that_cannot_be_compared(
    two: list[str], run: Run, imm_data: Path, tmp_path: Path
) -> None:
    for runs, message in (
        (None, "runs= is missing"),
        (two[:1], "two or more"),
        (3, "runs=3: not the folder"),
        ([*two, f"{tmp_path}/no*"], r"no\*: not the folder"),
        ([two[0], two[0]], "two or more"),
        ([two[0], f"{two[0]}/../a"], "two or more"),
        ([two[0], str(tmp_path / "nowhere")], "not the folder of a finished run"),
        (
            [two[0], str(run("c", "dataset.points=[0,52]")[1])],
            r"other points \(points=\[52\]: 1, points=\[0, 52\]: 2\)",
        ),
    ):
        with pytest.raises(ConfigError, match=message):
            compare(runs, str(imm_data), str(tmp_path / "compared"))


def test_differences_are_paired_and_leave_missing_values_out() -> None:
    def frame(*values: float) -> pd.DataFrame:
        return pd.DataFrame({"image": range(len(values)), "subset": "", "mae_px": values})

    table = paired_differences({"a": frame(1, 2, 3, np.nan), "b": frame(2, 4, 3, 9)})
    (row,) = table.to_dict("records")
    assert (row["run"], row["difference"], row["faces"]) == ("b", 1.0, 3)
    assert row["standard_error"] == pytest.approx(1 / 3**0.5)


def test_each_of_several_faces_of_a_photo_counts() -> None:
    def face(left: float, name: str = "a.jpg") -> FaceRecord:
        points = np.array([[left, 1.0], [left + 2, 3]])
        return FaceRecord(Path(name), points.ravel(), points, name, name, "", (Path("x"), None))

    first, second, other = face(5), face(50), face(5, "b.jpg")
    expected = {("a.jpg", 0): first, ("a.jpg", 1): second, ("b.jpg", 0): other}
    for records in ([first, second, other], [other, second, first]):
        assert _named(records) == expected


def test_schemes_that_measure_other_things_are_not_compared() -> None:
    def run_of(scheme: LandmarkScheme) -> Any:
        return SimpleNamespace(predictor=SimpleNamespace(scheme=scheme, points=range(68)))

    other = replace(IBUG68, normalizer=Normalizer("interpupil", (36,), (45,)))
    _check_points({"a": run_of(IBUG68), "b": run_of(IBUG68)})
    for changed in (other, replace(IBUG68, parts={}, closed=frozenset())):
        with pytest.raises(ConfigError, match="other normalisers or parts"):
            _check_points({"a": run_of(IBUG68), "b": run_of(changed)})
