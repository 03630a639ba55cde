"""YOLO's pose data sets: a YAML that describes them, and a text file of labels per image.

The YAML has `path`, `train`, `val` and perhaps `test` (folders of images, or lists of them),
`kpt_shape` ([K, 2] or [K, 3]), `flip_idx`, `names` (classes) and perhaps `kpt_names`. The labels of
`images/a.jpg` are in `labels/a.txt`, one row per face: class, box centre and size, and x, y (and
visibility) of each point, all divided by the image's size, so that [0, 1] spans the image
(https://docs.ultralytics.com/datasets/pose/).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from facekp.core.errors import DataError, skip_or_raise
from facekp.core.files import IMAGE_SUFFIXES, exists, is_file, read_small_text
from facekp.core.geometry import denormalize_points
from facekp.core.image import image_size
from facekp.core.landmarks import MAX_POINTS
from facekp.data.formats.base import (
    AnnotationFile,
    AnnotationFormat,
    FaceEntry,
    ReadOptions,
    apply_visibility,
    check_size,
    choose_category,
    sound_box,
    sound_rows,
)

_REMEDY = "correct it; see https://docs.ultralytics.com/datasets/pose/"


class YoloPose(AnnotationFormat):
    """A YAML, and a text file per image."""

    name = "yolo"
    example = (
        "kpt_shape: [5, 3], flip_idx: [1, 0, 2, 4, 3], train: images/train, val: images/val\n"
        "0 0.5 0.5 0.4 0.6 0.41 0.38 2 ...      (labels/train/a.txt, numbers from 0 to 1)"
    )

    def recognises(self, path: Path, head: str) -> bool:
        """By the shape of the keypoints."""
        return path.suffix.lower() in (".yaml", ".yml") and "kpt_shape" in head

    def read(self, path: Path, options: ReadOptions) -> AnnotationFile:
        """Read all splits of a data set; an image without labels has no faces."""
        return _Reader(path, options).read()


class _Reader:
    def __init__(self, path: Path, options: ReadOptions) -> None:
        self.path, self.options = path, options
        check_size(path)
        try:
            self.content: dict = yaml.safe_load(path.read_text(encoding="utf-8"))
            count, self.values = (int(value) for value in self.content["kpt_shape"])
            if not 1 <= count <= MAX_POINTS or self.values not in (2, 3):
                raise ValueError(f"kpt_shape [{count}, {self.values}]")
            self.names = self._names(count)
            self.flip_pairs = self._flip_pairs(count)
            self.classes = _by_number(self.content.get("names") or ["face"])
        except (OSError, RecursionError, yaml.YAMLError) as error:
            problem = " ".join(f"cannot be read ({error})".split())
            raise DataError(path, problem, "check the file") from error
        except KeyError as error:
            raise DataError(path, f"{error.args[0]} is missing", _REMEDY) from error
        except (TypeError, ValueError, AttributeError) as error:
            raise DataError(path, f"not a pose data set ({error})", _REMEDY) from error

    def _names(self, count: int) -> list[str]:
        names = self.content.get("kpt_names")
        if isinstance(names, dict):
            names = next(iter(names.values()), None)
        if names is None:
            return [str(at) for at in range(count)]
        if not isinstance(names, list) or len(names) != count:
            raise ValueError(f"kpt_names has not {count} names")
        return [str(name) for name in names]

    def _flip_pairs(self, count: int) -> tuple[tuple[int, int], ...] | None:
        order = self.content.get("flip_idx")
        if order is None:
            return None
        order = [int(at) for at in order]
        if sorted(order) != list(range(count)) or any(order[order[at]] != at for at in order):
            raise ValueError(f"flip_idx {order} does not exchange {count} points in pairs")
        if count > 1 and order == list(range(count)):
            return None  # more often forgotten than meant; the audit proposes pairs
        return tuple((at, other) for at, other in enumerate(order) if at < other)

    def read(self) -> AnnotationFile:
        rows: list[list[float]] = []
        entries: list[tuple[Path, Path, int, str, tuple[int, int]]] = []
        for split in ("train", "val", "test"):
            for image in self._images(split):
                for line, values, size in self._labels(image):
                    rows.append(values)
                    entries.append((image, _label_path(image), line, split, size))
        if not entries:
            problem = "no labelled image in its folders"
            raise DataError(self.path, problem, "check path, train and val in it")
        return self._file(rows, entries)

    def _file(self, rows: list[list[float]], entries: list) -> AnnotationFile:
        classes = [int(values[0]) for values in rows]
        chosen = choose_category(self.path, self.classes, classes, self.options.category)
        keep = [at for at, number in enumerate(classes) if number == chosen]
        table = np.array([rows[at][5:] for at in keep])
        table = table.reshape(len(keep), len(self.names), self.values)
        sizes = np.array([entries[at][4] for at in keep]).reshape(-1, 2)
        points = table[..., :2] * sizes[:, None, ::-1] - 0.5
        occluded = None
        if self.values == 3:
            occluded = apply_visibility(points, table[..., 2])
        else:
            points[(table < 0).any(axis=2)] = np.nan
        places = [(entries[at][1], entries[at][2]) for at in keep]
        good = sound_rows(points, self.names, places, self.options.problems)
        faces = []
        for row in np.flatnonzero(good):
            image, file, line, split, size = entries[keep[row]]
            x, y, width, height = rows[keep[row]][1:5]
            corners = np.array([[x - width / 2, y - height / 2], [x + width / 2, y + height / 2]])
            box = sound_box(denormalize_points(corners, size).ravel().tolist())
            hidden = None if occluded is None else occluded[row]
            faces.append(FaceEntry(image, points[row], file, box, line, size, hidden, split))
        counted = self.content.get("kpt_names") is None
        return AnnotationFile(self.names, faces, flip_pairs=self.flip_pairs, counted=counted)

    def _images(self, split: str) -> Iterator[Path]:
        """The images of a split that have labels."""
        named = self.content.get(split)
        for entry in named if isinstance(named, list) else [named] if named else ():
            place = self._place(str(entry))
            if exists(place) and place.is_dir():
                files = sorted(place.rglob("*"))
            elif place.suffix == ".txt" and is_file(place):
                names = place.read_text(encoding="utf-8", errors="replace").split("\n")
                files = [self._place(name.strip(), place.parent) for name in names if name.strip()]
            else:
                problem = f"{split}: {entry} is not there"
                raise DataError(self.path, problem, "correct path or the entry")
            for file in files:
                if file.suffix.lower() in IMAGE_SUFFIXES and is_file(_label_path(file)):
                    yield file

    def _place(self, name: str, beside: Path | None = None) -> Path:
        """Where an entry is: in `path`, or beside the YAML."""
        root = Path(str(self.content.get("path") or "."))
        folder = self.path.parent
        choices = [folder / root / name, folder / name, root / name]
        choices += [folder / root.name / name] if root.name else []
        choices += [folder / name.removeprefix("../")]  # beside the folder's former place
        choices += [beside / name] if beside else []
        return next((choice for choice in choices if exists(choice)), choices[0])

    def _labels(self, image: Path) -> Iterator[tuple[int, list[float], tuple[int, int]]]:
        """(line, numbers, size of the image) of each face."""
        label, width = _label_path(image), 5 + self.values * len(self.names)
        try:
            size = image_size(image, upright=True)
            text = read_small_text(label)
        except DataError as error:
            skip_or_raise(error, self.options.problems)
            return
        for line, row in enumerate(text.split("\n"), 1):
            texts = row.split()
            if not texts:
                continue
            try:
                if len(texts) != width:
                    raise ValueError(f"{len(texts)} numbers, {width} expected")
                values = [float(value) for value in texts]
                if int(values[0]) not in self.classes:
                    raise ValueError(f"class {texts[0]} is not among names")
                yield line, values, size
            except (ValueError, OverflowError) as error:
                skip_or_raise(DataError(label, str(error), _REMEDY, line), self.options.problems)


def _label_path(image: Path) -> Path:
    """The file with an image's labels: `images` in its path becomes `labels`."""
    parts = list(image.parts)
    for at in range(len(parts) - 2, -1, -1):
        if parts[at] == "images":
            parts[at] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _by_number(names: Any) -> dict[int, str]:
    if not isinstance(names, dict | list):
        raise ValueError(f"names {names!r}: list the classes, e.g. [face]")
    entries = names.items() if isinstance(names, dict) else enumerate(names)
    return {int(key): str(value) for key, value in entries}
