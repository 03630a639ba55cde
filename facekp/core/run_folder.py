"""Layout of a run's folder, shared by training, resume, sweeps and reports."""

from __future__ import annotations

from datetime import datetime
from itertools import count
from pathlib import Path

RESULTS = "results.json"
"""Final figures of a run; its presence means that the run is complete."""
ERROR = "error.txt"
"""Why a job of a sweep failed; the last line is the message."""
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
"""The same of a resumed run, until its settings have been accepted."""


_created: set[Path] = set()


def is_new(folder: Path) -> bool:
    """Whether `new_run_dir` made a folder in this process, so that nothing in it is older."""
    return folder.absolute() in _created


def new_run_dir(parent: str | Path) -> Path:
    """Create a folder named by the time inside `parent`; no two callers ever get the same.

    Raises:
        OSError: it cannot be created.
    """
    time = f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    for number in count(1):
        folder = Path(parent) / (time if number == 1 else f"{time}_{number}")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
        except OSError:
            if folder.is_dir():  # another process was first
                continue
            raise
        break
    _created.add(folder.absolute())
    return folder


def accept_resume(run_dir: Path) -> None:
    """Make the settings of a resumed run the ones that its next resume starts from."""
    for file in (run_dir / RESUMED).glob("*"):
        file.replace(run_dir / STARTED / file.name)
    if (run_dir / RESUMED).is_dir():
        (run_dir / RESUMED).rmdir()
