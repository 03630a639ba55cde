"""Comparing finished runs: curves, figures, paired differences, settings, faces."""

from __future__ import annotations

import glob
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from facekp.core.errors import ConfigError
from facekp.core.files import atomic_write_text
from facekp.core.progress import with_progress
from facekp.core.run_folder import BEST, HISTORY, REPORT, RESULTS, STARTED
from facekp.data.datamodule import FaceDataModule
from facekp.data.records import FaceRecord, annotated_points
from facekp.inference.predictor import Predictor
from facekp.metrics import THRESHOLD, face_errors, format_metric, nme_column, summarize
from facekp.tasks.common import output_folder
from facekp.tasks.training_data import load_training_data
from facekp.training.flatten import flatten
from facekp.training.resume import ADDED
from facekp.visualization.reports.compare import ComparedRun, write_comparison

SETTINGS = ("dataset", "model", "augmentation", "trainer", "seed", "init_from", "teacher")
"""Of a configuration, where runs may differ; the rest is names and folders."""
INTERNAL = ("trainer.exclusive", "dataset.seed", "dataset.data_dir", "dataset.cache_dir")
"""Of these, what follows from others, or says where files are."""

MAX_LABEL = 16
"""Characters of a run's label; a time has more."""


@dataclass(frozen=True, eq=False)
class _Run:
    folder: Path
    results: dict[str, Any]
    history: pd.DataFrame
    predictor: Predictor


def compare(runs: str | Sequence[str] | None, data_dir: str | None, output: str) -> pd.DataFrame:
    """Compare finished runs on the validation faces that all of them have.

    Writes `report.html`, `losses.png` (and `mse.png`, if the loss functions differ), `figures.csv`
    (one row per run), `differences.csv` (each run minus the first, mean over the same faces and its
    standard error), `errors.csv` (NME of each face by run), `settings.csv` (one row per setting
    that differs) and `faces.jpg`.

    Args:
        runs: folders of runs, or of sweeps, whose finished jobs are taken, or globs.
        data_dir: where the data is; None: where it was in training.
        output: folder of the files.

    Returns:
        The content of `differences.csv`.

    Raises:
        ConfigError: fewer than two finished runs; runs that have no face or other points in common.
        DataError: the data is missing or broken.
    """
    found = [_read(folder) for folder in _folders(runs)]
    settings = _differing([run.predictor for run in found])
    names = [run.results["name"] for run in found]
    labels = _labels([run.folder for run in found], names, settings)
    settings.columns = ["setting", *labels]
    named = dict(zip(labels, found, strict=True))
    _check_points(named)
    records = _common_faces(found, data_dir)
    threshold = float(found[0].predictor.description.config.get("threshold", THRESHOLD))
    compared = []
    for label, run in named.items():
        faces = records[run.folder]
        shown = with_progress(faces, len(faces), f"{label} faces")
        points = np.stack(run.predictor.predict_boxes((r.load(3), r.bbox) for r in shown))
        predictor = run.predictor
        errors = face_errors(faces, points, predictor.points, predictor.scheme)
        compared.append(ComparedRun(label, run.folder, run.history, run.results, points, errors))
    figures = pd.concat(
        [summarize(run.errors, threshold).assign(run=run.label) for run in compared],
        ignore_index=True,
    )
    figures.insert(0, "run", figures.pop("run"))
    differences = paired_differences({run.label: run.errors for run in compared})
    folder = output_folder(output)
    nme = nme_column(compared[0].errors)
    by_run = {run.label: run.errors[nme] for run in compared}
    errors = pd.DataFrame({"image": compared[0].errors["image"], **by_run})
    tables = {
        "figures": figures, "differences": differences, "settings": settings, "errors": errors
    }  # fmt: skip
    for name, frame in tables.items():
        atomic_write_text(folder / f"{name}.csv", frame.to_csv(index=False))
    first = found[0].predictor
    faces = records[found[0].folder]
    write_comparison(
        folder, compared, figures, differences, settings, faces, first.scheme, first.points
    )
    for label, run in named.items():
        print(f"{label}: {run.folder}")
    _show(figures, differences, nme)
    print(f"report      {folder / REPORT}")
    return differences


