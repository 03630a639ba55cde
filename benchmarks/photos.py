"""Photos: from a command to points on the disk, and a `Predictor` in a process that runs.

    python -m benchmarks.photos [--before CHECKOUT] [--times 3]

Whole processes with warm file caches, the smallest of several times, of this checkout and of
`--before` in turn: one photo; a photo enlarged to 12 megapixels; all photos of
`FACEKP_DATA_DIR/photos` less one of them; and a `Predictor` on the portraits among them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from pathlib import Path
from time import perf_counter

from PIL import Image

from benchmarks.common import ROOT, show
from facekp.core.image import read_image

PORTRAITS = ("100040721", "134979550", "169346774", "2088010176", "2190740171")
"""Photos of one face."""
IN_A_PROCESS = """
import sys, time
from facekp.core.image import read_image
from facekp.inference.predictor import Predictor
photos = [read_image(name) for name in sys.argv[1:]]
predictor = Predictor.load()
predictor(photos[0])
seconds = []
for _ in range(5):
    begin = time.perf_counter()
    for photo in photos:
        predictor(photo)
    seconds.append((time.perf_counter() - begin) / len(photos))
print(min(seconds))
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, help="an installed checkout to compare with")
    parser.add_argument("--times", default=3, type=int)
    arguments = parser.parse_args()
    trees = {"now": ROOT} | ({"before": arguments.before.resolve()} if arguments.before else {})
    photos = sorted((Path(os.environ["FACEKP_DATA_DIR"]) / "photos").resolve().glob("*.jpg"))
    portraits = [str(photo) for photo in photos if photo.stem in PORTRAITS]
    with tempfile.TemporaryDirectory() as name:
        large = Path(name) / "large.jpg"
        picture = Image.fromarray(read_image(photos[0])).resize(
            (4000, 3000), Image.Resampling.BICUBIC
        )
        picture.save(large, quality=92)
        seconds: dict[str, dict[str, float]] = {}
        for _ in range(arguments.times):
            for checkout, tree in trees.items():
                found = {
                    "one photo, process included": predict(tree, name, portraits[0]),
                    "12 megapixels, process included": predict(tree, name, large),
                    "all photos, start excluded": predict(tree, name, photos[0].parent)
                    - predict(tree, name, portraits[0]),
                    "Predictor, one face a photo": in_a_process(tree, portraits),
                }
                for what, value in found.items():
                    best = seconds.setdefault(what, {})
                    best[checkout] = min(best.get(checkout, value), value)
    rows: list[dict[str, object]] = []
    for what, by_checkout in seconds.items():
        row: dict[str, object] = {"what": what}
        row |= {f"{checkout}, ms": 1000 * value for checkout, value in by_checkout.items()}
        if "before" in by_checkout:
            row["share of before"] = by_checkout["now"] / by_checkout["before"]
        rows.append(row)
    show("photos", rows)


def predict(tree: Path, folder: str, photo: Path | str) -> float:
    """Seconds of `predict.py` on a photo or a folder."""
    command = [str(tree / ".venv/bin/python"), "predict.py", f"input={photo}"]
    begin = perf_counter()
    subprocess.run([*command, f"output={folder}/out"], cwd=tree, check=True, capture_output=True)
    return perf_counter() - begin


def in_a_process(tree: Path, photos: list[str]) -> float:
    """Seconds of a `Predictor` per photo that is read already."""
    command = [str(tree / ".venv/bin/python"), "-c", IN_A_PROCESS, *photos]
    done = subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True)
    return float(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
