"""Evaluating a network on an annotated split."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from facekp.core.errors import ConfigError
from facekp.core.files import atomic_write_text
from facekp.core.geometry import (
    apply_box_prior,
    denormalize_points,
    invert_affine,
    points_prior,
    transform_points,
)
from facekp.core.progress import with_progress
from facekp.data.annotations import AnnotationsDataModule, listed
from facekp.data.datamodule import FaceDataModule
from facekp.data.records import FaceRecord, annotated_points
from facekp.inference.predictor import Predictor
from facekp.metrics import face_errors, format_metric, nme_column, summarize
from facekp.tasks.common import output_folder
from facekp.tasks.training_data import load_training_data
from facekp.training.detector_prior import MEASURED_SOURCES
from facekp.training.resume import ADDED, changed_settings
from facekp.visualization import charts

_SPLIT_SETTINGS = (
    "split", "val_fraction", "test_fraction", "fold", "split_seed", "group", "file_splits",
)  # fmt: skip
"""Which faces of a data set are trained on."""


def evaluate(
    predictor: Predictor,
    data_dir: str | None,
    split: str | None,
    threshold: float,
    output: str,
    dataset: FaceDataModule | None = None,
) -> pd.DataFrame:
    """Evaluate a network on the data set that it was trained on, or on another one.

    Writes `errors.csv` (one row per image: MAE, NME, NME of each region, and of visible and
    occluded points where they are known), `metrics.csv` and `metrics.json` (the network beside the
    mean shape in the box), `curve.csv` and `curve.png` (cumulative error).

    Args:
        predictor: of the network.
        data_dir: where the data is; None: where it was in training.
        split: `val`, `test`, `train` or `all`; None: `test` if the protocol has one, else `val`.
        threshold: of AUC and failure rate.
        output: folder of the files.
        dataset: another data set with the same points; None: that of the training.

    Returns:
        The content of `metrics.csv`.

    Raises:
        FacekpError: the data or the split cannot be used.
    """
    if not 0 < threshold < 10:
        raise ConfigError(f"task.threshold={threshold}: give a fraction above 0, e.g. 0.08")
    if dataset is None:
        datamodule = load_training_data(predictor.description, data_dir)
    else:
        datamodule = _other_data(dataset, predictor)
    split = split or ("test" if datamodule.splits.get("test") else "val")
    records = _annotated(datamodule, split)
    boxes = _boxes(predictor, datamodule, records)
    errors = {
        name: face_errors(records, points, predictor.points, predictor.scheme)
        for name, points in _predictions(predictor, records, boxes, split).items()
    }
    metrics = _metrics(errors, datamodule, records, split, threshold)
    _write(output_folder(output), errors, metrics, threshold)
    show(metrics, f"{predictor.name} on {split}")
    if datamodule.comparison_note:
        print(datamodule.comparison_note)
    print(f"files in {output}")
    return metrics


def _other_data(datamodule: FaceDataModule, predictor: Predictor) -> FaceDataModule:
    """Another data set than that of the training, read.

    Raises:
        ConfigError: its points are not the network's.
    """
    if isinstance(datamodule, AnnotationsDataModule) and datamodule.landmarks is None:
        datamodule.landmarks = predictor.scheme  # so that its points are put in this order
    datamodule.prepare_data()
    datamodule.read()
    print(datamodule.summary())
    scheme, needed = datamodule.scheme, predictor.scheme
    if scheme.point_names != needed.point_names:
        raise ConfigError(
            f"dataset: its {scheme.count} points ({scheme.name}) are not the network's "
            f"{needed.count} ({needed.name})"
        )
    trained = predictor.description.config.get("dataset") or {}
    if _may_share_faces(datamodule, trained):
        known = [n for n in _SPLIT_SETTINGS if n in trained or f"dataset.{n}" in ADDED]
        now = {name: getattr(datamodule, name) for name in known if hasattr(datamodule, name)}
        before = {name: trained[name] for name in now if name in trained}
        changed = changed_settings({"dataset": before}, {"dataset": now}, ["dataset"], ())
        if changed:
            values = ", ".join(f"{name}={old}" for name, (old, _) in changed.items())
            print(f"NOTE: the training had {values}: it may have trained on faces of this split")
    return datamodule


def _may_share_faces(datamodule: FaceDataModule, trained: Mapping[str, Any]) -> bool:
    """Whether data is that of a training, perhaps split otherwise: of annotations, by file name."""
    if str(trained.get("_target_")).rpartition(".")[2] != type(datamodule).__name__:
        return False
    if not isinstance(datamodule, AnnotationsDataModule):
        return True
    before = {Path(file).name for file in listed(trained.get("train"))}
    return bool(before & {Path(file).name for file in datamodule.files["train"]})


def _annotated(datamodule: FaceDataModule, split: str) -> list[FaceRecord]:
    """The annotated faces of a split, or of `all`.

    Raises:
        ConfigError: there are none.
    """
    splits = {
        name: [record for record in records if record.keypoints is not None]
        for name, records in datamodule.splits.items()
    }
    splits = {name: records for name, records in splits.items() if records}
    if split == "all":
        return [record for records in splits.values() for record in records]
    if split not in splits:
        raise ConfigError(f"task.split={split}: choose one of {', '.join(splits)}, all")
    return splits[split]


def _boxes(
    predictor: Predictor, datamodule: FaceDataModule, records: list[FaceRecord]
) -> list[np.ndarray]:
    """Face boxes (4,) in the convention of the network's training data.

    Boxes of another source are turned into it by both box priors, as a detector's are.

    Raises:
        ConfigError: they are of another source, and the points do not relate the two.
    """
    description = predictor.description
    source, needed = datamodule.box_source, description.box_source
    if source == needed:
        return [record.bbox for record in records]
    points, to_training = list(description.points), description.box_prior
    # A flat bounding box is enough: priors are relative to its mean side.
    spanning = len(points) > 2 and np.ptp(description.mean_shape, axis=0).mean() > 0.05
    if not spanning and description.detector_prior is not None and needed not in MEASURED_SOURCES:
        # It is relative to all points of the scheme.
        points, to_training = list(range(description.scheme.count)), description.detector_prior
        spanning = True
    prior = points_prior([(record.bbox, annotated_points(record)[points]) for record in records])
    if prior is None or not spanning:
        raise ConfigError(
            f"dataset: its boxes ({source}) cannot be turned into those of the training ({needed}) "
            f"by the {len(points)} points that both have; give faces with boxes of the same kind"
        )
    print(f"boxes: {source} turned into {needed}, which the network was trained with")
    return [apply_box_prior(apply_box_prior(r.bbox, prior), to_training) for r in records]


def _predictions(
    predictor: Predictor, records: list[FaceRecord], boxes: list[np.ndarray], split: str
) -> dict[str, np.ndarray]:
    """Points (N, K, 2) in pixels of the photos, of the network and of the mean shape."""
    pairs = zip(records, boxes, strict=True)
    shown = with_progress(pairs, len(records), f"{split} faces")
    found = np.stack(predictor.predict_boxes((r.load(3), box) for r, box in shown))
    mean = denormalize_points(predictor.description.mean_shape, predictor.crop.size)
    transforms = [invert_affine(predictor.crop.transform(box)) for box in boxes]
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
    atomic_write_text(folder / "errors.csv", errors["network"].to_csv(index=False))
    atomic_write_text(folder / "metrics.csv", metrics.to_csv(index=False))
    atomic_write_text(folder / "metrics.json", json.dumps(metrics.to_dict("records"), indent=2))
    column = nme_column(errors["network"])
    by_predictor = {name: frame[column].to_numpy() for name, frame in errors.items()}
    chart, curve = charts.error_curves(by_predictor, threshold, column.removeprefix("nme_"))
    atomic_write_text(folder / "curve.csv", curve.to_csv(index=False))
    charts.save_chart(chart, folder / "curve.png")


def show(metrics: pd.DataFrame, title: str) -> None:
    """Print a table of figures, one column per row of `metrics`."""
    table = Table(title=escape(title))
    rows = metrics.to_dict("records")
    table.add_column("metric")
    for row in rows:
        table.add_column(escape(f"{row['predictor']}\n{row['faces']}"), justify="right")
    for name in metrics.columns.drop(["faces", "predictor"]):
        table.add_row(name, *(format_metric(name, row[name]) for row in rows))
    Console().print(table)
