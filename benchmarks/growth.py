"""Large data sets: images per second and memory with 1,000, 10,000 and 100,000 faces.

    python -m benchmarks.growth [--sizes 1000 10000 100000]

A few hundred drawn photos under many names, in iBUG's format, 64 px input, light augmentation; each
size in a separate process. `build` is the time to fill the cache of decoded images, `open` that of
a later start with it (labels, check of each photo); loading is timed over the same number of faces
for each size. Memory is that of the main process without mapped files, and what a worker does not
share.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import xml.etree.ElementTree as ET
from itertools import chain, repeat
from pathlib import Path
from time import perf_counter

import psutil
from rich.progress import track

import facekp
from benchmarks.common import run_python, show
from facekp.data.registry import IBUG
from facekp.tasks.common import build

PHOTOS = 300
PASS = 6400
"""Number of faces over which loading is timed."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", type=int, default=[1000, 10_000, 100_000])
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(Path(arguments.one))))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in track(arguments.sizes, "sizes", transient=True):
            draw(Path(folder), size)
            first, again = (run(folder) for _ in range(2))
            rows.append(
                {
                    "faces": size,
                    "build faces/s": first["decoded"] / (first["ready s"] - again["ready s"]),
                    "open s": again["ready s"],
                    **{
                        key: value
                        for key, value in again.items()
                        if " " in key and key != "ready s"
                    },
                }
            )
    show("growth", rows)


def draw(folder: Path, size: int) -> None:
    """Write a data set of `size` entries, in place of the previous one."""
    from facekp.data.synthetic import write_synthetic_ibug

    home = folder / IBUG.folder_name
    if not home.is_dir():
        write_synthetic_ibug(home, PHOTOS, 0)
    path = home / "labels_ibug_300W_train.xml"
    tree = ET.parse(path)
    images = tree.getroot().find("images")
    assert images is not None
    entries = list(images)
    for number in range(len(entries), size):
        entry = ET.fromstring(ET.tostring(entries[number % len(entries)]))
        old = Path(entry.attrib["file"])
        new = old.with_name(f"{number}_{old.name}")
        if not (home / new).exists():
            os.link(home / old, home / new)
        entry.attrib["file"] = str(new)
        images.append(entry)
    tree.write(path)


def run(folder: str) -> dict[str, float]:
    """`measure` in a process of its own."""
    printed = run_python("-m", "benchmarks.growth", "--one", folder)
    return json.loads(printed.splitlines()[-1])


def measure(folder: Path) -> dict[str, float]:
    """Measure the present data set."""
    settings = [f"data_dir={folder}", f"dataset.cache_dir={folder}/cache", "run_dir=."]
    small = ["model.input_size=[64,64]", "dataset.batch_size=64"]
    cfg = facekp.compose("experiment=part3", *small, *settings)
    figures = {}
    begin = perf_counter()
    datamodule = build(cfg.dataset)
    datamodule.setup()
    datamodule.dataset("train")
    figures["ready s"] = perf_counter() - begin
    figures["decoded"] = len(datamodule.dataset("train"))
    for workers in (0, 2):
        datamodule.num_workers = workers
        batches = chain.from_iterable(repeat(datamodule.loader("train")))
        for _ in range(8):  # prepared by loader processes before the clock starts
            next(batches)
        begin, seen = perf_counter(), 0
        for batch in batches:
            seen += len(batch["index"])
            if seen >= PASS:
                break
        figures[f"images/s, {workers} workers"] = seen / (perf_counter() - begin)
        workers_own = [child.memory_full_info().uss for child in psutil.Process().children()]
    memory = psutil.Process().memory_info()
    figures["main MB"] = (memory.rss - memory.shared) / 2**20
    return figures | {"worker's own MB": max(workers_own) / 2**20}


if __name__ == "__main__":
    main()
