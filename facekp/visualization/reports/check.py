"""The report of a check: what is broken or suspicious in a data set, with thumbnails."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facekp.data.dataset import View
from facekp.data.records import FaceRecord
from facekp.data.audit import Finding
from facekp.visualization.overlay import BOX, PREDICTION, TRUTH, draw_points, grid, label, save
from facekp.core.geometry import apply_map, box_of_points
from facekp.core.image import warp
from facekp.core.landmarks import LandmarkScheme
from facekp.visualization.reports.page import Section, folded, photo, table, write_page

KINDS = {
    "broken": "Training refuses them, or leaves them out with dataset.on_error=skip.",
    "twice": "One file and box that is listed again.",
    "same file": "Two files with the same bytes.",
    "far point": "A point far outside its box.",
    "twin": "A mirrored copy that is not the original, mirrored.",
    "left and right": "The shape fits better with its sides exchanged.",
    "order": "A part of the face fits far better with its points counted another way.",
    "odd shape": "A point very far from where the other faces have it.",
    "leak": "One picture in two splits: what it is judged by was trained on.",
    "near-copy": "One picture twice in a split: it counts twice.",
}
MOST = 24
"""Thumbnails of a kind; the table has all."""
SIDE = 200
PLAIN = (225, 225, 225)


def write_check(
    folder: Path,
    frame: pd.DataFrame,
    found: Sequence[Finding],
    scheme: LandmarkScheme,
    description: str,
) -> Path:
    """Write `<scheme>.html`, its thumbnails in a folder beside it.

    Args:
        folder: where to.
        frame: a row a finding, with its `kind`, broken entries too.
        found: those of entries that can be read.
        scheme: what the points are.
        description: of the data set.

    Returns:
        The page's path.
    """
    sections = []
    for kind, own in frame.groupby("kind", sort=False):
        shown = [one for one in found if one.kind == kind]
        rows = table(own.drop(columns="kind"))
        parts = [rows if len(own) <= MOST else folded(f"All {len(own)}", rows)]
        if shown:
            sheet = folder / scheme.name / f"{str(kind).replace(' ', '_')}.jpg"
            pairs = any(one.other for one in shown)
            pictures = [
                picture
                for one in shown[:MOST]
                for picture in _thumbnails(one, scheme, (SIDE, SIDE), pairs)
            ]
            save(sheet, grid(pictures, columns=4))
            parts.insert(0, photo(sheet, f"the first {MOST}" if len(shown) > MOST else ""))
        sections.append(Section(f"{kind}: {len(own)}", KINDS[str(kind)], parts))
    path = folder / f"{scheme.name}.html"
    write_page(
        path,
        f"{scheme.name}: {len(frame)} findings",
        f"{description}. In the thumbnails the subject's right side is red, the left one green; "
        "a yellow dot is the first point of its part.",
        "",
        {str(kind): str(count) for kind, count in frame["kind"].value_counts(sort=False).items()},
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
    """A face with its points, its sides told apart."""
    box, points = record.bbox, record.keypoints
    if points is not None:  # what can be seen of them: a wrong one may be anywhere
        extent, side = box_of_points(points), box[2:] - box[:2]
        box = np.concatenate(
            [np.maximum(extent[:2], box[:2] - side), np.minimum(extent[2:], box[2:] + side)]
        )
        box = box if (box[2:] > box[:2]).all() else record.bbox
    matrix = View(size, 3, 1.3, True).map(box)
    picture = warp(record.load(3), matrix, size, 3)
    if points is not None:
        there = apply_map(matrix, points)
        picture = draw_points(picture, there, PLAIN, scheme, radius=1.0)
        for name, members in scheme.groups.items():
            colours: dict[str, Any] = {"left": TRUTH, "right": PREDICTION}
            colour = colours.get(name.partition("_")[0], PLAIN)
            picture = draw_points(picture, there[list(members)], colour, radius=1.5)
            picture = draw_points(picture, there[list(members[:1])], BOX, radius=2.5)
    return label(picture, Path(record.name).stem[-24:])
