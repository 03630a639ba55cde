"""WFLW's text lists: 98 points, a box, six attributes and the image's name in each row.

`list_98pt_rect_attr_train.txt` and `..._test.txt` hold 196 coordinates, `x_min y_min x_max y_max`,
six flags and the name; `list_98pt_train.txt` only coordinates and name (W. Wu et al., "Look at
Boundary: A Boundary-Aware Face Alignment Algorithm", CVPR 2018). The attributes become subsets that
are evaluated apart, as in the paper's tables.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facekp.core.errors import DataError, skip_or_raise
from facekp.core.landmarks import bundled_schemes
from facekp.data.formats.base import (
    AnnotationFile,
    AnnotationFormat,
    FaceEntry,
    ReadOptions,
    check_size,
    sound_box,
    sound_rows,
)

ATTRIBUTES = ("large pose", "expression", "illumination", "make-up", "occlusion", "blur")
_POINTS = 98
_REMEDY = "restore the list from WFLW's archive"


class WflwList(AnnotationFormat):
    """WFLW's list of faces."""

    name = "wflw"
    upright = False
    example = "182.21 268.89 183.02 291.09 ... 182 201 272 341 0 0 0 0 1 0 37--Soccer/a.jpg\n..."

    def recognises(self, path: Path, head: str) -> bool:
        """By the number of values in the first row."""
        return len(head.partition("\n")[0].split()) in (2 * _POINTS + 1, 2 * _POINTS + 11)

    def image_folders(self, path: Path) -> list[Path]:
        """Beside the list, or where the archives are unpacked side by side."""
        return [path.parent, *(folder / "WFLW_images" for folder in path.parents[:3])]

    def read(self, path: Path, options: ReadOptions) -> AnnotationFile:
        """Read a list."""
        check_size(path)
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeError) as error:
            raise DataError(path, f"cannot be read ({error})", "check the path") from error
        rows: list[tuple[int, np.ndarray, str]] = []
        for number, line in enumerate(lines, 1):
            *texts, name = line.split() or [""]
            if not name:
                continue
            try:
                if len(texts) not in (2 * _POINTS, 2 * _POINTS + 10):
                    raise ValueError(f"{len(texts)} numbers, not {2 * _POINTS + 10}")
                rows.append((number, np.array(texts, dtype=float), name))
            except ValueError as error:
                skip_or_raise(DataError(path, str(error), _REMEDY, number), options.problems)
        scheme = bundled_schemes()["wflw98"]
        points = np.array([values[: 2 * _POINTS] for _, values, _ in rows])
        points = points.reshape(len(rows), _POINTS, 2)
        places = [(path, number) for number, _, _ in rows]
        good = sound_rows(points, scheme.point_names, places, options.problems)
        faces = [
            FaceEntry(
                image=name,
                keypoints=points[row],
                file=path,
                bbox=sound_box(values[-10:-6]) if len(values) > 2 * _POINTS else None,
                line=number,
                tags=tuple(a for a, v in zip(ATTRIBUTES, values[-6:], strict=True) if v == 1)
                if len(values) > 2 * _POINTS
                else (),
            )
            for row, (number, values, name) in enumerate(rows)
            if good[row]
        ]
        return AnnotationFile(scheme.point_names, faces, scheme=scheme)
