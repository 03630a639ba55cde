"""Layout of a run's folder, shared by training, resume, sweeps and reports."""

from __future__ import annotations

import contextlib
import shutil
from datetime import datetime
from itertools import count
from pathlib import Path

RESULTS = "results.json"
"""Final figures of a run; its presence means that the run is complete."""
ERROR = "error.txt"
"""Why a job of a sweep failed: `error: ...`, or a traceback."""
CONFIG = "config.yaml"
"""The resolved configuration."""
HISTORY = "metrics.csv"
"""One row per epoch."""
REPORT = "report.html"
"""The page of a run or of a sweep."""
BEST = "checkpoints/best.ckpt"
"""Checkpoint of the best epoch."""
LAST = "checkpoints/last.ckpt"
"""State after the last complete epoch."""
STARTED = ".hydra"
"""Where Hydra records the command line of a run."""
EARLIER = "earlier.json"
"""Of a search's sweep: folders of the sweeps with its earlier trials, relative to its own."""
RESUMED = ".hydra/resumed"
"""As `STARTED`, of a resumed run until its settings have been accepted."""


_created: dict[Path, list[Path]] = {}
"""Folders that this process made, with the parents that it made for each, the innermost first."""


def is_new(folder: Path) -> bool:
    """Whether `new_run_dir` made a folder in this process, so that nothing in it is older."""
    return folder.absolute() in _created


def discard(folder: Path) -> None:
    """Remove a new folder, and the parents that were made for it as far as they are empty."""
    parents = _created.pop(folder.absolute())
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # another run is in one
        for parent in parents:
            parent.rmdir()


def new_run_dir(parent: str | Path) -> Path:
    """Create a folder named by the time inside `parent`; no two callers ever get the same.

    Raises:
        OSError: it cannot be created.
    """
    parent = Path(parent).absolute()
    missing = [path for path in (parent, *parent.parents) if not path.exists()]
    time = f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    for number in count(1):
        folder = parent / (time if number == 1 else f"{time}_{number}")
        try:
            parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
        except OSError:
            if folder.is_dir():  # another process was first
                continue
            raise
        break
    _created[folder] = missing
    return folder


def accept_resume(run_dir: Path) -> None:
    """Make the settings of a resumed run, if it is one, those that its next resume starts from."""
    for file in (run_dir / RESUMED).glob("*"):
        file.replace(run_dir / STARTED / file.name)
    if (run_dir / RESUMED).is_dir():
        (run_dir / RESUMED).rmdir()
