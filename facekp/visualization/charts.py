"""Charts of training and errors, as matplotlib figures."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from facekp.core.landmarks import LandmarkScheme
from facekp.metrics import NormalizedMeanError, nme_column, normalizer_title
from facekp.visualization.overlay import BASELINE, INK, TRAINING, VALIDATION

MAX_SUBSETS = 40
"""Subsets of a data set that a chart shows."""
_STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlesize": "medium",
    "font.family": "sans-serif",
    "font.size": 10,
    "grid.alpha": 0.25,
    "grid.color": BASELINE,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "svg.fonttype": "none",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def to_svg(figure: Figure, name: str) -> str:
    """An SVG element for a page, transparent, in the page's font and text colour.

    Args:
        figure: the chart.
        name: prefix of the ids inside, unique on the page.
    """
    stream = io.StringIO()
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    return re.sub(r'(id="|url\(#|href="#)', rf"\1{name}-", text)


def save_chart(figure: Figure, path: Path) -> None:
    """Write a chart as an image in the format of the file name's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(_STYLE):
        figure.savefig(path, dpi=120)


@mpl.rc_context(_STYLE)
def loss_curves(history: pd.DataFrame, monitor: str) -> Figure:
    """Training and validation loss by epoch, and the best epoch.

    Args:
        history: one row per epoch with `epoch`, `train/loss`, `val/loss` and the monitored metric.
        monitor: the metric that is lowest in the best epoch.
    """
    figure = _figure(7, 3.6)
    axes = figure.subplots()
    epochs = history["epoch"] + 1
    few = "o" if len(history) < 30 else ""
    for name, column, colour in (
        ("training", "train/loss", TRAINING),
        ("validation", "val/loss", VALIDATION),
    ):
        if column in history:
            known = history[column].notna()
            axes.plot(
                epochs[known], history[column][known], few + "-", color=colour, label=name, ms=3
            )
    best = int(epochs.iloc[history[monitor].argmin()])
    axes.axvline(best, color=BASELINE, ls="--", lw=1, label=f"best {monitor}: epoch {best}")
    shown = [column for column in ("train/loss", "val/loss") if column in history]
    _logarithmic(axes, "y", history[shown].to_numpy())
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    _epochs(axes)
    axes.legend()
    return figure


@mpl.rc_context(_STYLE)
def error_curves(
    errors: Mapping[str, np.ndarray], threshold: float, normalizer: str = "interocular"
) -> tuple[Figure, pd.DataFrame]:
    """Cumulative error curves up to where nearly all faces are included, as chart and as table.

    Args:
        errors: NME (N,) of each face by predictor; the first is emphasised.
        threshold: marked in the chart; the curve always reaches it.
        normalizer: of the NME, for the labels.
    """
    errors = {name: values[np.isfinite(values)] for name, values in errors.items()}
    end = max([threshold, *(float(np.quantile(v, 0.98)) for v in errors.values() if len(v))])
    grid = np.linspace(0, end, 201)
    shares = {
        name: np.sort(values).searchsorted(grid, side="right") / max(1, len(values))
        for name, values in errors.items()
    }
    figure = _figure(6, 3.8)
    axes = figure.subplots()
    colours = [VALIDATION] + [BASELINE] * (len(shares) - 1)
    for (name, share), colour in zip(shares.items(), colours, strict=True):
        axes.plot(100 * grid, 100 * share, label=name, lw=2, color=colour)
    axes.axvline(100 * threshold, color=BASELINE, ls="--", lw=1)
    axes.set_xlabel(f"{NormalizedMeanError(threshold, normalizer).label}, %")
    axes.set_ylabel("faces with at most this error, %")
    axes.set_xlim(0, 100 * end)
    axes.set_ylim(0, 100)
    axes.legend(loc="lower right")
    return figure, pd.DataFrame({f"nme_{normalizer}": grid, **shares})


