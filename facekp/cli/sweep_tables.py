"""Tables that a sweep prints at its end.

Importing this imports torch, which a sweep's start need not wait for.
"""

from __future__ import annotations

import math
import re

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from facekp.metrics import format_metric
from facekp.visualization.reports.sweep import swept_settings


def show_means(means: pd.DataFrame, count: int = 5) -> None:
    """Print the best means over seeds and folds, one table for each data.

    Args:
        means: see `means_of_repeats`.
        count: of rows per table.
    """
    settings = list(means.columns[2 : means.columns.get_loc("monitor")])
    for (data, _), group in means.groupby(["data", "monitor"], sort=False):
        monitor = group["monitor"].iloc[0]
        title = f"{data}: {monitor}, mean over seeds and folds +- standard error"
        table = Table(title=escape(title))
        names = ["experiment", *(re.split("[./]", name)[-1] for name in settings), "runs"]
        for name in (*names, "mean", "difference"):
            table.add_column(name, justify="right", no_wrap=True)
        for row in group.head(count).to_dict("records"):
            cells = [str(row[name]) for name in ("experiment", *settings, "runs")]
            for name, error in (("mean", "standard_error"), ("difference", "difference_error")):
                shown = "" if math.isnan(row[name]) else format_metric(monitor, row[name])
                if not math.isnan(row[error]):
                    shown += f" +- {format_metric(monitor, row[error])}"
                cells.append(shown)
            table.add_row(*map(escape, cells))
        Console().print(table)


def show_ranking(jobs: pd.DataFrame, means: pd.DataFrame, count: int = 5) -> None:
    """Print the best jobs with the settings that differ, one table for each data.

    Folds are left out if there are means, see `show_means`: their faces differ.

    Args:
        jobs: see `read_jobs`.
        means: of them, see `means_of_repeats`.
        count: of jobs per table.
    """
    settings = swept_settings(jobs)
    done = jobs[jobs["status"] == "done"]
    if not means.empty:
        done = done[~done["data"].str.contains(", fold ")]
    for _, group in done.groupby(["data", "monitor"], sort=False):
        monitor = group["monitor"].iloc[0]
        best = group.sort_values("best").head(count)
        names = ", ".join(sorted(set(group["experiment"])))
        print(f"{names}: best {len(best)} of {len(group)} by {monitor}")
        table = Table()
        table.add_column("job", overflow="fold")
        for column in (*(re.split("[./]", name)[-1] for name in settings), monitor):
            table.add_column(column, justify="right", no_wrap=True)
        for row in best.to_dict("records"):
            values = (row[name] for name in settings)
            texts = (f"{v:.3g}" if isinstance(v, float) else str(v) for v in values)
            cells = [str(row["job"]), *texts, format_metric(monitor, row["best"])]
            table.add_row(*map(escape, cells))
        Console().print(table)
