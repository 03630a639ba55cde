"""Evaluating a network on an annotated split."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from facekp.core.errors import ConfigError
from facekp.core.geometry import denormalize_points, invert_affine, transform_points
from facekp.core.progress import with_progress
from facekp.data.datamodule import FaceDataModule
from facekp.data.records import FaceRecord
from facekp.inference.predictor import Predictor
from facekp.metrics import face_errors, format_metric, nme_column, summarize
from facekp.tasks.common import load_training_data, output_folder
from facekp.visualization import charts


def evaluate(
    predictor: Predictor, data_dir: str | None, split: str | None, threshold: float, output: str
) -> pd.DataFrame:
    """Evaluate a network on the data set that it was trained on.

    Writes `errors.csv` (one row per image: MAE, NME, NME of each region), `metrics.csv` and
    `metrics.json` (the network beside the mean shape in the box), `curve.csv` and `curve.png`
    (cumulative error).

    Args:
        predictor: of the network.
        data_dir: where the data is; None: where it was in training.
        split: `val`, `test` or `train`; None: `test` if the protocol has one, else `val`.
        threshold: of AUC and failure rate.
        output: folder of the files.

    Returns:
        The content of `metrics.csv`.

    Raises:
        FacekpError: the data or the split cannot be used.
    """
    if not 0 < threshold < 10:
        raise ConfigError(f"task.threshold={threshold}: give a fraction above 0, e.g. 0.08")
    datamodule = load_training_data(predictor.description, data_dir)
    split = split or ("test" if datamodule.splits.get("test") else "val")
    records = [r for r in datamodule.splits.get(split, []) if r.keypoints is not None]
    if not records:
        splits = datamodule.splits.items()
        choices = [name for name, faces in splits if faces and faces[0].keypoints is not None]
        raise ConfigError(f"task.split={split}: choose one of {', '.join(choices)}")
    errors = {
        name: face_errors(records, points, predictor.points, datamodule.scheme, threshold)
        for name, points in _predictions(predictor, records, split).items()
    }
    metrics = _metrics(errors, datamodule, records, split, threshold)
    _write(output_folder(output), errors, metrics, threshold)
    show(metrics, f"{predictor.name} on {split}")
    if datamodule.comparison_note:
        print(datamodule.comparison_note)
    print(f"files in {output}")
    return metrics


def _predictions(
    predictor: Predictor, records: list[FaceRecord], split: str
) -> dict[str, np.ndarray]:
    """Points (N, K, 2) in pixels of the photos, of the network and of the mean shape."""
    faces = ((r.load(3), r.bbox) for r in with_progress(records, len(records), f"{split} faces"))
    found = np.stack(predictor.predict_boxes(faces))
    mean = denormalize_points(predictor.description.mean_shape, predictor.crop.size)
    transforms = [invert_affine(predictor.crop.transform(record.bbox)) for record in records]
    baseline = np.stack([transform_points(transform, mean) for transform in transforms])
    return {"network": found, "mean shape": baseline}


def _metrics(
    errors: dict[str, pd.DataFrame],
    datamodule: FaceDataModule,
    records: list[FaceRecord],
    split: str,
    threshold: float,
) -> pd.DataFrame:
    """One row per predictor and group of faces that is evaluated together."""
    metrics = pd.concat(
        [
            summarize(frame[chosen], threshold).assign(predictor=name, faces=subset)
            for subset, chosen in datamodule.evaluation_subsets(split, records).items()
            for name, frame in errors.items()
        ],
        ignore_index=True,
    )
    return metrics[["faces", "predictor", *metrics.columns.drop(["faces", "predictor"])]]


def _write(
    folder: Path, errors: dict[str, pd.DataFrame], metrics: pd.DataFrame, threshold: float
) -> None:
    errors["network"].to_csv(folder / "errors.csv", index=False)
    metrics.to_csv(folder / "metrics.csv", index=False)
    (folder / "metrics.json").write_text(json.dumps(metrics.to_dict("records"), indent=2))
    column = nme_column(errors["network"])
    by_predictor = {name: frame[column].to_numpy() for name, frame in errors.items()}
    chart, curve = charts.error_curves(by_predictor, threshold, column.removeprefix("nme_"))
    curve.to_csv(folder / "curve.csv", index=False)
    charts.save_chart(chart, folder / "curve.png")


def show(metrics: pd.DataFrame, title: str) -> None:
    """Print a table of figures, one column per row of `metrics`."""
    table = Table(title=title)
    rows = metrics.to_dict("records")
    table.add_column("metric")
    for row in rows:
        table.add_column(f"{row['predictor']}\n{row['faces']}", justify="right")
    for name in metrics.columns.drop(["faces", "predictor"]):
        table.add_row(name, *(format_metric(name, row[name]) for row in rows))
    Console().print(table)
