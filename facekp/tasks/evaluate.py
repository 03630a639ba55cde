"""Judging a network on a labelled split."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from facekp.visualization import charts as figures
from facekp.data.datamodule import FaceDataModule
from facekp.data.ibug import CHALLENGING_SOURCES, COMMON_SOURCES
from facekp.data.records import FaceRecord
from facekp.core.errors import ConfigError
from facekp.metrics_table import image_errors, summary
from facekp.core.geometry import apply_map, denormalize_points, invert
from facekp.inference.predictor import Predictor
from facekp.tasks.common import output_folder, trained_on, with_progress


def evaluate(
    ckpt_path: str,
    data_dir: str | None,
    split: str | None,
    threshold: float,
    mirror: bool,
    looks: int,
    batch_size: int,
    device: str,
    output: str,
) -> pd.DataFrame:
    """Judge a checkpoint on the data set that it was trained on.

    Writes `errors.csv` (a row an image: MAE, NME, NME of each region), `metrics.csv` and
    `metrics.json` (the network beside the mean shape in the box), `curve.csv` and `curve.png`
    (cumulative error).

    Args:
        ckpt_path: checkpoint or exported network.
        data_dir: where the data is.
        split: `val`, `test` or `train`; None: `test` where the protocol has one, else `val`.
        threshold: of AUC and failure rate, and end of the curve.
        mirror: average with the mirrored view.
        looks: at each face, see `Predictor`.
        batch_size: faces at once.
        device: as torch names it.
        output: folder for the files.

    Returns:
        What `metrics.csv` holds.

    Raises:
        FacekpError: the checkpoint, the data or the split cannot be used.
    """
    if not 0 < threshold < 10:
        raise ConfigError(f"task.threshold={threshold}: give a fraction above 0, e.g. 0.08")
    predictor = Predictor.load(
        ckpt_path, mirror=mirror, looks=looks, batch_size=batch_size, device=device
    )
    datamodule = trained_on(predictor.description, data_dir)
    split = split or ("test" if datamodule.splits.get("test") else "val")
    records = [r for r in datamodule.splits.get(split, []) if r.keypoints is not None]
    if not records:
        splits = datamodule.splits.items()
        there = [name for name, own in splits if own and own[0].keypoints is not None]
        raise ConfigError(f"task.split={split}: choose one of {', '.join(there)}")
    faces = ((r.load(3), r.bbox) for r in with_progress(records, len(records), f"{split} faces"))
    found = np.stack(predictor.locate(faces))
    mean = denormalize_points(predictor.mean_shape, predictor.view.size)
    base = np.stack([apply_map(invert(predictor.view.map(r.bbox)), mean) for r in records])

    points = predictor.points
    errors = {
        name: image_errors(records, guess, points, datamodule.scheme)
        for name, guess in (("network", found), ("mean shape", base))
    }
    metrics = pd.concat(
        [
            summary(frame[chosen], threshold).assign(predictor=name, faces=subset)
            for subset, chosen in subsets(datamodule, records, split).items()
            for name, frame in errors.items()
        ],
        ignore_index=True,
    )
    metrics = metrics[["faces", "predictor", *metrics.columns.drop(["faces", "predictor"])]]

    folder = output_folder(output)
    errors["network"].to_csv(folder / "errors.csv", index=False)
    metrics.to_csv(folder / "metrics.csv", index=False)
    (folder / "metrics.json").write_text(json.dumps(metrics.to_dict("records"), indent=2))
    chart, curve = figures.error_curves(
        {name: frame["nme_interocular"].to_numpy() for name, frame in errors.items()}, threshold
    )
    curve.to_csv(folder / "curve.csv", index=False)
    figures.save(chart, folder / "curve.png")
    show(metrics, f"{ckpt_path} on {split}")
    if datamodule.protocol == "dlib":
        print("dlib's split trains on most of 300-W's test images: these are not 300-W figures.")
    print(f"files in {folder}")
    return metrics


def subsets(
    datamodule: FaceDataModule, records: list[FaceRecord], split: str
) -> dict[str, np.ndarray]:
    """Masks (N,) of the faces that are judged together; 300-W's names by its protocol alone."""
    every = np.ones(len(records), dtype=bool)
    if datamodule.protocol != "300w" or split != "test":
        return {split: every}
    common, hard = (
        np.array([record.source in sources for record in records])
        for sources in (COMMON_SOURCES, CHALLENGING_SOURCES)
    )
    if not hard.any():
        return {"300-W common": common}
    return {"300-W common": common, "300-W challenging": hard, "300-W full": every}


def show(metrics: pd.DataFrame, title: str) -> None:
    """Print a table of figures, errors relative to the eyes in percent."""
    table = Table(title=title)
    rows = metrics.to_dict("records")
    table.add_column("metric")
    for row in rows:
        table.add_column(f"{row['predictor']}\n{row['faces']}", justify="right")
    for name in metrics.columns.drop(["faces", "predictor"]):
        relative = name.startswith(("nme", "auc", "failure"))
        cells = [f"{100 * row[name]:.2f} %" if relative else f"{row[name]:.4g}" for row in rows]
        table.add_row(name, *cells)
    Console().print(table)
