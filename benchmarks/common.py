"""What the benchmarks share: running the programs, naming the machine, printing tables."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent

ON_A_CPU = {"part3": ("dataset.batch_size=64", "+trainer.limit_train_batches=12")}
"""Overrides of experiments that are meant for a GPU: the batch takes 17 GB, an epoch a minute."""


def run_python(*arguments: str, refused: bool = False, **environment: str) -> str:
    """Output of `python ARGUMENTS`, run in the project's folder.

    Exits with its output if it fails, or if it succeeds although it should be `refused`.
    """
    command = [sys.executable, *arguments]
    variables = os.environ | environment
    done = subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    if bool(done.returncode) != refused:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def run_train(folder: Path, *overrides: str) -> None:
    """Run `python train.py` with its output in `folder`."""
    run_python("train.py", f"hydra.run.dir={folder}/run", *overrides)


def data_source(experiment: str = "part1") -> list[str]:
    """Overrides that choose the real data if `FACEKP_DATA_DIR` is set, else drawn faces."""
    if os.environ.get("FACEKP_DATA_DIR"):
        return [f"data_dir={Path(os.environ['FACEKP_DATA_DIR']).resolve()}"]
    return [f"dataset=synthetic_{'ibug' if experiment.startswith('part3') else 'imm'}"]


def show(name: str, rows: Sequence[dict[str, object]]) -> None:
    """Print a table, and write it to `runs/bench/NAME.csv`."""
    frame = pd.DataFrame(rows)
    path = ROOT / "runs/bench" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False)
    table = Table(*frame.columns, title=f"{name}: {machine()}")
    for row in frame.itertuples(index=False):
        table.add_row(*(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row))
    Console(width=140).print(table)
    print(f"{path.relative_to(ROOT)}\n")


def machine() -> str:
    """Processor and number of cores."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return f"{model}, {os.cpu_count()} cores"
