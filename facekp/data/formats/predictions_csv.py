"""CSV files of faces in photos: boxes, and perhaps points; `predictions.csv` is one.

Columns: `file`, `left`, `top`, `right`, `bottom` (edges `xyxy` in pixels of the upright photo; also
`xmin`, `ymin`, `xmax`, `ymax`, and other headings of the image), perhaps `box_source` (`box_kind`
in older files), `angle` (see `corrected_csv`), `frame` (0 for a photo), and for points `NAME_x`,
`NAME_y`, or `x0`, `y0`, `x1`, ... if they have no names. The cells of a missing point are empty; a
photo without faces has one row with neither box nor points. Columns are separated by commas,
semicolons or tabs.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facekp.core.columns import BOX_COLUMNS, point_columns
from facekp.core.errors import DataError
from facekp.core.geometry import check_boxes
from facekp.data.formats.base import delimiter_of, read_head
from facekp.data.formats.csv_columns import CORNER_HEADINGS, IMAGE_HEADINGS


@dataclass(frozen=True, eq=False)
class CsvFace:
    """One row.

    Args:
        file: path of the photo as written in the file.
        bbox: (4,) `xyxy` in pixels of the upright photo; None of a photo without faces.
        keypoints: (K, 2) in the same pixels, nan for missing ones; (0, 2) if no points were asked
            for.
        box_source: what the box is, see `Detector.name`; empty if the file does not say.
        angle: degrees by which the face is tilted, clockwise, about its box's centre.
    """

    file: str
    bbox: np.ndarray | None
    keypoints: np.ndarray
    box_source: str
    angle: float = 0.0


def read_predictions_csv(
    path: str | Path, point_names: Sequence[str] | None = None
) -> Iterator[CsvFace]:
    """Read the faces of photos in a CSV file; those in frames of videos are passed over.

    Args:
        path: the file.
        point_names: of the points that the file must have; None reads only the boxes.

    Raises:
        DataError: a missing or broken file, a missing column, a number that is not finite, an empty
            box, or a point with only one of x and y; only faces in frames of videos; names file
            and line.
    """
    path = Path(path)
    names = point_columns(point_names or ())
    points = f", {names[0]}, {names[1]}, ... {names[-1]}" if names else ""
    remedy = f"give a CSV with the columns file, {', '.join(BOX_COLUMNS)}{points}; task=convert "
    remedy += "format=csv adds boxes to annotations"
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as stream:
            delimiter = delimiter_of(stream.readline())
            stream.seek(0)
            reader = csv.DictReader(stream, skipinitialspace=True, delimiter=delimiter)
            reader.fieldnames = header = _canonical(reader.fieldnames or ())
            numbered = point_columns(map(str, range(len(names) // 2)))
            if names and names[0] not in header and numbered[0] in header:
                names = numbered  # of older files
            missing = [name for name in ("file", *BOX_COLUMNS, *names) if name not in header]
            if missing:
                listed = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
                raise DataError(path, f"columns missing: {listed}", remedy, 1)
            of_videos, of_photos = 0, 0
            for row in reader:
                if (row.get("frame") or "0").strip() != "0":
                    of_videos = of_videos or reader.line_num
                    continue
                of_photos += 1
                try:
                    yield _face(row, names, "," if delimiter == "," else ".")
                except ValueError as error:
                    line = reader.line_num
                    raise DataError(path, f"not a face: {error}", remedy, line) from error
            if of_videos and not of_photos:
                problem = "all its faces belong to frames of videos"
                raise DataError(path, problem, "give one with faces of photos", of_videos)
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})", "check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(path, f"not a CSV file ({error})", remedy) from error


def has_box_columns(path: Path) -> bool:
    """Whether a file is a CSV of faces with boxes and their source, such as `predictions.csv`.

    Raises:
        DataError: it cannot be read.
    """
    if path.suffix.lower() not in (".csv", ".tsv"):
        return False
    line = read_head(path).partition("\n")[0].strip()
    header = _canonical(line.split(delimiter_of(line)))
    return {"file", *BOX_COLUMNS, "box_source"} <= set(header)


def _canonical(header: Sequence[str]) -> list[str]:
    """Headings, with the image's and the box's called `file`, `left`, `top`, `right`, `bottom`."""
    header = [heading.strip() for heading in header]
    plain = [heading.lower().replace(" ", "_") for heading in header]
    if "file" not in header:
        image = next((name for name in IMAGE_HEADINGS if name in plain), None)
        header = ["file" if name == image else old for name, old in zip(plain, header, strict=True)]
    if not set(BOX_COLUMNS) <= set(header):
        corners = next((names for names in CORNER_HEADINGS if set(names) <= set(plain)), ())
        edges = dict(zip(corners, BOX_COLUMNS, strict=False))
        header = [edges.get(name, old) for name, old in zip(plain, header, strict=True)]
    return header


def _face(row: dict[str, str | None], names: list[str], comma: str) -> CsvFace:
    """A row; `comma` is what a comma in a number stands for."""
    cells = [(row[name] or "").strip().replace(",", comma) for name in (*BOX_COLUMNS, *names)]
    numbers = np.array([float(cell or "nan") for cell in cells])
    file = (row["file"] or "").strip()
    if not file:
        raise ValueError("no file is named")
    source = (row.get("box_source") or row.get("box_kind") or "").strip()
    if not any(cells):
        return CsvFace(file, None, np.empty((0, 2)), source)
    check_boxes(numbers[None, :4])
    missing = np.array([not cell for cell in cells])
    if (missing[4::2] != missing[5::2]).any() or not np.isfinite(numbers[~missing]).all():
        raise ValueError("a point has only one of x and y, or is not a number")
    angle = float(row.get("angle") or 0)
    if not abs(angle) <= 360:
        raise ValueError(f"an angle of {angle}")
    return CsvFace(file, numbers[:4], numbers[4:].reshape(-1, 2), source, angle)
