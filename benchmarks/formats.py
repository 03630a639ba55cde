"""Every format of annotations, written and read: faces, points, largest difference, time.

    python -m benchmarks.formats --data-dir DATA

IMM, iBUG and YouTube Faces, where they are, are written in each format that facekp writes, and read
by `dataset=annotations`; drawn faces are written in the others by this module. Keeps `formats.csv`
and a sheet of faces per format in `--output`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import yaml
from rich.console import Console
from rich.table import Table

import facekp
from facekp.core.crop import Crop
from facekp.core.geometry import transform_points
from facekp.core.image import image_size, warp
from facekp.core.landmarks import bundled_schemes
from facekp.data.annotations import AnnotationsDataModule
from facekp.data.datamodule import FaceDataModule
from facekp.data.factory import build_datamodule
from facekp.data.records import FaceRecord, annotated_points
from facekp.data.synthetic import SyntheticIBUGDataModule
from facekp.tasks.convert import convert
from facekp.visualization.overlay import caption, draw_box, draw_points, grid, letterbox, save_image

KAGGLE15: tuple[Sequence[int], ...] = (
    range(42, 48), range(36, 42), [42], [45], [39], [36], [22], [26], [21], [17], [30], [54], [48],
    [51], [57],
)  # fmt: skip
"""Kaggle's points, each the mean of some of iBUG's."""
WRITTEN = ("coco", "csv", "dlib", "pts")


def main() -> None:
    """Write, read and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", default=os.environ.get("FACEKP_DATA_DIR", "data"), type=Path)
    parser.add_argument("--output", default="runs/formats", type=Path)
    arguments = parser.parse_args()
    shutil.rmtree(arguments.output, ignore_errors=True)
    arguments.output.mkdir(parents=True)
    rows = []
    for name in ("imm", "ibug", "youtube_faces"):
        cfg = facekp.compose(f"dataset={name}", f"data_dir={arguments.data_dir}")
        source = build_datamodule(cfg.dataset)
        try:
            source.prepare_data()
        except facekp.FacekpError as error:
            print(f"{name}: {error}")
            continue
        source.setup()
        for written in WRITTEN:
            folder = arguments.output / f"{name}_{written}"
            paths = {path.stem: path for path in convert(source, written, str(folder))}
            images = None if written == "pts" else source.folder
            if name == "youtube_faces":
                images = arguments.data_dir / name
            rows.append(measured(name, written, source, paths, images, arguments.output))
    drawn = SyntheticIBUGDataModule(input_size=(64, 64), data_dir=None, count=40)
    drawn.prepare_data()
    drawn.setup()
    for written, write in DRAWN.items():
        folder = arguments.output / f"drawn_{written}"
        folder.mkdir()
        path = write(folder, drawn.splits["train"])
        rows.append(
            measured("drawn faces", written, drawn, {"train": path}, None, arguments.output)
        )
    table = pd.DataFrame(rows)
    table.to_csv(arguments.output / "formats.csv", index=False)
    show(table)


