"""Whether a long-running process stays stable: `make soak`.

    python -m benchmarks.soak [--minutes 20]

One process trains on drawn faces (with report and TensorBoard), evaluates, and predicts on photos,
over and over. Memory, open files, threads and time per training step must stay constant: it ends
with an error if the last third of the rounds has more than the second third.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import warnings
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from time import perf_counter

import pandas as pd
import psutil
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

import facekp
from benchmarks.common import show

ALLOWED = {"memory MB": 1.05, "open files": 1.0, "threads": 1.0, "ms per step": 1.25}
"""Largest ratio of the last third to the second third."""
MIN_ROUNDS = 9
BATCH = 8


def main() -> None:
    """Run, print one row per third, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20)
    seconds = 60 * parser.parse_args().minutes
    rows: list[dict[str, float]] = []
    begin = perf_counter()
    columns = TextColumn("rounds {task.fields[rounds]}"), BarColumn(), TimeRemainingColumn()
    with tempfile.TemporaryDirectory() as folder, Progress(*columns) as progress:
        os.environ["FACEKP_CACHE_DIR"] = f"{folder}/cache"
        task = progress.add_task("", total=seconds, rounds=0)
        while perf_counter() - begin < seconds or len(rows) < MIN_ROUNDS:
            rows.append(one_round(Path(folder) / f"round{len(rows)}"))
            progress.update(task, completed=perf_counter() - begin, rounds=len(rows))
    frame = pd.DataFrame(rows)
    third = len(frame) // 3
    parts = [frame[:third], frame[third:-third], frame[-third:]]
    table: list[dict[str, object]] = [
        {"rounds": len(part), **{name: float(part[name].median()) for name in ALLOWED}}
        for part in parts
    ]
    show("soak", table)
    middle, last = parts[1].median(), parts[2].median()
    grown = [name for name, most in ALLOWED.items() if last[name] > most * middle[name]]
    if grown:
        raise SystemExit(f"error: {', '.join(grown)}: growing")
    print(f"stable over {len(frame)} rounds in {(perf_counter() - begin) / 60:.0f} minutes")


def one_round(folder: Path) -> dict[str, float]:
    """Train, evaluate, predict; then measure what the process holds."""
    from facekp.cli.programs import train
    from facekp.inference.predictor import Photo, Predictor
    from facekp.metrics import THRESHOLD
    from facekp.tasks.evaluate import evaluate

    folder.mkdir()
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cfg = facekp.compose(
            "experiment=quickstart",
            f"run_dir={folder}",
            f"runs_dir={folder}",
            f"dataset.batch_size={BATCH}",
            "dataset.people=8",
            "dataset.val_people=[7,8]",
            "model.input_size=[60,80]",
            "trainer.max_epochs=3",
        )
        train(cfg)
        best = str(folder / "checkpoints/best.ckpt")
        predictor = Predictor.load(best, flip_test=True)
        evaluate(predictor, None, None, THRESHOLD, str(folder / "evaluate"))
        photos: list[Photo] = [*sorted(folder.parent.glob("cache/**/*.jpg"))[:4]]
        Predictor.load(best)(photos)
        Predictor.load()(photos[0])
    gc.collect()
    process = psutil.Process()
    history = pd.read_csv(folder / "metrics.csv")
    return {
        "memory MB": process.memory_info().rss / 2**20,
        "open files": process.num_fds(),
        "threads": process.num_threads(),
        "ms per step": 1000 * BATCH / history["images_per_second"].iloc[1:].median(),
    }


if __name__ == "__main__":
    main()
