"""CSV files of faces that a person corrects: `predictions.csv` with a few more columns.

Besides `file`, box, `score`, `box_source` and points (see `predictions_csv`) there are `angle`
(degrees by which a face is tilted, clockwise; the box is the one that it has upright), `edited` (1
for photos that a person has looked through), `moved` (numbers of the points that were placed by
hand), `split` and `group` of a data set, and COCO's visibility of each point, `NAME_v`: 0 missing,
1 occluded, 2 visible.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facekp.core.columns import BOX_COLUMNS, point_columns
from facekp.core.errors import DataError
from facekp.core.geometry import MAX_PIXEL, check_boxes

HEAD = ("file", "face", *BOX_COLUMNS, "angle", "score", "box_source", "edited", "moved", "split",
        "group")  # fmt: skip
_REMEDY = "correct the row, or restore the file"


@dataclass(frozen=True, eq=False)
class CorrectedFace:
    """A face as a person leaves it.

    Args:
        bbox: (4,) `xyxy` in pixels of the upright photo, as the face has it when it is turned
            upright about the box's centre.
        keypoints: (K, 2) in the same pixels, nan for missing points.
        angle: degrees by which the face is tilted, clockwise.
        score: of the detector; 1 for a box that was drawn.
        moved: points that were placed by hand.
        occluded: points that are annotated but hidden.

    Raises:
        ValueError: an empty box, a number out of range, a point that does not exist.
    """

    bbox: np.ndarray
    keypoints: np.ndarray
    angle: float = 0.0
    score: float = 1.0
    moved: frozenset[int] = frozenset()
    occluded: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        check_boxes(self.bbox[None])
        missing = np.isnan(self.keypoints)
        if (missing[:, 0] != missing[:, 1]).any():
            raise ValueError("a point with only one of x and y")
        if (np.abs(self.keypoints[~missing]) > MAX_PIXEL).any():
            raise ValueError("a point far outside the photo")
        if not np.isfinite([self.angle, self.score]).all() or abs(self.angle) > 360:
            raise ValueError(f"angle {self.angle}, score {self.score}")
        if not self.moved | self.occluded <= set(range(len(self.keypoints))):
            raise ValueError("a point that does not exist")


@dataclass(frozen=True, eq=False)
class CorrectedPhoto:
    """A photo's faces, of which there may be none.

    Args:
        file: path of the photo as written in the file.
        faces: its faces.
        edited: whether a person has looked through them.
        split: of a data set, or empty.
        group: the same.
    """

    file: str
    faces: tuple[CorrectedFace, ...]
    edited: bool = False
    split: str = ""
    group: str = ""


def corrected_header(point_names: Sequence[str]) -> str:
    """The first line of a file."""
    return _line([*HEAD, *point_columns(point_names, "xyv")])


def corrected_rows(photo: CorrectedPhoto, count: int, box_source: str) -> str:
    """The lines of a photo: one per face, or one without a face.

    Args:
        photo: the photo.
        count: number of points.
        box_source: what the boxes are, see `Detector.name`.
    """
    end = [int(photo.edited), "", photo.split, photo.group]
    if not photo.faces:
        return _line([photo.file, "", *[""] * 6, box_source, *end, *[""] * 3 * count])
    lines = []
    for number, face in enumerate(photo.faces):
        points: list[str] = []
        for at, (x, y) in enumerate(face.keypoints.tolist()):
            if x != x:  # nan
                points += "", "", "0"
            else:
                points += f"{x:.3f}", f"{y:.3f}", "1" if at in face.occluded else "2"
        box = [f"{value:.3f}" for value in (*face.bbox, face.angle, face.score)]
        end[1] = " ".join(map(str, sorted(face.moved)))
        lines.append(_line([photo.file, number, *box, box_source, *end, *points]))
    return "".join(lines)


def is_corrected_csv(path: Path) -> bool:
    """Whether a file is one that this module writes, and may be edited in place."""
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as stream:
            return set(HEAD) <= set(next(csv.reader(stream), []))
    except (OSError, UnicodeError, csv.Error):
        return False


def read_corrected_csv(path: Path, point_names: Sequence[str]) -> list[CorrectedPhoto]:
    """The photos of a file that this module wrote, in its order.

    Raises:
        DataError: it cannot be read, has other points, or a broken row; names file and line.
    """
    names = point_columns(point_names, "xyv")
    photos: dict[str, CorrectedPhoto] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as stream:
            reader = csv.DictReader(stream)
            found = [name for name in reader.fieldnames or () if name not in HEAD]
            if found != names:
                problem = f"{len(found) // 3} points, {', '.join(found[:2])} ...; here they are "
                problem += f"{len(names) // 3}, {', '.join(names[:2])} ..."
                raise DataError(path, problem, "give the network, or data set, of its points", 1)
            for row in reader:
                try:
                    _add_row(photos, row, names)
                except (TypeError, ValueError) as error:
                    line = reader.line_num
                    raise DataError(path, f"not a face: {error}", _REMEDY, line) from error
    except OSError as error:
        remedy = "check the path; task=annotate writes it with the first correction"
        raise DataError(path, f"cannot be read ({error.strerror})", remedy) from error
    except (UnicodeError, csv.Error) as error:
        raise DataError(path, f"not a CSV file ({error})", _REMEDY) from error
    return list(photos.values())


def _add_row(photos: dict[str, CorrectedPhoto], row: dict[str, str], names: list[str]) -> None:
    if None in row or None in row.values():
        raise ValueError("the number of cells is not that of the first row")
    if not row["file"]:
        raise ValueError("no file is named")
    known = photos.get(row["file"])
    faces = known.faces if known else ()
    if any(row[name] for name in BOX_COLUMNS):
        cells = np.array([row[name] for name in names]).reshape(-1, 3)
        points = np.array([[float(cell or "nan") for cell in pair] for pair in cells[:, :2]])
        points[cells[:, 2] == "0"] = np.nan
        face = CorrectedFace(
            bbox=np.array([float(row[name]) for name in BOX_COLUMNS]),
            keypoints=points,
            angle=float(row["angle"] or 0),
            score=float(row["score"] or 1),
            moved=frozenset(map(int, row["moved"].split())),
            occluded=frozenset(np.flatnonzero(cells[:, 2] == "1").tolist()),
        )
        faces = (*faces, face)
    photos[row["file"]] = CorrectedPhoto(
        row["file"], faces, row["edited"] == "1", row["split"], row["group"]
    )


def _line(cells: Sequence[object]) -> str:
    stream = io.StringIO()
    csv.writer(stream).writerow(cells)
    return stream.getvalue()