def measured(
    name: str,
    written: str,
    source: FaceDataModule,
    paths: dict[str, Path],
    images: Path | None,
    output: Path,
) -> dict:
    """Read a data set back, and compare it with its source."""
    splits: dict[str, Any] = {
        key: str(paths[key]) for key in ("train", "val", "test") if key in paths
    }
    found = AnnotationsDataModule(
        data_dir=None,
        input_size=(64, 64),
        images=None if images is None else str(images),
        landmarks=None if written in ("wflw", "kaggle") else source.scheme.name,
        cache_dir=output / "cache",
        **splits,
    )
    start = perf_counter()
    found.read()
    seconds = perf_counter() - start
    records = [record for records in found.splits.values() for record in records]
    labelled = [r for rs in source.splits.values() for r in rs if r.keypoints is not None]
    truth = {r.image.name: r for r in labelled} | {r.image.parts[-2:]: r for r in labelled}
    differences = [difference(record, truth) for record in records]
    sheet = output / f"{name.replace(' ', '_')}_{written}.jpg"
    step = max(1, len(records) // 8)
    save_image(sheet, grid([tile(record, found) for record in records[::step][:8]], columns=4))
    return {
        "data": name,
        "format": written,
        "faces": len(records),
        "points": found.scheme.count,
        "largest difference, px": float(np.max(differences)),
        "seconds": seconds,
        "picture": sheet.name,
    }


def difference(record: FaceRecord, truth: dict[Any, FaceRecord]) -> float:
    """Largest distance of a face's points from those of its source.

    The source is found by the ends of the images' paths.
    """
    before = truth.get(record.image.parts[-2:]) or truth.get(record.image.name)
    if before is None:
        return np.nan
    count = min(len(annotated_points(before)), len(annotated_points(record)))
    distance = annotated_points(record)[:count] - annotated_points(before)[:count]
    return float(np.nanmax(np.linalg.norm(distance, axis=1)))


def tile(record: FaceRecord, data: FaceDataModule) -> np.ndarray:
    """A face with its box and points."""
    picture = draw_box(record.load(3), record.bbox)
    picture = draw_points(picture, annotated_points(record), scheme=data.scheme)
    return caption(letterbox(picture, (300, 300)), record.name[-30:])


def write_yolo(folder: Path, records: list[FaceRecord]) -> Path:
    """Drawn faces as a YOLO pose data set."""
    for record in records:
        size = np.array(image_size(record.image)[::-1])
        points = np.hstack([(annotated_points(record) + 0.5) / size, np.full((68, 1), 2)])
        box = (record.bbox + 0.5) / np.tile(size, 2)
        values = [*(box[:2] + box[2:]) / 2, *box[2:] - box[:2], *points.ravel()]
        image = folder / "images/train" / record.image.name
        label = folder / "labels/train" / f"{image.stem}.txt"
        for path in (image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(record.image, image)
        label.write_text("0 " + " ".join(f"{value:.9f}" for value in values) + "\n")
    pairs = bundled_schemes()["ibug68"].flip_indices.tolist()
    content = {"train": "images/train", "kpt_shape": [68, 3], "flip_idx": pairs, "names": ["face"]}
    (folder / "data.yaml").write_text(yaml.safe_dump(content))
    return folder / "data.yaml"


def write_labelme(folder: Path, records: list[FaceRecord]) -> Path:
    """Drawn faces as LabelMe's files."""
    for record in records:
        shutil.copy(record.image, folder / record.image.name)
        height, width = image_size(record.image)
        corners = (record.bbox.reshape(2, 2) + 0.5).tolist()
        shapes = [
            {"label": str(at), "points": [point], "shape_type": "point", "group_id": 1}
            for at, point in enumerate((annotated_points(record) + 0.5).tolist())
        ]
        shapes.append(
            {"label": "face", "points": corners, "shape_type": "rectangle", "group_id": 1}
        )
        content = {"imagePath": record.image.name, "imageHeight": height, "imageWidth": width}
        path = (folder / record.image.name).with_suffix(".json")
        path.write_text(json.dumps(content | {"shapes": shapes}))
    return folder


def write_deeplabcut(folder: Path, records: list[FaceRecord]) -> Path:
    """Drawn faces as DeepLabCut's CSV."""
    heads = [["scorer"], ["bodyparts"], ["coords"]]
    for at in range(68):
        for axis in "xy":
            for row, cell in zip(heads, ("me", str(at), axis), strict=True):
                row.append(cell)
    lines = [",".join(row) for row in heads]
    for record in records:
        shutil.copy(record.image, folder / record.image.name)
        values = ",".join(f"{value:.7f}" for value in annotated_points(record).ravel())
        lines.append(f"labeled-data/{record.image.name},{values}")
    (folder / "CollectedData.csv").write_text("\n".join(lines))
    return folder / "CollectedData.csv"


def write_wflw(folder: Path, records: list[FaceRecord]) -> Path:
    """Drawn faces as WFLW's list; the last 30 of its 98 points repeat the first."""
    lines = []
    for record in records:
        shutil.copy(record.image, folder / record.image.name)
        points = annotated_points(record)
        values = [*points.ravel(), *points[:30].ravel(), *record.bbox, 0, 0, 0, 0, 0, 0]
        lines.append(" ".join(f"{value:.10g}" for value in values) + f" {record.image.name}")
    (folder / "list_98pt_rect_attr_train.txt").write_text("\n".join(lines))
    return folder / "list_98pt_rect_attr_train.txt"


def write_kaggle(folder: Path, records: list[FaceRecord]) -> Path:
    """Drawn faces as Kaggle's CSV: 15 points on 96x96 pixels."""
    names = bundled_schemes()["kaggle15"].point_names
    lines = [",".join(f"{name}_{axis}" for name in names for axis in "xy") + ",Image"]
    for record in records:
        matrix = Crop((96, 96), 1, 1.3, True).transform(record.bbox)
        pixels = warp(record.load(1), matrix, (96, 96)).ravel()
        points = transform_points(matrix, annotated_points(record))
        fifteen = np.array([points[list(members)].mean(axis=0) for members in KAGGLE15])
        cells = ",".join(f"{value:.3f}" for value in fifteen.ravel())
        lines.append(f"{cells}," + " ".join(map(str, pixels)))
    (folder / "training.csv").write_text("\n".join(lines))
    return folder / "training.csv"


DRAWN: dict[str, Callable[[Path, list[FaceRecord]], Path]] = {
    "yolo": write_yolo,
    "labelme": write_labelme,
    "deeplabcut": write_deeplabcut,
    "wflw": write_wflw,
    "kaggle": write_kaggle,
}


def show(table: pd.DataFrame) -> None:
    """Print the table."""
    printed = Table(*table.columns)
    for row in table.to_dict("records"):
        cells = [f"{v:.2g}" if isinstance(v, float) else str(v) for v in row.values()]
        printed.add_row(*cells)
    Console(width=120).print(printed)


if __name__ == "__main__":
    main()
