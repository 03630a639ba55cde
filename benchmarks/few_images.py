"""Training on few images: from scratch, from ImageNet weights, from the bundled face network.

    python -m benchmarks.few_images [--data-dir DATA] [--seeds 2] [--counts 30 100 300]

`faces` are frames of YouTube Faces with five points (eyes, nose tip, corners of the mouth), of
which so many are annotated; `arrows` are drawn, and no faces: five corners of an arrow that lies
anywhere in front of clutter. A fifth of the images chooses the epoch, the others train; the NME,
over the diagonal of the points' bounding box, is of 207 frames of other people, or of 200 other
arrows. `make .venv/benchmarks` installs the ImageNet weights. All figures are kept in
`few_images.csv`.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image
from rich.console import Console
from rich.table import Table

import facekp
from benchmarks.annotations import FIVE, five_points, trained
from facekp.core.columns import point_columns
from facekp.core.geometry import bounding_box
from facekp.data.drawing.painter import background
from facekp.data.factory import build_datamodule
from facekp.data.records import annotated_points
from facekp.inference.predictor import Predictor
from facekp.models.timm_trunk import WEIGHT_PACKAGES

EPOCHS = {30: 120, 100: 80, 300: 40}
STARTS = {
    "scratch": ["model.optimizer.lr=2e-3"],
    "ImageNet, Lite0": [
        "model.trunk=tf_efficientnet_lite0", "model.pretrained=true", "model.optimizer.lr=1e-3",
    ],
    "ibug68": ["init_from=ibug68", "model.optimizer.lr=2e-3"],
}  # fmt: skip
ARROW = np.array([[0, -1], [0.7, -0.1], [0.25, 1], [-0.25, 1], [-0.7, -0.1]])
"""Tip, right barb, the tail's corners, left barb."""
SHAFT = np.array([[0.25, -0.1], [-0.25, -0.1]])
ARROW_POINTS = ("tip", "right", "tail_right", "tail_left", "left")
SIDE = 160
"""Pixels of a picture of an arrow."""
Sample = tuple[Path, str, np.ndarray]
"""An image, its person, its points (5, 2)."""


def main() -> None:
    """Train, test and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", default=os.environ.get("FACEKP_DATA_DIR", "data"), type=Path)
    parser.add_argument("--output", default="runs/few_images", type=Path)
    parser.add_argument("--counts", nargs="+", type=int, default=list(EPOCHS), choices=EPOCHS)
    parser.add_argument("--seeds", default=2, type=int, help="trainings of each kind")
    arguments = parser.parse_args()
    if find_spec(WEIGHT_PACKAGES["tf_efficientnet_lite0"]) is None:
        raise SystemExit("the ImageNet weights are not installed: make .venv/benchmarks")
    output = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    sets = {
        "faces": (tuple(FIVE), *faces(arguments.data_dir)),
        "arrows": (ARROW_POINTS, *arrows(output / "arrows")),
    }
    rows = []
    for seed in range(arguments.seeds):
        for name, (points, known, test) in sets.items():
            for count in arguments.counts:
                some = chosen(known, count, seed)
                labels = output / f"{name}_{count}_{seed}.csv"
                images = Path(os.path.commonpath([file.parent for file, _, _ in some]))
                write_labels(labels, points, some, images, validation=count // 5)
                for start, settings in STARTS.items():
                    checkpoint = trained(
                        output / "runs", f"{name}_{count}", seed, EPOCHS[count],
                        "dataset=annotations", f"dataset.train={labels}",
                        f"dataset.images={images}", "model.input_size=[96,96]",
                        "monitor=val/mae_px", *settings,
                    )  # fmt: skip
                    row = {"data": name, "images": count, "start": start, "seed": seed}
                    rows.append(row | {"nme": tested(checkpoint, test)})
                    pd.DataFrame(rows).to_csv(output / "few_images.csv", index=False)
    show(pd.DataFrame(rows))


def faces(data_dir: Path) -> tuple[list[Sample], list[Sample]]:
    """Frames that may be annotated, and frames of other people for the test."""
    cfg = facekp.compose("experiment=youtube_faces", f"data_dir={data_dir}")
    data = build_datamodule(cfg.dataset)
    data.setup()

    def samples(split: str) -> Iterator[Sample]:
        for record in data.splits[split]:
            five = five_points(annotated_points(record))
            yield Path(record.image).absolute(), record.group, five

    return [*samples("train"), *samples("val")], list(samples("test"))


def arrows(folder: Path, count: int = 500) -> tuple[list[Sample], list[Sample]]:
    """Drawn arrows; the last 200 are the test."""
    folder.mkdir(exist_ok=True)
    samples = []
    for number in range(count):
        picture, points = draw_arrow(np.random.default_rng((7, number)))
        file = folder.absolute() / f"{number:03d}.png"
        Image.fromarray(picture).save(file, compress_level=1)
        samples.append((file, file.stem, points))
    return samples[:-200], samples[-200:]


def draw_arrow(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A picture (SIDE, SIDE, 3) uint8 RGB of an arrow, and its points (5, 2) in pixels."""
    canvas = np.ascontiguousarray(background(rng, (SIDE, SIDE), busy=True).astype(np.uint8))
    for _ in range(rng.integers(3, 9)):  # clutter
        corners = rng.uniform(0, SIDE, 2) + rng.normal(0, 18, (rng.integers(3, 6), 2))
        cv2.fillPoly(canvas, [corners.astype(np.int32)], rng.integers(0, 255, 3).tolist())
    turn = rng.normal(0, 0.6)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    tilt = rng.normal(0, 0.18, 2)
    outline = np.array([ARROW[0], ARROW[1], SHAFT[0], ARROW[2], ARROW[3], SHAFT[1], ARROW[4]])
    scale, centre = rng.uniform(28, 48), SIDE / 2 + rng.normal(0, 10, 2)

    def placed(points: np.ndarray) -> np.ndarray:
        return (points / (1 + points @ tilt)[:, None]) @ rotation.T * scale + centre

    fixed = np.round(placed(outline) * 16).astype(np.int32)  # OpenCV's fractions of a pixel
    cv2.fillPoly(canvas, [fixed], rng.integers(0, 255, 3).tolist(), cv2.LINE_AA, shift=4)
    blurred = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.5, 1.5))
    noise = rng.normal(0, 6, canvas.shape)
    return np.clip(blurred + noise, 0, 255).astype(np.uint8), placed(ARROW)