@mpl.rc_context(_STYLE)
def errors_by_point(
    mean_shape: np.ndarray, offsets: np.ndarray, points: Sequence[int], scheme: LandmarkScheme
) -> Figure:
    """Mean error of each point on the mean face; for a single point, where each prediction lies.

    Args:
        mean_shape: (K, 2), x to the right, y down.
        offsets: (N, K, 2) of predicted from annotated points, over the NME's normaliser.
        points: indices of the K points in the scheme.
        scheme: of the points.
    """
    figure = _figure(5.4, 4.6)
    axes = figure.subplots()
    axes.set_aspect("equal")
    axes.invert_yaxis()
    unit = normalizer_title(scheme.normalizer.name)
    if len(points) == 1:
        x, y = 100 * offsets[:, 0].T
        axes.scatter(x, y, s=14, color=VALIDATION, alpha=0.6, lw=0)
        axes.axhline(0, color=BASELINE, lw=1)
        axes.axvline(0, color=BASELINE, lw=1)
        axes.set_xlabel(f"to the right of the true point, % of {unit}")
        axes.set_ylabel("below it, %")
        return figure
    at = {point: place for place, point in enumerate(points)}
    for chain in scheme.skeleton:
        line = mean_shape[[at[point] for point in chain if point in at]]
        axes.plot(*line.T, color=BASELINE, lw=1, zorder=1)
    distances = np.linalg.norm(offsets, axis=-1)
    known = np.isfinite(distances).any(axis=0)  # a point may be missing on all faces
    error = 100 * np.nanmean(distances[:, known], axis=0)
    x, y = mean_shape[known].T
    size = 12 + 160 * error / max(error.max(initial=0), 1e-9)
    drawn = axes.scatter(x, y, c=error, s=size, cmap="viridis_r", zorder=2)
    figure.colorbar(drawn, ax=axes, label=f"mean error, % of {unit}", shrink=0.8)
    axes.axis("off")
    return figure


@mpl.rc_context(_STYLE)
def errors_by_subset(errors: pd.DataFrame, label: str) -> Figure:
    """NME of each face by the part of the data set it belongs to, and the medians.

    Args:
        errors: one row per face with `subset` and an NME, see `face_errors`; of many subsets the
            `MAX_SUBSETS` with most faces are shown.
        label: what a subset is, for the axis.
    """
    column = nme_column(errors)
    known = errors[errors[column].notna()]
    groups = [(str(name), 100 * values) for name, values in known.groupby("subset")[column]]
    if len(groups) > MAX_SUBSETS:
        largest = sorted(groups, key=lambda group: -len(group[1]))[:MAX_SUBSETS]
        label = f"{label} (the {MAX_SUBSETS} with most faces of {len(groups)})"
        groups = sorted(largest, key=lambda group: group[0])
    figure = _figure(6, 0.9 + 0.45 * len(groups))
    axes = figure.subplots()
    _strips(axes, groups, vertical=False)
    axes.invert_yaxis()
    _logarithmic(axes, "x", known[column].to_numpy())
    axes.set_xlabel(f"NME over {normalizer_title(column.removeprefix('nme_'))}, %")
    axes.set_ylabel(label)
    return figure


def _logarithmic(axes: Axes, which: str, values: np.ndarray) -> None:
    """Make axis `x` or `y` logarithmic, with tick labels also if it spans no power of ten."""
    positive = values[np.isfinite(values) & (values > 0)]
    if not len(positive):
        return
    getattr(axes, f"set_{which}scale")("log")
    axis = getattr(axes, f"{which}axis")
    axis.set_major_formatter("{x:g}")
    narrow = positive.max() / positive.min() < 30
    axis.set_minor_locator(LogLocator(subs=(2, 3, 5) if narrow else tuple(range(2, 10))))
    axis.set_minor_formatter("{x:g}" if narrow else "")


