"""The report of a sweep: a table of all jobs, their curves, and the effect of each setting."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import yaml

from facekp.core.files import atomic_write_text
from facekp.core.progress import format_duration
from facekp.core.run_folder import EARLIER, ERROR, HISTORY, REPORT, RESULTS, STARTED
from facekp.visualization import charts
from facekp.visualization.reports.page import Gallery, Section, link, table, write_page

SAME_METRICS = (
    "batch_size", "num_workers", "augmentation", "input_size", "channels", "seed",
    "download", "cache", "cache_dir",
)  # fmt: skip
"""Settings of a data set that leave the validation faces, their crops and points as they are."""
REPEATED = ("seed", "dataset.fold")
"""Settings that repeat a training rather than change it."""
MEANS = "means.csv"
_FOLD = re.compile(r", fold [0-9]+/[0-9]+$")


def read_jobs(folder: Path) -> pd.DataFrame:
    """Ranking of the jobs of a sweep: the best of each experiment first, failed ones last.

    Args:
        folder: of the sweep; each job has a folder in it.

    Returns:
        One row per job, also of a search's earlier sweeps: `job` (its folder, relative), `data`
        (the same for jobs with the same faces, crops and points), `experiment`, a column for each
        setting that differs between jobs, `monitor` (name) and `best` (its value), `best_epoch`,
        `epochs`, `seconds`, `status` (done, failed or unfinished), `error`.
    """
    rows: list[dict[str, Any]] = []
    settings: list[dict[str, str]] = []
    data: dict[str, str] = {}  # name by what makes a data set
    sweeps = [folder]
    if (folder / EARLIER).is_file():
        sweeps += [folder / name for name in json.loads((folder / EARLIER).read_text())]
    for record in (file for sweep in sweeps for file in sweep.glob("*/.hydra/overrides.yaml")):
        job = record.parent.parent
        config = yaml.safe_load((record.parent / "config.yaml").read_text(encoding="utf-8"))
        overrides = yaml.safe_load(record.read_text(encoding="utf-8"))
        # An override without a value, `~callbacks.pictures`, has an empty one.
        parts = (override.lstrip("+~").partition("=") for override in overrides)
        settings.append({key: value for key, _, value in parts})
        row = {
            "job": os.path.relpath(job, folder),
            "data": _data_name(config, data),
            "experiment": config["name"],
            "monitor": config["monitor"],
            "status": "unfinished",
        }
        if (job / ERROR).is_file():  # beside the results of before, if it was to be resumed
            lines = (job / ERROR).read_text(encoding="utf-8").strip().splitlines()
            # An error's first line says what it is, a traceback's last one.
            line = lines[0] if lines[0].startswith("error: ") else lines[-1]
            row |= {"status": "failed", "error": line}
        elif (job / RESULTS).is_file():
            results = json.loads((job / RESULTS).read_text(encoding="utf-8"))
            row |= {
                "best": results[config["monitor"]],
                "best_epoch": int(results["epoch"]) + 1,
                "epochs": results["epochs"],
                "seconds": round(results["seconds"], 1),
                "status": "done",
            }
        rows.append(row)
    swept = pd.DataFrame(settings)
    differing = [name for name in swept if len(set(swept[name].fillna(""))) > 1]
    swept = swept[[name for name in differing if name not in ("experiment", "monitor")]]
    columns = ["best", "best_epoch", "epochs", "seconds", "status", "error"]
    first = ["job", "data", "experiment"]
    jobs = pd.DataFrame(rows, columns=[*first, "monitor", *columns])
    for name in swept:
        numbers = pd.to_numeric(swept[name], errors="coerce")
        swept[name] = numbers if numbers.notna().all() else swept[name]
    both = pd.concat([jobs[first], swept, jobs[["monitor", *columns]]], axis=1)
    folders = both["job"].map(lambda job: Path(job).name)
    numbered = folders.str.extract(r"^(\d+)", expand=False).astype(float)
    both = both.assign(_number=numbered).sort_values(["experiment", "best", "_number"])
    return both.drop(columns="_number").reset_index(drop=True)


def _data_name(config: dict[str, Any], known: dict[str, str]) -> str:
    """Name of the data of a job, the same for jobs whose metrics can be compared."""
    ignored = (*SAME_METRICS, "fold")
    older = {"split_seed": 0, "file_splits": True}  # which older jobs lack
    dataset = older | config["dataset"]
    if dataset.get("data_dir") == "${data_dir}":
        dataset["data_dir"] = config.get("data_dir")
    dataset["label_shift"] = float(dataset.get("label_shift", 0))
    key = json.dumps({k: v for k, v in dataset.items() if k not in ignored}, sort_keys=True)
    if key not in known:
        name = str(dataset["_target_"]).rpartition(".")[2].removesuffix("DataModule")
        name += f", points {dataset['points']}" if dataset.get("points") else ""
        others = sum(re.sub(r" \(\d+\)$", "", other) == name for other in known.values())
        known[key] = f"{name} ({others + 1})" if others else name
    return known[key] + (f", fold {dataset['fold']}" if dataset.get("fold") else "")


def means_of_repeats(jobs: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds and folds of each experiment and its other settings, the best first.

    Args:
        jobs: see `read_jobs`; only finished ones count.

    Returns:
        One row per data, experiment and settings: `data`, `experiment`, a column for each setting,
        `monitor`, `runs` (finished), `mean` of `best`, its `standard_error` (nan for one run),
        and `difference` from the best row of the same data, the mean over the `paired` runs with
        the seeds and folds of both, with its `difference_error`. Empty if nothing is repeated.
    """
    done = jobs[jobs["status"] == "done"]
    repeats = [name for name in swept_settings(jobs) if name in REPEATED]
    settings = [name for name in swept_settings(jobs) if name not in REPEATED]
    keys = ["data", "experiment", *settings, "monitor"]
    figures = ["runs", "mean", "standard_error", "difference", "difference_error", "paired"]
    rows: list[dict[str, Any]] = []
    if not repeats:
        return pd.DataFrame(rows, columns=[*keys, *figures])
    done = done.assign(data=done["data"].str.replace(_FOLD, "", regex=True))
    for _, comparable in done.groupby(["data", "monitor"], sort=False):
        groups = [
            (dict(zip(keys, key, strict=True)), group.groupby(repeats, dropna=False)["best"].mean())
            for key, group in comparable.groupby(keys, sort=False, dropna=False)
        ]
        groups.sort(key=lambda group: group[1].mean())
        first = groups[0][1]
        for row, best in groups:
            row |= {"runs": len(best), "mean": best.mean(), "standard_error": best.sem()}
            difference = (best - first).dropna()
            if best is not first:
                row |= {"difference": difference.mean(), "difference_error": difference.sem()}
                row["paired"] = len(difference)
            rows.append(row)
    means = pd.DataFrame(rows, columns=[*keys, *figures]).astype({"paired": "Int64"})
    return means if (means["runs"] > 1).any() else means[:0]


