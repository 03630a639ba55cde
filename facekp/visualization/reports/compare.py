"""The page that compares finished runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facekp.core.geometry import bounding_box, crop_transform, expand_box, transform_points
from facekp.core.image import warp
from facekp.core.landmarks import LandmarkScheme
from facekp.core.progress import format_duration
from facekp.core.run_folder import REPORT
from facekp.data.records import FaceRecord, annotated_points
from facekp.metrics import format_metric, nme_column
from facekp.visualization import charts
from facekp.visualization.overlay import PREDICTION, TRUTH, caption, draw_points, grid
from facekp.visualization.reports.page import Gallery, Section, table, write_page

SIDE = 220
"""Pixels of a face."""
MARGIN = 1.5
"""Of a face's picture, in sides of its points' bounding box."""
WHOLE = 64
"""Pixels of a photo around a face whose points lie at one place."""


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """A finished run, with its points on the faces that all compared runs have.

    Args:
        label: its name on the page.
        folder: of the run.
        history: one row per epoch.
        results: content of its `results.json`.
        points: (N, K, 2) in pixels of the photos.
        errors: one row per face, see `facekp.metrics.face_errors`.
    """

    label: str
    folder: Path
    history: pd.DataFrame
    results: dict[str, Any]
    points: np.ndarray
    errors: pd.DataFrame


def write_comparison(
    folder: Path,
    runs: Sequence[ComparedRun],
    figures: pd.DataFrame,
    differences: pd.DataFrame,
    settings: pd.DataFrame,
    faces: Sequence[FaceRecord],
    scheme: LandmarkScheme,
    points: Sequence[int],
) -> None:
    """Write `report.html`, `losses.png` (and `mse.png` if losses differ) and `faces.jpg`.

    Args:
        folder: gets the files.
        runs: the first is the one that the others are compared with.
        figures: one row per run, see `facekp.metrics.summarize`.
        differences: one row per run and metric, each minus the first run.
        settings: one row per setting that differs, one column per run.
        faces: the N faces.
        scheme: of the points.
        points: indices in the scheme of the K points.
    """
    gallery = Gallery(folder)
    first = runs[0]
    monitor = first.results["monitor"]
    sections = [
        _curves(gallery, runs, settings),
        Section("Figures", "Of each run's best epoch.", [_figures(figures, runs), _folders(runs)]),
        Section(
            "Differences",
            f"Each run minus {first.label}, mean over the same faces and its standard error: below "
            "0 the run is better. What is less than two standard errors may be chance.",
            [_differences(differences)],
        ),
        Section(
            "Settings",
            "Those that differ." if len(settings) else "None differ.",
            [table(settings)] if len(settings) else [],
        ),
        _faces(gallery, runs, faces, scheme, points),
    ]
    cards = {run.label: format_metric(monitor, run.results[monitor]) for run in runs}
    labels = ", ".join(run.label for run in runs)
    subtitle = f"{len(faces)} validation faces; {monitor} of each run's best epoch:"
    write_page(folder / REPORT, f"Comparison of {labels}", subtitle, "", cards, sections)


def _curves(gallery: Gallery, runs: Sequence[ComparedRun], settings: pd.DataFrame) -> Section:
    histories = {run.label: run.history for run in runs}
    text = "Training (dashed) and validation loss, one colour per run."
    drawn = [gallery.chart(charts.compared_losses(histories), "losses")]
    if settings["setting"].str.startswith("model.loss.").any():
        drawn.insert(0, gallery.chart(charts.sweep_curves(histories, "val/mse"), "mse"))
        text = (
            "The loss functions differ, so only the validation MSE (above) can be compared. Below, "
            "training (dashed) and validation loss, each run's own."
        )
    return Section("Losses", text, drawn)


def _folders(runs: Sequence[ComparedRun]) -> Any:
    return table(pd.DataFrame([{"run": run.label, "folder": str(run.folder)} for run in runs]))


def _figures(figures: pd.DataFrame, runs: Sequence[ComparedRun]) -> Any:
    names = figures.columns.drop("run")
    rows: list[dict[str, str]] = [
        {
            "metric": name,
            **{
                str(label): format_metric(str(name), value)
                for label, value in zip(figures["run"], figures[name], strict=True)
            },
        }
        for name in names
    ]
    rows.append({"metric": "epochs", **{run.label: str(run.results["epochs"]) for run in runs}})
    durations = {run.label: format_duration(run.results["seconds"]) for run in runs}
    rows.append({"metric": "time", **durations})
    return table(pd.DataFrame(rows))


def _differences(differences: pd.DataFrame) -> Any:
    rows: dict[str, dict[str, str]] = {}
    for row in differences.to_dict("records"):
        scale, unit = (100, "percentage points") if row["metric"].startswith("nme") else (1, "px")
        difference, error = scale * row["difference"], scale * row["standard_error"]
        digits = max(0, 1 - math.floor(math.log10(error))) if error > 0 else 2
        text = f"{difference:+.{digits}f} ± {error:.{digits}f} {unit}"
        rows.setdefault(row["metric"], {"metric": row["metric"]})[row["run"]] = text
    return table(pd.DataFrame(list(rows.values())))


def _faces(
    gallery: Gallery,
    runs: Sequence[ComparedRun],
    faces: Sequence[FaceRecord],
    scheme: LandmarkScheme,
    points: Sequence[int],
) -> Section:
    column = nme_column(runs[0].errors)
    errors = np.array([run.errors[column] for run in runs])
    whole = list(points) == list(range(scheme.count))
    pictures = []
    for at in _chosen(errors):
        record = faces[at]
        image, truth = record.load(3), annotated_points(record)[list(points)]
        matrix = crop_transform(_surroundings(truth), (SIDE, SIDE))
        part = warp(image, matrix, (SIDE, SIDE))
        for number, run in enumerate(runs):
            shown = scheme if whole else None
            drawn = draw_points(part, transform_points(matrix, truth), TRUTH, shown)
            drawn = draw_points(drawn, transform_points(matrix, run.points[at]), PREDICTION, shown)
            pictures.append(caption(drawn, f"{run.label[:18]}: {100 * errors[number, at]:.1f} %"))
    sheet = grid(pictures, len(runs))
    text = (
        "One row per face, one column per run: annotated points green, the run's red, its NME "
        "below. The faces on which the runs differ most, either way, the worst, and a median one."
    )
    return Section("Faces", text, [gallery.picture(sheet, "faces.jpg", "")])


def _surroundings(truth: np.ndarray) -> np.ndarray:
    """Box (4,) of a face's picture."""
    extent = bounding_box(truth)
    if (extent[2:] - extent[:2]).min() < 1:
        extent = np.concatenate([extent[:2] - WHOLE, extent[2:] + WHOLE])
    return expand_box(extent, MARGIN, square=True)


def _chosen(errors: np.ndarray) -> list[int]:
    """Indices of the faces that are shown, of errors (runs, faces)."""
    errors = np.nan_to_num(errors)
    difference = errors[1:].mean(axis=0) - errors[0]
    mean = errors.mean(axis=0)
    order = np.argsort(difference)
    median = int(np.argsort(mean)[len(mean) // 2])
    wanted = [*order[:2], *order[-2:], *np.argsort(mean)[-2:], median]
    return list(dict.fromkeys(map(int, wanted)))
