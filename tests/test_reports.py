"""Reports: what a run and a sweep leave to be looked at."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from facekp.core.landmarks import IMM58
from facekp.metrics import normalized_offsets
from facekp.visualization import charts
from facekp.visualization.network import convolutions, feature_maps, filter_sheet, layer_table
from facekp.visualization.overlay import diverging_image, letterbox
from facekp.visualization.reports.page import Section, chart, link, table, write_page

Run = Callable[..., tuple[float, Path]]


class Page(HTMLParser):
    """Headings, ids, and what would be fetched from elsewhere."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.ids: list[str] = []
        self.fetched: list[str] = []
        self._in_heading = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._in_heading = tag == "h2"
        if given.get("id"):
            self.ids.append(given["id"] or "")
        source = given.get("src") or (given.get("href") if tag == "link" else None)
        if source and not source.startswith("data:"):
            self.fetched.append(source)

    def handle_data(self, data: str) -> None:
        if self._in_heading:
            self.headings.append(data)
            self._in_heading = False


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, imm_data: Path) -> Path:
    """A short run of the full-face net with its report."""
    import facekp

    from .conftest import composed

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


def test_no_report(run: Run) -> None:
    _, folder = run("r", "report=false", "trainer.max_epochs=1")
    assert (folder / "results.json").is_file()
    assert not (folder / "report.html").exists()
    assert not (folder / "pictures").exists()


def test_layer_table_counts() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 4 * 4, 2)
    )
    layers = layer_table(network, torch.zeros(1, 1, 10, 10)).set_index("layer")
    assert layers.loc["0", "output"] == "4x8x8"
    assert layers.loc["0", "parameters"] == 4 * 9 + 4
    assert layers.loc["0", "multiply_adds"] == 4 * 8 * 8 * 9
    assert layers.loc["4", "multiply_adds"] == 64 * 2
    assert layers["parameters"].sum() == sum(p.numel() for p in network.parameters())


def test_layers_used_twice_are_counted_once_each_time() -> None:
    shared = nn.Linear(3, 3)
    layers = layer_table(nn.Sequential(shared, shared), torch.zeros(1, 3))
    assert layers["parameters"].sum() == 12
    assert layers["multiply_adds"].sum() == 18


def test_filters_are_drawn_with_their_sign() -> None:
    convolution = nn.Conv2d(1, 2, 2)
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor([[[[1.0, -1.0], [0.0, 0.5]]], [[[0.0] * 2] * 2]]))
    sheet = filter_sheet(convolution)
    side = sheet.shape[0] // 2
    assert [tuple(sheet[y, x]) for y, x in ((0, 0), (0, side), (side, 0), (side, side))] == [
        (255, 0, 0), (0, 0, 255), (255, 255, 255), (255, 128, 128)
    ]  # fmt: skip
    assert (diverging_image(np.zeros((2, 2))) == 255).all()


def test_feature_maps_show_convolutions_in_order() -> None:
    network = nn.Sequential(nn.Conv2d(1, 20, 3), nn.Conv2d(20, 2, 1), nn.Conv2d(2, 3, 3))
    assert list(convolutions(network)) == ["0", "2"]
    sheets = feature_maps(network, torch.rand(1, 1, 12, 16))
    assert list(sheets) == ["0", "2"]
    assert sheets["0"].shape[0] > 2 * sheets["2"].shape[0] - 10


def test_relative_errors_by_hand() -> None:
    from facekp.data.records import FaceRecord

    points = np.zeros((58, 2))
    points[21], points[13] = (10, 5), (60, 5)
    record = FaceRecord(Path("a"), np.zeros(4), points, "a", "a", "a", (Path("a"), None))
    offsets = normalized_offsets([record], points[None, [52]] + (5, -10), [52], IMM58)
    np.testing.assert_allclose(offsets, [[[0.1, -0.2]]])


def test_fit_keeps_proportions() -> None:
    picture = np.full((20, 40, 3), 7, np.uint8)
    fitted = letterbox(picture, (50, 50))
    assert fitted.shape == (50, 50, 3)
    assert (fitted[:, 0, 0] == 7).sum() == 25


def test_error_curve_is_the_share_of_faces() -> None:
    _, curve = charts.error_curves({"network": np.array([0.01, 0.02, 0.03, 0.2])}, 0.08)
    at = curve.set_index("nme_interocular")["network"]
    assert at[at.index <= 0.0199].iloc[-1] == 0.25
    assert at.iloc[-1] in (0.75, 1.0)


def test_cells_and_charts_cannot_break_a_page(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a<b": ["</table><script>", None], "n": [1.5, 2.0]})
    curve, _ = charts.error_curves({"<x>": np.array([0.1])}, 0.08)
    parts = [table(frame), chart(curve, "one"), chart(curve, "two"), link("x/y", "<b>")]
    write_page(tmp_path / "p.html", "<t>", "", "rm <x>", {"<c>": "<v>"}, [Section("s", "<", parts)])
    text = (tmp_path / "p.html").read_text()
    for piece in ("<script", "<t>", "<v>", "<c>", "<x>", "a<b"):
        assert piece not in text
    ids = Page(tmp_path / "p.html").ids
    assert len(ids) == len(set(ids))