def _epochs(axes: Axes) -> None:
    """Whole numbers along the x axis, also for a single epoch."""
    if np.ptp(axes.dataLim.intervalx) < 1:
        axes.set_xlim(0.5, 1.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _strips(axes: Axes, groups: Sequence[tuple[str, pd.Series]], vertical: bool) -> None:
    """All values of each group, jittered, and a bar at the median."""
    generator = np.random.default_rng(0)
    for place, (_, values) in enumerate(groups):
        spread = place + generator.uniform(-0.16, 0.16, len(values))
        middle = values.median()
        across = (place - 0.3, place + 0.3)
        style: dict[str, Any] = {
            "color": VALIDATION,
            "lw": 3,
            "solid_capstyle": "butt",
            "zorder": 3,
        }
        if vertical:
            axes.scatter(spread, values, s=14, color=TRAINING, alpha=0.6, lw=0)
            axes.plot(across, (middle, middle), **style)
        else:
            axes.scatter(values, spread, s=10, color=TRAINING, alpha=0.5, lw=0)
            axes.plot((middle, middle), across, **style)
    ticks, names = range(len(groups)), [name for name, _ in groups]
    if vertical:
        axes.set_xticks(ticks, names)
    else:
        axes.set_yticks(ticks, names)


@mpl.rc_context(_STYLE)
def sweep_curves(histories: Mapping[str, pd.DataFrame], monitor: str) -> Figure:
    """A metric by epoch of several runs, given best first; the ten best are named."""
    figure = _figure(8, 4)
    axes = figure.subplots()
    colours = mpl.colormaps["turbo"](np.linspace(0.9, 0.1, len(histories)))
    for place, (name, history) in reversed(list(enumerate(histories.items()))):
        known = history[monitor].notna()
        axes.plot(
            history["epoch"][known] + 1,
            history[monitor][known],
            color=colours[place],
            lw=2 if place == 0 else 1.2,
            marker="o" if known.sum() == 1 else "",
            label=name if place < 10 else None,
        )
    _logarithmic(axes, "y", np.concatenate([history[monitor] for history in histories.values()]))
    axes.set_xlabel("epoch")
    axes.set_ylabel(monitor)
    _epochs(axes)
    handles, labels = axes.get_legend_handles_labels()
    columns = 2 if max(map(len, labels)) < 24 else 1
    figure.legend(
        handles[::-1], labels[::-1], fontsize="small", loc="outside lower center", ncols=columns
    )
    return figure


@mpl.rc_context(_STYLE)
def sweep_effects(jobs: pd.DataFrame, settings: Sequence[str], monitor: str) -> Figure:
    """Effect of each setting of a sweep: the best value of each run by setting, and the medians.

    Args:
        jobs: one row per run, with one column per setting, and `best`.
        settings: the columns that differ between runs.
        monitor: name of the metric.
    """
    columns = min(2, len(settings))
    rows = -(-len(settings) // columns)
    figure = _figure(4.4 * columns, 3.1 * rows)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes, setting in zip(grid.flat, settings, strict=False):
        groups = [(str(value), best) for value, best in jobs.groupby(setting)["best"]]
        _strips(axes, groups, vertical=True)
        _logarithmic(axes, "y", jobs["best"].to_numpy())
        axes.set_xlabel(setting)
    for axes in grid[:, 0]:
        axes.set_ylabel(f"lowest {monitor}")
    for axes in list(grid.flat)[len(settings) :]:
        axes.axis("off")
    return figure


@mpl.rc_context(_STYLE)
def compared_losses(histories: Mapping[str, pd.DataFrame]) -> Figure:
    """Training and validation loss of several runs by epoch, one colour per run.

    Args:
        histories: one row per epoch with `epoch`, `train/loss` and `val/loss`, by run.
    """
    figure = _figure(8, 4)
    axes = figure.subplots()
    colours = mpl.colormaps["turbo"](np.linspace(0.9, 0.1, len(histories)))
    losses: list[np.ndarray] = []
    for colour, (name, history) in zip(colours, histories.items(), strict=True):
        for column, style, marker, label in (
            ("train/loss", "--", "x", None),
            ("val/loss", "-", "o", name),
        ):
            if column not in history:
                continue
            known = history[column].notna()
            losses.append(history[column][known].to_numpy())
            style += marker if known.sum() == 1 else ""
            epochs = history["epoch"][known] + 1
            axes.plot(epochs, losses[-1], style, color=colour, label=label, ms=5)
    _logarithmic(axes, "y", np.concatenate(losses))
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss (dashed: training)")
    _epochs(axes)
    columns = 2 if max(map(len, histories)) < 24 else 1  # below, for narrow screens
    figure.legend(fontsize="small", loc="outside lower center", ncols=columns)
    return figure