def _folders(runs: str | Sequence[str] | None) -> list[Path]:
    """The folders of the runs, those of a sweep's finished jobs and of globs included."""
    if not runs:
        raise ConfigError("runs= is missing: give folders, e.g. runs/part1/A runs/part1/B")
    folders: list[Path] = []
    for name in runs if isinstance(runs, Sequence) and not isinstance(runs, str) else [runs]:
        finished = _finished(Path(str(name))) or [
            run
            for match in sorted(glob.glob(str(name)))  # noqa: PTH207
            for run in _finished(Path(match))
        ]
        if not finished:
            raise _not_finished(Path(str(name)))
        folders += finished
    folders = list({folder.resolve(): folder for folder in folders}.values())
    if len(folders) < 2:
        raise ConfigError(f"runs={folders[0]}: give two or more different finished runs")
    return folders


def _finished(folder: Path) -> list[Path]:
    """A finished run's own folder, or those of a sweep's finished jobs."""
    if (folder / RESULTS).is_file():
        return [folder]
    return sorted(path.parent for path in folder.glob(f"*/{RESULTS}"))


def _not_finished(folder: Path) -> ConfigError:
    begun = (folder / STARTED).is_dir() or (folder / "multirun.yaml").is_file()
    resume = shlex.quote(f"resume={folder}")
    remedy = f"; python train.py {resume} continues it" if begun else ""
    return ConfigError(
        f"runs={folder}: not the folder of a finished run or sweep ({RESULTS} is missing){remedy}"
    )


def _read(folder: Path) -> _Run:
    results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    history = pd.read_csv(folder / HISTORY)
    return _Run(folder, results, history, Predictor.load(folder / BEST))


def _labels(folders: Sequence[Path], names: Sequence[str], settings: pd.DataFrame) -> list[str]:
    """The experiments' names; of the same experiment the setting that differs, if there is one.

    Otherwise the folders' names if they are short, else a number.
    """
    if len(set(names)) == 1 and len(settings) == 1:
        setting, *values = settings.iloc[0]
        labels = [f"{setting.rpartition('.')[2]}={value}" for value in values]
        if len(set(labels)) == len(labels) and max(map(len, labels)) <= MAX_LABEL:
            return labels
    numbers = {name: count(1) for name in names}
    short = [folder.resolve().name for folder in folders]
    use_folders = len(set(short)) == len(short) and max(map(len, short)) <= MAX_LABEL
    labels = [
        name
        if list(names).count(name) == 1
        else (folder if use_folders else f"{name} {next(numbers[name])}")
        for folder, name in zip(short, names, strict=True)
    ]
    if len(set(labels)) < len(labels):  # an experiment is named as another's folder or number
        return [f"{number} {name}" for number, name in enumerate(names, 1)]
    return labels


def _differing(predictors: Sequence[Predictor]) -> pd.DataFrame:
    """One row per setting that differs: its name, and its value in each run."""
    settings = [
        ADDED | flatten({key: predictor.description.config.get(key) for key in SETTINGS})
        for predictor in predictors
    ]
    found = dict.fromkeys(name for of_run in settings for name in of_run)
    rows = [
        [name, *(str(of_run.get(name, "")) for of_run in settings)]
        for name in found
        if name not in INTERNAL
    ]
    differing = [row for row in rows if len(set(row[1:])) > 1]
    return pd.DataFrame(differing, columns=["setting", *range(len(settings))])


