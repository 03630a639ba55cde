"""Start-up time: to the first training step, a photo's points, the help, a typing error's message.

    python -m benchmarks.start [--times 5]

Whole processes with warm file caches; the median of several.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from statistics import median
from time import perf_counter
from typing import Any

import pytorch_lightning as L
from pytorch_lightning.callbacks import Callback
from rich.progress import track

from benchmarks.common import data_source, run_python, show

FIRST_STEP = "+callbacks.exit._target_=benchmarks.start.ExitAfterStep"
PHOTO = "docs/astronaut.webp"
STARTS = {
    "train.py, to the first step": ("train.py", "experiment=part1", FIRST_STEP),
    "predict.py, one photo to its points on the disk": ("predict.py", PHOTO),
    "predict.py, to a missing ckpt_path": ("predict.py", "ckpt_path=missing.ckpt"),
    "train.py --help": ("train.py", "--help"),
    "train.py, unknown override": ("train.py", "trainer.epochs=3"),
    "import facekp": ("-c", "import facekp"),
    "python": ("-c", ""),
}
REFUSED = (
    STARTS["predict.py, to a missing ckpt_path"],
    STARTS["train.py, unknown override"],
)


class ExitAfterStep(Callback):
    """Ends the process after one step."""

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """End the process."""
        os._exit(0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", default=5, type=int)
    times = parser.parse_args().times
    rows = []
    for name, arguments in STARTS.items():
        seconds = [start(*arguments) for _ in track(range(times + 1), name, transient=True)][1:]
        rows.append({"start": name, "median s": median(seconds), "min s": min(seconds)})
    show("start", rows)


def start(*arguments: str) -> float:
    """Seconds that a Python process takes with these arguments."""
    with tempfile.TemporaryDirectory() as folder:
        more = [f"hydra.run.dir={folder}", *data_source()] if FIRST_STEP in arguments else []
        more += [f"output={folder}"] if PHOTO in arguments else []
        begin = perf_counter()
        run_python(*arguments, *more, refused=arguments in REFUSED)
        return perf_counter() - begin


if __name__ == "__main__":
    main()
