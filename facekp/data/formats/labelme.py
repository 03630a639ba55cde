"""LabelMe's JSON files, one per image: `point` shapes whose labels are the points' names.

Points of one face share a `group_id` (none: all of the image are one face); a `rectangle` of the
same group is its box. A shape whose flag `occluded` is set is hidden. Coordinates are counted from
the corner of the top-left pixel, as LabelMe's canvas does (https://github.com/wkentaro/labelme).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from facekp.core.errors import DataError, skip_or_raise
from facekp.core.files import is_file
from facekp.data.formats.base import (
    CORNER,
    AnnotationFile,
    AnnotationFormat,
    FaceEntry,
    ReadOptions,
    read_head,
    read_json,
    sorted_names,
    sound_box,
    sound_rows,
    stated_size,
)

_REMEDY = "correct the file in LabelMe, or remove it"


class LabelMeJson(AnnotationFormat):
    """A folder of JSON files, or one of them."""

    name = "labelme"
    example = (
        '{"imagePath": "a.jpg", "shapes": [{"label": "nose", "shape_type": "point",\n'
        ' "points": [[31.5, 40]], "group_id": null, "flags": {}}]}   (one file per image)'
    )

    def recognises(self, path: Path, head: str) -> bool:
        """By the list of shapes; of a folder, in its first JSON file."""
        if path.is_dir():
            return any(
                self.recognises(file, read_head(file)) for file in sorted(path.rglob("*.json"))[:50]
            )
        return head.lstrip()[:1] == "{" and '"shapes"' in head

    def read(self, path: Path, options: ReadOptions) -> AnnotationFile:
        """Read a folder or a file; shapes other than points and rectangles are left out."""
        files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
        faces: list[_Face] = []
        for file in files:
            try:
                faces += _faces(file)
            except DataError as error:
                skip_or_raise(error, options.problems)
        names = sorted_names(name for face in faces for name in face.points)
        points = np.full((len(faces), len(names), 2), np.nan)
        hidden = np.zeros((len(faces), len(names)), bool)
        index = {name: at for at, name in enumerate(names)}
        for row, face in enumerate(faces):
            for name, point in face.points.items():
                points[row, index[name]] = point
                hidden[row, index[name]] = name in face.occluded
        places = [(face.file, None) for face in faces]
        good = sound_rows(points, names, places, options.problems)
        entries = [
            FaceEntry(
                image=faces[row].image,
                keypoints=points[row],
                file=faces[row].file,
                bbox=faces[row].box,
                size=faces[row].size,
                occluded=hidden[row] if hidden.any() else None,
            )
            for row in np.flatnonzero(good)
        ]
        return AnnotationFile(names, entries)


class _Face:
    """Points of one group, by name."""

    def __init__(self, file: Path, content: dict) -> None:
        self.file = file
        name = str(content["imagePath"]).replace("\\", "/")
        beside = file.parent / name.rpartition("/")[2]
        self.image: str | Path = beside if is_file(beside) else name
        self.size = stated_size(content.get("imageHeight"), content.get("imageWidth"))
        self.points: dict[str, tuple[float, float]] = {}
        self.occluded: set[str] = set()
        self.box: np.ndarray | None = None

    def add(self, shape: dict) -> None:
        """Add a shape.

        Raises:
            ValueError: a second point of the same name.
        """
        corners = np.array(shape["points"], dtype=float).reshape(-1, 2) - CORNER
        if shape.get("shape_type") == "rectangle" and len(corners) == 2:
            self.box = sound_box([*corners.min(axis=0), *corners.max(axis=0)])
        elif shape.get("shape_type") == "point" and len(corners) == 1:
            label = str(shape["label"])
            if label in self.points:
                raise ValueError(f"two points {label} in one face; give each face a group_id")
            self.points[label] = (float(corners[0, 0]), float(corners[0, 1]))
            if (shape.get("flags") or {}).get("occluded"):
                self.occluded.add(label)


def _faces(file: Path) -> list[_Face]:
    content: Any = read_json(file)
    groups: dict[str, _Face] = {}
    try:
        for shape in content["shapes"]:
            key = str(shape.get("group_id"))
            if key not in groups:
                groups[key] = _Face(file, content)
            groups[key].add(shape)
    except KeyError as error:
        raise DataError(file, f"{error.args[0]} is missing", _REMEDY) from error
    except (TypeError, ValueError, AttributeError) as error:
        problem = " ".join(f"not LabelMe's ({error})".split())
        raise DataError(file, problem, _REMEDY) from error
    loose = groups.get("None")
    faces = [face for face in groups.values() if face.points]
    if loose is not None and loose.box is not None and len(faces) == 1 and faces[0].box is None:
        faces[0].box = loose.box
    return faces