def chosen(samples: list[Sample], count: int, seed: int) -> list[Sample]:
    """So many at random, all frames of a person together."""
    people = sorted({person for _, person, _ in samples})
    order = np.random.default_rng(seed).permutation(len(people))
    rank = {people[person]: place for place, person in enumerate(order)}
    return sorted(samples, key=lambda sample: rank[sample[1]])[:count]


def write_labels(
    path: Path, names: tuple[str, ...], samples: list[Sample], images: Path, validation: int
) -> None:
    """Write a CSV of annotations; people at the end validate."""
    with path.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["file", "split", "group", *point_columns(names)])
        people = [person for _, person, _ in samples]
        first = people.index(people[len(people) - validation])
        for number, (file, person, points) in enumerate(samples):
            split = "train" if number < first else "val"
            table.writerow(
                [
                    file.relative_to(images),
                    split,
                    person,
                    *(f"{value:.3f}" for value in points.ravel()),
                ]
            )


def tested(checkpoint: Path, test: list[Sample]) -> float:
    """NME over the diagonal of the points' bounding box."""
    predictor = Predictor.load(checkpoint)
    inputs = [(np.asarray(Image.open(file).convert("RGB")), points) for file, _, points in test]
    boxes = [(image, bounding_box(points)) for image, points in inputs]
    errors = []
    for found, (_, points) in zip(predictor.predict_boxes(boxes), inputs, strict=True):
        box = bounding_box(points)
        distance = np.linalg.norm(found - points, axis=1).mean()
        errors.append(distance / np.linalg.norm(box[2:] - box[:2]))
    return float(np.mean(errors))


def show(rows: pd.DataFrame) -> None:
    """Print the mean over the seeds, one column per start."""
    table = Table("data", "images", *STARTS, title="NME, diagonal of the points' box")
    for (data, count), group in rows.groupby(["data", "images"], sort=False):
        cells = []
        for start in STARTS:
            found = 100 * group[group["start"] == start]["nme"]
            spread = f" +- {found.std():.2f}" if len(found) > 1 else ""
            cells.append(f"{found.mean():.2f} %{spread}")
        table.add_row(str(data), str(count), *cells)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
