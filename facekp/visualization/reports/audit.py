"""The report of an audit: broken and suspicious entries of a data set, with thumbnails."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facekp.core.crop import Crop
from facekp.core.geometry import bounding_box, transform_points
from facekp.core.image import warp
from facekp.core.landmarks import LandmarkScheme
from facekp.data.audit import Finding
from facekp.data.records import FaceRecord
from facekp.visualization.overlay import (
    BOX,
    PREDICTION,
    TRUTH,
    caption,
    draw_points,
    grid,
    save_image,
)
from facekp.visualization.reports.page import Section, folded, photo, table, write_page

CATEGORIES = {
    "broken": "Training refuses them, or skips them with dataset.on_error=skip.",
    "twice": "A file and box that is listed again.",
    "same file": "Two files with the same bytes.",
    "far point": "A point far outside its box.",
    "twin": "A mirrored copy that differs from the original, mirrored.",
    "left and right": "The shape fits better with its sides exchanged.",
    "order": "A part of the face fits far better with its points in another order.",
    "odd shape": "A point very far from its position on the other faces.",
    "leak": "The same picture in two splits: the network is evaluated on training data.",
    "near-duplicate": "The same picture twice in a split: it counts twice.",
}
MAX_THUMBNAILS = 24
"""Findings shown per category; the table has all."""
SIDE = 200
PLAIN = (225, 225, 225)


def write_audit(
    folder: Path,
    rows: pd.DataFrame,
    findings: Sequence[Finding],
    scheme: LandmarkScheme,
    data_summary: str,
) -> Path:
    """Write `<scheme>.html`, with its thumbnails in a folder beside it.

    Args:
        folder: where to.
        rows: one row per finding, with its `category`, broken entries included.
        findings: those of entries that can be read.
        scheme: of the points.
        data_summary: what the data set is.

    Returns:
        The page's path.
    """
    sections = []
    for category, group in rows.groupby("category", sort=False):
        shown = [finding for finding in findings if finding.category == category]
        all_rows = table(group.drop(columns="category"))
        long = len(group) > MAX_THUMBNAILS
        parts = [folded(f"All {len(group)}", all_rows) if long else all_rows]
        if shown:
            sheet = folder / scheme.name / f"{str(category).replace(' ', '_')}.jpg"
            pairs = any(finding.other for finding in shown)
            pictures = [
                picture
                for finding in shown[:MAX_THUMBNAILS]
                for picture in _thumbnails(finding, scheme, (SIDE, SIDE), pairs)
            ]
            save_image(sheet, grid(pictures, columns=4))
            first = f"the first {MAX_THUMBNAILS}" if len(shown) > MAX_THUMBNAILS else ""
            parts.insert(0, photo(sheet, first))
        sections.append(Section(f"{category}: {len(group)}", CATEGORIES[str(category)], parts))
    path = folder / f"{scheme.name}.html"
    counts = rows["category"].value_counts(sort=False)
    write_page(
        path,
        f"{scheme.name}: {len(rows)} findings",
        f"{data_summary}. In the thumbnails the subject's right side is red, the left one green; "
        "a yellow dot marks the first point of each part.",
        "",
        {str(category): str(count) for category, count in counts.items()},
        sections,
    )
    return path


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
