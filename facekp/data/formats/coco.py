"""COCO keypoints JSON, as CVAT, Label Studio and many others export it.

Format: https://cocodataset.org/#format-data. Coordinates are counted from the corner of the
top-left pixel, so that a `W x H` image spans (0, 0) to (W, H); visibility is 0 (not annotated),
1 (occluded) or 2 (visible). A category names its points and its skeleton (pairs counted from 1).
This module also writes the whole landmark scheme as the category's `facekp`, which others ignore.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facekp.core.errors import DataError, skip_or_raise
from facekp.core.files import atomic_write_text
from facekp.core.landmarks import LandmarkScheme
from facekp.data.formats.base import (
    CORNER,
    AnnotationFile,
    FaceEntry,
    ReadOptions,
    WritableFormat,
    WrittenFace,
    apply_visibility,
    choose_category,
    read_json,
    sound_box,
    sound_rows,
    split_named,
    stated_size,
)

_REMEDY = "correct the entry, or export the file again"


class CocoJson(WritableFormat):
    """COCO keypoints."""

    name = "coco"
    suffix = ".json"
    example = (
        '{"images": [{"id": 1, "file_name": "a.jpg", ...}], "categories": [{"keypoints": [...]}],\n'
        ' "annotations": [{"image_id": 1, "category_id": 1, "keypoints": [31.5, 40, 2, ...]}]}'
    )

    def recognises(self, path: Path, head: str) -> bool:
        """A JSON object that begins with one of COCO's lists."""
        keys = ("images", "annotations", "categories", "info", "licenses")
        is_labelme = '"shapes"' in head and '"images"' not in head
        return head.lstrip()[:1] == "{" and not is_labelme and any(f'"{k}"' in head for k in keys)

    def read(self, path: Path, options: ReadOptions) -> AnnotationFile:
        """Read the faces of one category; crowds (`iscrowd`) are left out."""
        return _Reader(path, options).read()

    def write(self, path: Path, faces: Sequence[WrittenFace], scheme: LandmarkScheme) -> None:
        """Write images, one annotation per face, and the scheme as the category."""
        ids: dict[str, int] = {}
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for face in faces:
            if face.image not in ids:
                ids[face.image] = len(ids) + 1
                height, width = face.size
                images.append(
                    {
                        "id": ids[face.image],
                        "file_name": face.image,
                        "width": width,
                        "height": height,
                    }
                )
            annotations.append(_annotation(face, len(annotations) + 1, ids[face.image], scheme))
        content = {"images": images, "annotations": annotations, "categories": [_category(scheme)]}
        atomic_write_text(path, json.dumps(content))


def _annotation(face: WrittenFace, number: int, image: int, scheme: LandmarkScheme) -> dict:
    points, hidden = face.labels(scheme.count)
    keypoints: list[float] = []
    for (x, y), occluded in zip(points.tolist(), hidden, strict=True):
        known = x == x  # not nan
        keypoints += [x + CORNER, y + CORNER, 1 if occluded else 2] if known else [0, 0, 0]
    left, top, right, bottom = face.bbox.tolist()
    width, height = right - left, bottom - top
    entry = {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "bbox": [left + CORNER, top + CORNER, width, height],
        "area": width * height,
        "iscrowd": 0,
        "num_keypoints": int(np.isfinite(points).all(axis=1).sum()),
        "keypoints": keypoints,
    }
    extra = {"score": face.score, "split": face.split, "group": face.group}
    return entry | {name: value for name, value in extra.items() if value not in (None, "")}


def _category(scheme: LandmarkScheme) -> dict[str, Any]:
    lines = [(a + 1, b + 1) for chain in scheme.skeleton for a, b in itertools.pairwise(chain)]
    return {
        "id": 1,
        "name": "face",
        "keypoints": list(scheme.point_names),
        "skeleton": lines,
        "facekp": scheme.to_dict(),
    }


