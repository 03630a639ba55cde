"""What the tasks share."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from facekp.cli.config import build_datamodule
from facekp.data.datamodule import FaceDataModule
from facekp.core.errors import ConfigError

T = TypeVar("T")


def with_progress(items: Iterable[T], total: int | None, unit: str) -> Iterator[T]:
    """Yield items behind a progress bar with the time left, where there is a terminal."""
    columns = (TextColumn(unit), BarColumn(), MofNCompleteColumn(), TextColumn("left"))
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    ) as progress:
        yield from progress.track(items, total=total)


def output_folder(output: str) -> Path:
    """The folder for a task's files, made if need be.

    Raises:
        ConfigError: it cannot be.
    """
    folder = Path(output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output={output}: {error.strerror}; choose another folder") from error
    return folder


def trained_on(description: dict[str, Any], data_dir: str | None) -> FaceDataModule:
    """The data set that a checkpoint was trained on, read.

    Args:
        description: of the checkpoint.
        data_dir: where real data is now; None for where it was in training.

    Raises:
        ConfigError: the checkpoint names no data set of facekp.
        DataError: the data is not there.
    """
    try:
        settings = {**description["config"]["dataset"], "cache_dir": None, "download": False}
    except (KeyError, TypeError) as error:
        raise ConfigError("the checkpoint does not say what it was trained on") from error
    if data_dir is not None:  # drawn faces know their own
        settings["data_dir"] = data_dir
    datamodule = build_datamodule(settings)
    datamodule.prepare_data()
    datamodule.setup()
    if datamodule.fingerprint() != description.get("data_fingerprint"):
        print(
            "NOTE: this is not the data that the network was trained on; where a split is drawn at "
            "random, faces that it was trained on can be among those it is judged by."
        )
    return datamodule