def _check_points(runs: Mapping[str, _Run]) -> None:
    points = {
        label: (run.predictor.scheme.point_names, tuple(run.predictor.points))
        for label, run in runs.items()
    }
    if len(set(points.values())) > 1:
        counts = ", ".join(f"{label}: {len(of_run[1])}" for label, of_run in points.items())
        raise ConfigError(
            f"runs: they predict other points ({counts}); give runs of the same, or jobs of a sweep"
        )
    schemes = [run.predictor.scheme for run in runs.values()]
    if any((s.normalizer, s.parts) != (schemes[0].normalizer, schemes[0].parts) for s in schemes):
        raise ConfigError(
            "runs: their landmark schemes have other normalisers or parts, so their figures are of "
            "different things; give runs of the same dataset.landmarks="
        )


def _common_faces(runs: Sequence[_Run], data_dir: str | None) -> dict[Path, list[FaceRecord]]:
    """Each run's validation faces that all runs have, in the same order.

    Two runs may crop the same face by different boxes; its labels are the same.
    """
    known: dict[str, FaceDataModule] = {}
    by_run: dict[Path, dict[tuple[str, int], FaceRecord]] = {}
    for run in runs:
        description = run.predictor.description
        key = json.dumps(description.config.get("dataset"), sort_keys=True, default=str)
        if key not in known:
            known[key] = load_training_data(description, data_dir)
        records = known[key].splits["val"]
        by_run[run.folder] = _named(records)
    first = by_run[runs[0].folder]

    def is_common(name: tuple[str, int]) -> bool:
        found = [of_run.get(name) for of_run in by_run.values()]
        truth = [annotated_points(record) for record in found if record is not None]
        return len(truth) == len(found) and all(
            np.allclose(points, truth[0], equal_nan=True) for points in truth
        )

    common = [name for name in first if is_common(name)]
    if not common:
        raise ConfigError(
            "runs: no validation face is in all of them with the same points; compare runs of the "
            "same data, split and dataset.label_shift"
        )
    if len(common) < max(map(len, by_run.values())):
        print(f"compared on the {len(common)} validation faces that all runs have")
    return {folder: [of_run[name] for name in common] for folder, of_run in by_run.items()}


def _named(records: Sequence[FaceRecord]) -> dict[tuple[str, int], FaceRecord]:
    """Annotated faces by name; those of one name, as in one photo, by number from left to right."""
    same: dict[str, list[FaceRecord]] = {}
    for record in records:
        if record.keypoints is not None:
            same.setdefault(record.name, []).append(record)
    for faces in same.values():
        faces.sort(key=lambda face: np.nanmean(annotated_points(face), axis=0).tolist())
    return {(name, at): face for name, faces in same.items() for at, face in enumerate(faces)}


def paired_differences(errors: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Each run's errors minus those of the first, on the same faces.

    Args:
        errors: of each run, one row per face in the same order, see `face_errors`.

    Returns:
        One row per run and metric: `run`, `metric`, `difference` (mean), `standard_error`, `faces`.
    """
    (_, first), *others = errors.items()
    rows = []
    for label, frame in others:
        for metric in frame.columns.drop(["image", "subset"]):
            difference = (frame[metric] - first[metric]).dropna()
            rows.append(
                {
                    "run": label,
                    "metric": metric,
                    "difference": difference.mean(),
                    "standard_error": difference.sem(),
                    "faces": len(difference),
                }
            )
    columns = ["run", "metric", "difference", "standard_error", "faces"]
    return pd.DataFrame(rows, columns=columns)


def _show(figures: pd.DataFrame, differences: pd.DataFrame, nme: str) -> None:
    """Print the figures, one column per run, and the paired differences in NME."""
    table = Table(title=f"{figures['images'].iloc[0]} validation faces")
    table.add_column("metric", no_wrap=True)
    for label in figures["run"]:
        table.add_column(escape(label), justify="right", overflow="fold")
    for name in figures.columns.drop("run"):
        table.add_row(name, *(format_metric(name, value) for value in figures[name]))
    Console().print(table)
    for row in differences[differences["metric"] == nme].to_dict("records"):
        print(
            f"{row['run']} minus {figures['run'].iloc[0]}: {nme} {100 * row['difference']:+.2f} +- "
            f"{100 * row['standard_error']:.2f} percentage points on the same {row['faces']} faces"
        )