class _Reader:
    def __init__(self, path: Path, options: ReadOptions) -> None:
        self.path, self.options = path, options
        content = read_json(path)
        if not isinstance(content, dict):
            raise DataError(path, "not a COCO file: no object", _REMEDY, 1)
        self.lists = {
            key: self._list(content, key) for key in ("images", "annotations", "categories")
        }

    def _list(self, content: dict, key: str) -> list[dict]:
        entries = content.get(key)
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            raise DataError(self.path, f"no list {key!r}", "export COCO keypoints")
        return entries

    def read(self) -> AnnotationFile:
        images = self._images()
        category = self._category()
        names = [str(name) for name in category["keypoints"]]
        wanted = str(category["id"])
        chosen = [a for a in self.lists["annotations"] if str(a.get("category_id")) == wanted]
        crowds = sum(bool(a.get("iscrowd")) for a in chosen)
        entries, rows = [], []
        for annotation in chosen:
            if annotation.get("iscrowd"):
                continue
            try:
                _split(annotation)
                rows.append(self._keypoints(annotation, len(names)))
                entries.append((annotation, images[annotation["image_id"]]))
            except (KeyError, TypeError, ValueError) as error:
                del rows[len(entries) :]
                self._skip(annotation, error)
        table = np.array(rows, dtype=float).reshape(len(rows), len(names), 3)
        points = table[..., :2] - CORNER
        occluded = apply_visibility(points, table[..., 2])
        places = [(self.path, None)] * len(rows)
        labels = [f"annotation {annotation.get('id')}" for annotation, _ in entries]
        good = sound_rows(points, names, places, self.options.problems, labels)
        faces = [
            self._face(*entries[row], points[row], None if occluded is None else occluded[row])
            for row in np.flatnonzero(good)
        ]
        notes = [f"{crowds} crowds (iscrowd) left out"] if crowds else []
        without = sum(
            a.get("bbox") is not None and self._box(a["bbox"]) is None for a, _ in entries
        )
        if without:
            notes.append(f"{without} boxes are empty or no numbers, and not used")
        edges, scheme = self._skeleton(category, len(names))
        return AnnotationFile(names, faces, edges, scheme=scheme, notes=notes)

    def _images(self) -> dict[Any, dict]:
        images: dict[Any, dict] = {}
        for entry in self.lists["images"]:
            key, name = entry.get("id"), entry.get("file_name")
            if not isinstance(key, int | str) or not isinstance(name, str) or not name:
                problem = f"an image without id or file_name: {str(entry)[:60]}"
                raise DataError(self.path, problem, _REMEDY)
            if key in images:
                raise DataError(self.path, f"two images with the id {key}", _REMEDY)
            images[key] = entry
        return images

    def _category(self) -> dict:
        with_points = {
            int(entry["id"]): entry
            for entry in self.lists["categories"]
            if isinstance(entry.get("keypoints"), list) and entry["keypoints"]
            if isinstance(entry.get("id"), int)
        }
        boxes_alone = self.options.boxes_alone and not with_points
        if boxes_alone:
            every = (e for e in self.lists["categories"] if isinstance(e.get("id"), int))
            with_points = {entry["id"]: entry | {"keypoints": []} for entry in every}
        names = {key: str(entry.get("name")) for key, entry in with_points.items()}
        used = {
            str(a.get("category_id"))
            for a in self.lists["annotations"]
            if a.get("keypoints") or boxes_alone
        }
        unknown = sorted(used - set(map(str, names)))
        if unknown and with_points:
            skip_or_raise(
                DataError(self.path, f"annotations of unknown categories {unknown[:5]}", _REMEDY),
                self.options.problems,
            )
        used_ids = [key for key in names if str(key) in used]
        if boxes_alone and len(used_ids) > 1:  # of a detector of more than faces
            used_ids = [key for key in used_ids if names[key].lower() == "face"]
            if not used_ids:
                problem = f"boxes of several categories ({', '.join(names.values())}), none is face"
                raise DataError(self.path, problem, "keep those of one")
        return with_points[choose_category(self.path, names, used_ids, self.options.category)]

    def _keypoints(self, annotation: dict, count: int) -> list[float]:
        values = annotation.get("keypoints") or [0] * 3 * count
        if not isinstance(values, list) or len(values) != 3 * count:
            raise ValueError(f"{len(values)} numbers in keypoints, not 3 x {count}")
        return [float(value) for value in values]

    def _skip(self, annotation: dict, error: Exception) -> None:
        where = f"annotation {annotation.get('id')}"
        what = str(error)
        if isinstance(error, KeyError):
            what = f"its image_id {annotation.get('image_id')} is not among the images"
        problem = f"{where}: {what}"
        skip_or_raise(DataError(self.path, problem, _REMEDY), self.options.problems)

    def _face(
        self, annotation: dict, image: dict, points: np.ndarray, occluded: np.ndarray | None
    ) -> FaceEntry:
        return FaceEntry(
            image=image["file_name"],
            keypoints=points,
            file=self.path,
            bbox=self._box(annotation.get("bbox")),
            size=stated_size(image.get("height"), image.get("width")),
            occluded=occluded,
            split=_split(annotation),
            group=None if annotation.get("group") is None else str(annotation["group"]),
        )

    def _box(self, bbox: Any) -> np.ndarray | None:
        try:
            left, top, width, height = (float(value) for value in bbox)
        except (TypeError, ValueError):
            return None
        corners = np.array([left, top, left + width, top + height])
        return sound_box(corners - CORNER)

    def _skeleton(
        self, category: dict, count: int
    ) -> tuple[tuple[tuple[int, ...], ...], LandmarkScheme | None]:
        """Edges, and the scheme if facekp wrote the file."""
        try:
            edges = tuple((int(a) - 1, int(b) - 1) for a, b in category.get("skeleton") or ())
            if any(not 0 <= point < count for edge in edges for point in edge):
                raise ValueError("a point that does not exist")
            scheme = category.get("facekp")
            known = LandmarkScheme.from_dict(scheme) if isinstance(scheme, dict) else None
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            problem = f"the category's skeleton or scheme makes no sense ({error})"
            raise DataError(self.path, problem, _REMEDY) from error
        return edges, known


def _split(annotation: dict) -> str:
    """The split that an annotation written by facekp names; empty for others."""
    return split_named(str(annotation["split"])) if annotation.get("split") else ""
