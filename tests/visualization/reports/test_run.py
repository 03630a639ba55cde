"""The report of a run."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers import Page


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, imm_data: Path) -> Path:
    """A short run of the full-face net with its report."""
    import facekp
    from tests.conftest import composed

    folder = tmp_path_factory.mktemp("finished")
    facekp.train(
        composed(
            "experiment=part2", f"data_dir={imm_data}", f"run_dir={folder}", "name='<i>mine'",
            "trainer.max_epochs=2",
        )
    )  # fmt: skip
    return folder


def test_report_is_one_page_that_needs_nothing_else(finished: Path) -> None:
    path = finished / "report.html"
    page = Page(path)
    assert page.headings == [
        "Learning", "Figures", "Faces", "Where the errors are", "Progress of training", "Data",
        "The network", "Filters", "Feature maps", "Reproducibility",
    ]  # fmt: skip
    assert page.fetched == []
    assert len(page.ids) == len(set(page.ids))
    assert path.stat().st_size < 5e6
    text = path.read_text(encoding="utf-8")
    assert "<i>mine" not in text
    assert "@import" not in text
    # every reference inside a chart leads to something
    for name in re.findall(r'(?:url\(#|href="#)([^")]+)', text):
        assert name in page.ids


def test_pictures_lie_in_the_folder_and_in_tensorboard(finished: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    names = {path.stem for path in (finished / "pictures").glob("*.*g")}
    assert {
        "data", "train_samples", "validation", "loss", "best", "worst", "random", "error_curve",
        "points", "subsets", "filters_1", "filters_2", "features_1",
    } <= names  # fmt: skip
    assert [p.name for p in sorted((finished / "pictures/epochs").iterdir())] == [
        "0001.jpg",
        "0002.jpg",
    ]
    board = EventAccumulator(str(finished / "tensorboard"))
    board.Reload()
    tags = set(board.Tags()["images"])
    assert {"data", "train_samples", "validation", "report/loss", "report/worst"} <= tags
    assert [image.step for image in board.Images("validation")] == [0, 1]


def test_report_judges_the_best_weights(finished: Path) -> None:
    history, errors = (pd.read_csv(finished / f"{name}.csv") for name in ("metrics", "errors"))
    best = history.loc[history["val/mse"].idxmin()]
    assert errors["nme_interocular"].mean() == pytest.approx(best["val/nme_interocular"], rel=1e-4)
    assert errors["mae_px"].mean() == pytest.approx(best["val/mae_px"], rel=1e-4)
    assert f"{best['val/mae_px']:.2f} px" in (finished / "report.html").read_text()
