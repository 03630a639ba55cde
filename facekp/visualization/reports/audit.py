"""The report of an audit: broken and suspicious entries of a data set, with thumbnails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from facekp.core.crop import Crop
from facekp.core.geometry import bounding_box, transform_points
from facekp.core.image import warp
from facekp.core.landmarks import LandmarkScheme
from facekp.data.audit import Finding, PointAudit
from facekp.data.datamodule import FaceDataModule
from facekp.data.records import FaceRecord, annotated_points
from facekp.visualization.overlay import (
    BOX,
    PREDICTION,
    TRUTH,
    caption,
    draw_box,
    draw_labels,
    draw_points,
    grid,
    save_image,
)
from facekp.visualization.reports.page import Section, folded, photo, plain, table, write_page

CATEGORIES = {
    "flip pair": "The mean shape, mirrored, contradicts a declared pair of left and right points.",
    "broken": "Training refuses them, or skips them with dataset.on_error=skip.",
    "twice": "A file and box that is listed again.",
    "same file": "Two files with the same bytes.",
    "far point": "A point far outside its box.",
    "placeholder": "Points at one place in the corner: a mark for missing points, which should be "
    "empty cells (or visibility 0) instead.",
    "twin": "A mirrored copy that differs from the original, mirrored.",
    "left and right": "The shape fits better with its sides exchanged.",
    "order": "A part of the face fits far better with its points in another order.",
    "odd shape": "A point very far from its position on the other faces.",
    "leak": "The same picture in two splits: the network is evaluated on training data.",
    "near-duplicate": "The same picture twice in a split: it counts twice.",
}
MAX_THUMBNAILS = 24
"""Findings shown per category; the table has all."""
FEW = 20
"""Points up to which there is room for large dots and names."""
FACES = 12
"""Faces on the sheet."""
SIDE = 200
PLAIN = (225, 225, 225)


def write_audit(
    folder: Path,
    rows: pd.DataFrame,
    findings: Sequence[Finding],
    points: PointAudit,
    datamodule: FaceDataModule,
) -> Path:
    """Write `<scheme>.html`, with its pictures in a folder beside it.

    Args:
        folder: where to.
        rows: one row per finding, with its `category`, broken entries included.
        findings: those of entries that can be read.
        points: what the data says of the points.
        datamodule: the data set, read.

    Returns:
        The page's path.
    """
    scheme = datamodule.scheme
    pictures = folder / scheme.name
    sections = [*_points_sections(pictures, points, datamodule)]
    for category, group in rows.groupby("category", sort=False):
        shown = [finding for finding in findings if finding.category == category]
        sections.append(_findings_section(pictures, str(category), group, shown, scheme))
    path = folder / f"{scheme.name}.html"
    summary = "; ".join(line.strip(" :") for line in datamodule.summary().split("\n"))
    counts = rows["category"].value_counts(sort=False)
    write_page(
        path,
        f"{scheme.name}: {len(rows)} findings",
        f"{summary}. In the thumbnails of findings the subject's right side is red, "
        "the left one green; a yellow dot marks the first point of each part.",
        "",
        {str(category): str(count) for category, count in counts.items()},
        sections,
    )
    return path


def _points_sections(
    pictures: Path, points: PointAudit, datamodule: FaceDataModule
) -> Iterator[Section]:
    """Faces with numbered points, and the points' names, labels and flip pairs."""
    scheme = datamodule.scheme
    records = [r for records in datamodule.splits.values() for r in records]
    labelled = [r for r in records if r.keypoints is not None]
    if labelled:
        step = max(1, len(labelled) // FACES)
        # The face with most points is drawn large; its numbers are those of the table.
        counts = [int(np.isfinite(annotated_points(r)).all(axis=1).sum()) for r in labelled]
        best = labelled[int(np.argmax(counts))]
        numbers, few = _numbers(scheme), scheme.count <= FEW
        labels = [f"{at} {name}" for at, name in enumerate(scheme.point_names)] if few else numbers
        save_image(pictures / "numbered.jpg", _numbered(best, scheme, 720, labels))
        side, columns = (300, 4) if few else (440, 3)
        faces = [_numbered(r, scheme, side, numbers) for r in labelled[::step][:FACES]]
        save_image(pictures / "faces.jpg", grid(faces, columns))
        yield Section(
            "Points",
            "Are the points where they are meant to be, in the right order? The numbers are those "
            "of the table; lines are the skeleton, the yellow frame is the face's box.",
            [photo(pictures / "numbered.jpg", best.name), table(points.table)],
        )
        yield Section("Faces", "Faces from all of the data.", [photo(pictures / "faces.jpg")])
    known = points.proposed or scheme
    if points.mean is not None and known.flip_pairs is not None:
        save_image(pictures / "flip_pairs.jpg", _pairs_picture(points.mean, known))
        text = "Each line joins two points that are exchanged in a mirrored face."
        parts = [photo(pictures / "flip_pairs.jpg")]
        if points.proposed is not None:
            text = "None are known. These are read off the mirrored mean shape; if the lines are "
            text += "right, give the scheme below as dataset.landmarks=FILE.yaml."
            parts.append(folded("The scheme", plain(points.proposed.to_yaml())))
        yield Section("Flip pairs on the mean shape", text, parts)


def _numbered(
    record: FaceRecord, scheme: LandmarkScheme, side: int, labels: Sequence[str]
) -> np.ndarray:
    """A face with its box, its points, their labels and the skeleton."""
    matrix = Crop((side, side), 3, 1.5, True).transform(record.bbox)
    picture = warp(record.load(3), matrix, (side, side), 3)
    corners = transform_points(matrix, record.bbox.reshape(2, 2))
    picture = draw_box(picture, corners.ravel())
    pixels = transform_points(matrix, annotated_points(record))
    few = scheme.count <= FEW
    radius = max(1.5, side / (120 if few else 250))
    picture = draw_points(picture, pixels, TRUTH, scheme, radius=radius)
    if record.occluded is not None:
        hidden = np.where(record.occluded[:, None], pixels, np.nan)
        picture = draw_points(picture, hidden, PREDICTION, radius=radius)
    picture = draw_labels(picture, pixels, labels, side / (1000 if few else 1500))
    return caption(picture, Path(record.name).stem[-40:])


def _pairs_picture(mean: np.ndarray, scheme: LandmarkScheme) -> np.ndarray:
    """The mean shape with its flip pairs as lines."""
    extent = np.ptp(mean, axis=0).max()
    pixels = (mean - mean.min(axis=0)) / max(float(extent), 1e-9) * 420 + 40
    height, width = np.ceil(pixels.max(axis=0)[::-1] + 40).astype(int)
    canvas = np.full((height, width, 3), 60, np.uint8)
    for a, b in scheme.flip_pairs or ():
        ends = np.round(pixels[[a, b]]).astype(int).tolist()
        cv2.line(canvas, ends[0], ends[1], (130, 160, 210), 1, cv2.LINE_AA)
    canvas = draw_points(canvas, pixels, TRUTH, radius=2.5)
    return draw_labels(canvas, pixels, _numbers(scheme), 0.4)


def _numbers(scheme: LandmarkScheme) -> list[str]:
    return [str(at) for at in range(scheme.count)]


def _findings_section(
    pictures: Path,
    category: str,
    group: pd.DataFrame,
    shown: Sequence[Finding],
    scheme: LandmarkScheme,
) -> Section:
    """The findings of a category, the first ones with thumbnails."""
    all_rows = table(group.drop(columns="category"))
    long = len(group) > MAX_THUMBNAILS
    parts = [folded(f"All {len(group)}", all_rows) if long else all_rows]
    if shown:
        sheet = pictures / f"{category.replace(' ', '_')}.jpg"
        pairs = any(finding.other for finding in shown)
        thumbnails = [
            picture
            for finding in shown[:MAX_THUMBNAILS]
            for picture in _thumbnails(finding, scheme, (SIDE, SIDE), pairs)
        ]
        save_image(sheet, grid(thumbnails, columns=4))
        first = f"the first {MAX_THUMBNAILS}" if len(shown) > MAX_THUMBNAILS else ""
        parts.insert(0, photo(sheet, first))
    return Section(f"{category}: {len(group)}", CATEGORIES[category], parts)


def _thumbnails(
    finding: Finding, scheme: LandmarkScheme, size: tuple[int, int], pairs: bool
) -> list[np.ndarray]:
    pictures = [_thumbnail(finding.record, scheme, size)]
    if pairs:
        empty = np.full((*size, 3), 128, np.uint8)
        pictures.append(_thumbnail(finding.other, scheme, size) if finding.other else empty)
    return pictures


def _thumbnail(record: FaceRecord, scheme: LandmarkScheme, size: tuple[int, int]) -> np.ndarray:
    """A face with its points, the sides in different colours."""
    box, points = record.bbox, record.keypoints
    if points is not None:  # as far as they can be shown: a wrong one may be anywhere
        extent, side = bounding_box(points), box[2:] - box[:2]
        box = np.concatenate(
            [np.maximum(extent[:2], box[:2] - side), np.minimum(extent[2:], box[2:] + side)]
        )
        box = box if (box[2:] > box[:2]).all() else record.bbox
    matrix = Crop(size, 3, 1.3, True).transform(box)
    picture = warp(record.load(3), matrix, size, 3)
    if points is not None:
        pixels = transform_points(matrix, points)
        picture = draw_points(picture, pixels, PLAIN, scheme, radius=1.0)
        for name, members in scheme.parts.items():
            colours: dict[str, Any] = {"left": TRUTH, "right": PREDICTION}
            colour = colours.get(name.partition("_")[0], PLAIN)
            picture = draw_points(picture, pixels[list(members)], colour, radius=1.5)
            picture = draw_points(picture, pixels[list(members[:1])], BOX, radius=2.5)
    return caption(picture, Path(record.name).stem[-24:])
