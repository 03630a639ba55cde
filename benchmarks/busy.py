"""How much slower prediction and training are beside a busy neighbour.

    python -m benchmarks.busy [--spin 1000]

The neighbour multiplies matrices with torch on all cores, as another training does. Each row is
measured alone and beside it, in processes of their own; with two jobs on the same cores, twice the
time is fair. `--spin` sets how often a waiting thread looks for work (`GOMP_SPINCOUNT`) in place of
what facekp chooses.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from benchmarks.common import ROOT, data_source, run_python, show

NEIGHBOUR = """
import torch
a = torch.randn(300, 300)
while True:
    a = (a @ a).tanh()
"""
PREDICT = """
import sys, time
import numpy as np
from facekp.inference.predictor import Predictor
from facekp.models.bundled import BUNDLED
predictor = Predictor.load(sys.argv[1] if sys.argv[1] == "ibug68" else BUNDLED["ibug68"])
photo = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
box = np.array([[200.0, 100, 400, 300]])
predictor(photo, box)
begin = time.perf_counter()
for _ in range(200):
    predictor(photo, box)
print((time.perf_counter() - begin) / 200)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spin", type=int)
    spin = parser.parse_args().spin
    rows: list[dict[str, object]] = []
    for what, measure in (
        ("ONNX Runtime, ms per face", lambda: 1000 * predict("ibug68")),
        ("torch, ms per face", lambda: 1000 * predict("checkpoint")),
        ("part1, ms per image", lambda: train("part1", 8, spin)),
        ("part2, ms per image", lambda: train("part2", 3, spin)),
    ):
        alone = min(measure() for _ in range(3))
        with neighbour():
            beside = min(measure() for _ in range(2))
        rows.append({"what": what, "alone": alone, "beside": beside, "times": beside / alone})
    show("busy", rows)


@contextmanager
def neighbour() -> Iterator[None]:
    """Another process that keeps all cores busy."""
    process = subprocess.Popen([sys.executable, "-c", NEIGHBOUR], cwd=ROOT)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def predict(name: str) -> float:
    """Seconds per face of a `Predictor`."""
    return float(run_python("-c", PREDICT, name).splitlines()[-1])


def train(experiment: str, epochs: int, spin: int | None) -> float:
    """Milliseconds per image of a training's last epochs."""
    if spin is not None:
        os.environ["GOMP_SPINCOUNT"] = str(spin)
    with tempfile.TemporaryDirectory() as folder:
        arguments = (f"experiment={experiment}", f"trainer.max_epochs={epochs}", *data_source())
        run_python("train.py", f"hydra.run.dir={folder}/run", *arguments)
        speed = pd.read_csv(Path(folder) / "run/metrics.csv")["images_per_second"]
    return float(1000 / speed.iloc[1:].median())


if __name__ == "__main__":
    main()
