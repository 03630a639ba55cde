"""Own annotations: what training on them brings, and what missing labels cost.

    python -m benchmarks.annotations youtube_faces --data-dir DATA
    python -m benchmarks.annotations missing_labels --data-dir DATA

`youtube_faces` trains on frames of YouTube Faces by person, from `ibug68` and from scratch, and
prints the NME on test people beside that of the mean shape, of `ibug68` as it is, and of labels
rounded to whole pixels, as these are. `missing_labels` trains on five points of iBUG (pupils, nose
tip, corners of the mouth) with 0, 1/3 and 2/3 of the training labels removed at random, and prints
the NME on test faces with all labels. Both are kept as CSV in `--output`.
"""

from __future__ import annotations

import argparse
import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

import facekp
from facekp.core.columns import BOX_COLUMNS, point_columns
from facekp.core.landmarks import find_scheme
from facekp.data.factory import build_datamodule
from facekp.data.ibug import IBUGDataModule
from facekp.data.records import FaceRecord, annotated_points
from facekp.data.splits import split_by_group
from facekp.inference.predictor import Predictor
from facekp.metrics import THRESHOLD
from facekp.tasks.evaluate import evaluate

ROUNDING = (np.sqrt(2) + np.log(1 + np.sqrt(2))) / 6
"""Mean distance from a pixel's centre of points that are rounded to it, in pixels."""
FIVE = {
    "right_eye": range(36, 42),
    "left_eye": range(42, 48),
    "nose_tip": [30],
    "mouth_right": [48],
    "mouth_left": [54],
}
"""Five points, each the mean of some of iBUG's."""


def main() -> None:
    """Train, evaluate and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["youtube_faces", "missing_labels"])
    parser.add_argument("--data-dir", default=os.environ.get("FACEKP_DATA_DIR", "data"), type=Path)
    parser.add_argument("--output", default="runs/annotations_benchmark", type=Path)
    parser.add_argument("--seeds", default=3, type=int, help="trainings of each kind")
    parser.add_argument("--epochs", default=None, type=int, help="of each training")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    measure = youtube_faces if arguments.what == "youtube_faces" else missing_labels
    rows = measure(arguments.data_dir, arguments.output, arguments.seeds, arguments.epochs)
    rows.to_csv(arguments.output / f"{arguments.what}.csv", index=False)
    show(rows)


def trained(output: Path, name: str, seed: int, epochs: int | None, *overrides: str) -> Path:
    """Best checkpoint of a training."""
    length = [] if epochs is None else [f"trainer.max_epochs={epochs}"]
    cfg = facekp.compose(
        *overrides, *length, f"seed={seed}", f"runs_dir={output}", f"name={name}", "report=false"
    )
    return facekp.train(cfg).best_ckpt


def youtube_faces(data_dir: Path, output: Path, seeds: int, epochs: int | None) -> pd.DataFrame:
    """NME on test people of networks and of the mean shape."""
    cfg = facekp.compose("experiment=youtube_faces", f"data_dir={data_dir}")

    def tested(checkpoint: str | Path) -> pd.DataFrame:
        data = build_datamodule(cfg.dataset, input_size=(128, 128), channels=1)
        folder = str(output / "evaluation")
        predictor = Predictor.load(checkpoint)
        return evaluate(predictor, None, "test", THRESHOLD, folder, data).set_index("predictor")

    bundled = tested("ibug68")
    rows = [
        row("mean shape", bundled.loc["mean shape"]),
        row("ibug68 as it is", bundled.loc["network"]),
    ]
    base = ["experiment=youtube_faces", f"data_dir={data_dir}"]
    for seed in range(seeds):
        for name, changes in (
            ("from ibug68", []),
            ("from scratch", ["init_from=null", "trainer.max_epochs=60"]),
        ):
            checkpoint = trained(output, name.replace(" ", "_"), seed, epochs, *base, *changes)
            rows.append(row(name, tested(checkpoint).loc["network"]) | {"seed": seed})
    data = build_datamodule(cfg.dataset)
    data.setup()
    scheme = find_scheme("ibug68")
    share = np.mean([ROUNDING / r.normalizer(scheme) for r in data.splits["test"]])
    rows.append({"network": "labels rounded to pixels", "mae_px": 0.25, "nme": share})
    return pd.DataFrame(rows)


def missing_labels(data_dir: Path, output: Path, seeds: int, epochs: int | None) -> pd.DataFrame:
    """NME on complete test faces, by the share of training labels that were removed."""
    source = IBUGDataModule(data_dir=data_dir, input_size=(64, 64))
    source.setup()
    records = [*source.splits["train"], *source.splits["val"]]
    records, test = split_by_group(records, 0.2, 0)
    train, val = split_by_group(records, 0.1, 0)
    splits = {"train": train, "val": val, "test": test}
    rows = []
    for seed in range(seeds):
        for share in (0.0, 1 / 3, 2 / 3):
            path = output / f"five_{share:.2f}_{seed}.csv"
            labels = write_five(path, splits, share, seed)
            checkpoint = trained(
                output, f"five_{share:.2f}", seed, epochs or 20,
                "dataset=annotations", f"dataset.train={path}", "augmentation=wild",
                f"dataset.images={source.folder}", "model.input_size=[96,96]",
                "monitor=val/nme_interpupil",
            )  # fmt: skip
            metrics = evaluate(
                Predictor.load(checkpoint), None, "test", THRESHOLD, str(output / "evaluation")
            ).set_index("predictor")
            found = row(f"{share:.0%} removed", metrics.loc["network"])
            rows.append(found | {"seed": seed, "training labels": labels})
    return pd.DataFrame(rows)


def write_five(path: Path, splits: dict[str, list[FaceRecord]], share: float, seed: int) -> int:
    """Write five points of each face, with a share of the training labels removed.

    Returns:
        Number of training labels.
    """
    rng = np.random.default_rng(seed)
    labels = 0
    with path.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["file", *BOX_COLUMNS, "split", "group", *point_columns(FIVE)])
        for split, records in splits.items():
            for record in records:
                points = annotated_points(record)
                five = five_points(points)
                if split == "train":
                    five[rng.random(5) < share] = np.nan
                    labels += int(np.isfinite(five).all(axis=1).sum())
                cells = ["" if np.isnan(value) else f"{value:.3f}" for value in five.ravel()]
                table.writerow([record.name, *record.bbox, split, record.group, *cells])
    return labels


def five_points(points: np.ndarray) -> np.ndarray:
    """The five points (5, 2) of iBUG's 68."""
    return np.array([points[list(members)].mean(axis=0) for members in FIVE.values()])


def row(network: str, metrics: Any) -> dict[str, Any]:
    """A row of the result."""
    nme = next(name for name in metrics.index if str(name).startswith("nme_"))
    return {"network": network, "mae_px": metrics["mae_px"], "nme": metrics[nme]}


def show(rows: pd.DataFrame) -> None:
    """Print the mean and spread over the seeds."""
    table = Table("network", "MAE", "NME", "over seeds")
    for name, group in rows.groupby("network", sort=False):
        spread = f"+- {100 * group['nme'].std():.2f} points" if len(group) > 1 else ""
        mean = group[["mae_px", "nme"]].mean()
        table.add_row(str(name), f"{mean['mae_px']:.2f} px", f"{100 * mean['nme']:.2f} %", spread)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