def swept_settings(jobs: pd.DataFrame) -> list[str]:
    """The columns of `read_jobs` with settings that differ between jobs."""
    first = jobs.columns.get_loc("experiment")
    last = jobs.columns.get_loc("monitor")
    assert isinstance(first, int)
    assert isinstance(last, int)
    return list(jobs.columns[first + 1 : last])


def write_sweep_report(folder: Path, command: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write `sweep.csv`, `means.csv` and `report.html` into a sweep's folder.

    `means.csv`, see `means_of_repeats`, is written if there are several seeds or folds.

    Args:
        folder: of the sweep.
        command: that ran it.

    Returns:
        The contents of `sweep.csv`, see `read_jobs`, and of `means.csv`.
    """
    jobs = read_jobs(folder)
    atomic_write_text(folder / "sweep.csv", jobs.to_csv(index=False))
    done = jobs[jobs["status"] == "done"]
    settings = swept_settings(jobs)
    gallery = Gallery(folder / "pictures")
    means = means_of_repeats(jobs)
    if len(means):
        atomic_write_text(folder / MEANS, means.to_csv(index=False))
    else:
        (folder / MEANS).unlink(missing_ok=True)
    sections = [
        *_means_section(means), _jobs_section(folder, jobs), *_by_data(folder, done, gallery)
    ]  # fmt: skip
    for name, group in done.groupby("experiment"):
        sections += _experiment(folder, str(name), group, settings, gallery)
    counts = jobs["status"].value_counts()
    seconds = float(done["seconds"].sum())
    cards = {"jobs": str(len(jobs)), "total time": format_duration(seconds)}
    cards |= {f"jobs {status}": str(count) for status, count in counts.items() if status != "done"}
    for name, group in done.groupby("experiment"):
        best = group.iloc[0]
        cards[f"lowest {best['monitor']}, {name}"] = f"{best['best']:.4g}"
    names = ", ".join(sorted(set(jobs["experiment"])))
    write_page(
        folder / REPORT,
        f"Sweep over {', '.join(settings) or names}",
        names,
        command,
        cards,
        sections,
    )
    return jobs, means


def _means_section(means: pd.DataFrame) -> list[Section]:
    if not len(means):
        return []
    names = ("mean", "standard_error", "difference", "difference_error")
    formats = dict.fromkeys(names, "{:.4g}".format)
    shown = means.drop(columns="data") if len(set(means["data"])) == 1 else means
    text = (
        "The best epoch's figure, mean over seeds and folds with its standard error; the "
        "difference from the best row, over the seeds and folds of both. What is less than two "
        "standard errors may be chance."
    )
    return [Section("Means over seeds and folds", text, [table(shown, formats)])]


def _jobs_section(folder: Path, jobs: pd.DataFrame) -> Section:
    shown = jobs.drop(columns=["monitor"])
    if jobs["error"].isna().all():
        shown = shown.drop(columns="error")
    if len(set(jobs["data"])) == 1:
        shown = shown.drop(columns="data")
    reports = {job for job in jobs["job"] if (folder / job / REPORT).is_file()}
    formats = {
        "job": lambda job: link(quote(f"{job}/{REPORT}"), job) if job in reports else job,
        "best": "{:.4g}".format,
        "seconds": "{:.0f}".format,
        "best_epoch": "{:.0f}".format,
        "epochs": "{:.0f}".format,
    }
    monitors = ", ".join(sorted(set(jobs["monitor"])))
    text = f"The best of each experiment first, by {monitors}; a job's name links to its report."
    faded = (jobs["status"] != "done").tolist()
    return Section("Jobs", text, [table(shown, formats, faded)])


def _by_data(folder: Path, jobs: pd.DataFrame, gallery: Gallery) -> list[Section]:
    """Curves of several experiments on one chart, if they have the same data."""
    sections: list[Section] = []
    for (data, monitor), group in jobs.groupby(["data", "monitor"], sort=False):
        best = group.sort_values("best").groupby("experiment", sort=False).head(1)
        if len(best) == 1:
            continue
        number = len(sections) + 1
        histories = {
            experiment: pd.read_csv(folder / job / HISTORY)
            for experiment, job in zip(best["experiment"], best["job"], strict=True)
        }
        drawn = [gallery.chart(charts.sweep_curves(histories, str(monitor)), f"curves-{number}")]
        text = f"{monitor} by epoch, of the best job of each experiment."
        if len({_loss(folder / job) for job in best["job"]}) == 1:
            losses = charts.compared_losses(histories)
            drawn.append(gallery.chart(losses, f"losses-{number}"))
            text += " Below, training (dashed) and validation loss."
        else:
            text += " Their loss functions differ, so their losses cannot be compared."
        sections.append(Section(f"{data}: {', '.join(histories)}", text, drawn))
    return sections


def _loss(job: Path) -> str:
    """The loss function of a job, with its settings."""
    config = yaml.safe_load((job / STARTED / "config.yaml").read_text(encoding="utf-8"))
    return json.dumps(config["model"]["loss"], sort_keys=True)


def _experiment(
    folder: Path, name: str, jobs: pd.DataFrame, settings: list[str], gallery: Gallery
) -> list[Section]:
    """Curves of the jobs of one experiment, given best first, and effects of their settings."""
    monitor = jobs["monitor"].iloc[0]
    differing = [column for column in settings if len(set(jobs[column].dropna())) > 1]
    histories = {}
    for _, job in jobs.iterrows():
        label = ", ".join(f"{column.rsplit('.')[-1]}={job[column]}" for column in differing)
        # Jobs with the same settings still get a line each.
        key = label if label and label not in histories else f"{job['job']} {label}".strip()
        histories[key] = pd.read_csv(folder / job["job"] / HISTORY)
    curves = gallery.chart(charts.sweep_curves(histories, monitor), f"curves-{name}")
    best = {label: histories[label] for label in list(histories)[:6]}
    losses = gallery.chart(charts.compared_losses(best), f"losses-{name}")
    text = "Training (dashed) and validation loss of the best jobs."
    if len({_loss(folder / job) for job in jobs["job"]}) > 1:
        text += " Their loss functions differ, so these cannot be compared."
    sections = [
        Section(f"{name}: curves", f"{monitor} by epoch.", [curves]),
        Section(f"{name}: losses", text, [losses]),
    ]
    if differing:
        effects = gallery.chart(charts.sweep_effects(jobs, differing, monitor), f"effects-{name}")
        text = f"The lowest {monitor} of each job by setting; a bar marks the median."
        sections.append(Section(f"{name}: effect of each setting", text, [effects]))
    return sections
