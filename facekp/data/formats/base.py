"""What a reader of annotations gives: face entries, and what the file says of their points."""

from __future__ import annotations

import codecs
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from facekp.core.errors import ConfigError, DataError, skip_or_raise
from facekp.core.geometry import MAX_PIXEL, Size, sound_boxes
from facekp.core.landmarks import LandmarkScheme

HEAD = 65_536
"""Characters of a file's beginning by which its format is recognised."""
CORNER = 0.5
"""From the corner of the top-left pixel, where some formats count from, to its centre."""
MAX_BYTES = 1_000_000_000
"""Of an annotation file."""
SPLITS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
    "predict": "predict",
}  # fmt: skip
"""Names of splits as people write them."""


@dataclass(frozen=True, eq=False, slots=True)
class FaceEntry:
    """One annotated face.

    Args:
        image: the image's name as written, to be looked up; or its path, where the format says
            exactly where it is.
        keypoints: (K, 2) in facekp's pixels, nan for missing points.
        bbox: (4,) `xyxy`, if the file has one.
        file: the file with the entry.
        line: its line there, if there are lines.
        size: (height, width) of the image, if the file states it.
        occluded: (K,) bool, annotated but hidden points; None if the file does not say.
        split: `train`, `val`, `test` or `predict`, if the file says it.
        group: of the person or photo, if the file says it.
        tags: subsets that the face belongs to, e.g. `large pose`.
    """

    image: str | Path
    keypoints: np.ndarray
    file: Path
    bbox: np.ndarray | None = None
    line: int | None = None
    size: Size | None = None
    occluded: np.ndarray | None = None
    split: str = ""
    group: str | None = None
    tags: tuple[str, ...] = ()

    def error(self, problem: str, remedy: str) -> DataError:
        """An error of this entry."""
        return DataError(self.file, problem, remedy, self.line)


@dataclass(eq=False)
class AnnotationFile:
    """Content of an annotation file.

    Args:
        names: of the points, in the order of `FaceEntry.keypoints`; numbers if the file has none.
        faces: its entries.
        edges: chains of indices, a skeleton, if the file has one.
        flip_pairs: if the file says them.
        scheme: the whole landmark scheme, if the format is bound to one.
        notes: what the user should know, e.g. that columns are not used.
        counted: it has neither names nor numbers of points, only their order.
    """

    names: Sequence[str]
    faces: list[FaceEntry]
    edges: tuple[tuple[int, ...], ...] = ()
    flip_pairs: tuple[tuple[int, int], ...] | None = None
    scheme: LandmarkScheme | None = None
    notes: list[str] = field(default_factory=list)
    counted: bool = False

    @property
    def named(self) -> bool:
        """Whether its points have names, not only numbers such as `12` or `part_12`."""
        return not all(map(is_numbered, self.names))


@dataclass(frozen=True)
class ReadOptions:
    """How annotations are read.

    Args:
        category: of a COCO or YOLO file with several.
        group: column with the group, or a regular expression, which is no concern of readers.
        cache_dir: for images that a file holds itself.
        problems: broken entries are skipped and their errors appended here; None: the first one is
            raised.
        boxes_alone: faces without points will do, as a detector writes them.
    """

    category: str | None = None
    group: str | None = None
    cache_dir: Path | None = None
    problems: list[DataError] | None = None
    boxes_alone: bool = False


class AnnotationFormat(ABC):
    """A format of annotations. Its subclasses are found by themselves, see `recognition`."""

    name: ClassVar[str]
    """By which `dataset.format=` chooses it."""
    example: ClassVar[str]
    """What it looks like, in two lines."""
    generic: ClassVar[bool] = False
    """Whether it recognises much, and is asked after all others."""
    upright: ClassVar[bool] = True
    """Whether points refer to the upright photo, as annotation tools show it, or to the pixels as
    stored. It matters for photos with an EXIF orientation."""

    @abstractmethod
    def recognises(self, path: Path, head: str) -> bool:
        """Whether a file or folder is of this format.

        Args:
            path: the file or folder.
            head: its first characters; empty for a folder.
        """

    @abstractmethod
    def read(self, path: Path, options: ReadOptions) -> AnnotationFile:
        """Read a file or folder.

        Raises:
            DataError: it is broken; names file, place and remedy.
            ConfigError: `options.category` is missing or unknown.
        """

    def image_folders(self, path: Path) -> list[Path]:
        """Where the images usually are: beside the annotations."""
        return [path if path.is_dir() else path.parent]


class WritableFormat(AnnotationFormat):
    """A format that can also be written."""

    suffix: ClassVar[str]
    """Of its files; empty for a folder."""
    copies_images: ClassVar[bool] = False
    """Whether the images are written, too, as they must lie beside the points."""
    holds_occlusion: ClassVar[bool] = True
    """Whether it says which points are occluded."""
    holds_groups: ClassVar[bool] = True
    """Whether it says which faces belong together."""

    @abstractmethod
    def write(self, path: Path, faces: Sequence[WrittenFace], scheme: LandmarkScheme) -> None:
        """Write faces.

        Args:
            path: the file or folder.
            faces: in this order.
            scheme: of their points.
        """


@dataclass(frozen=True, eq=False)
class WrittenFace:
    """A face to be written.

    Args:
        image: the image's path as it shall be written.
        size: (height, width) of the image.
        bbox: (4,) `xyxy`.
        keypoints: (K, 2) in facekp's pixels, nan for missing points; None if not annotated.
        occluded: (K,) bool; None if unknown.
        score: of a prediction.
        split: of a data set.
        group: the same.
        source: the image file, for formats that need it beside the annotations.
    """

    image: str
    size: Size
    bbox: np.ndarray
    keypoints: np.ndarray | None
    occluded: np.ndarray | None = None
    score: float | None = None
    split: str = ""
    group: str = ""
    source: Path | None = None

    def labels(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Points (count, 2), all nan if not annotated, and which are occluded (count,) bool."""
        points, occluded = self.keypoints, self.occluded
        return (
            np.full((count, 2), np.nan) if points is None else points,
            np.zeros(count, bool) if occluded is None else occluded,
        )


def sound_rows(
    points: np.ndarray,
    names: Sequence[str],
    places: Sequence[tuple[Path, int | None]],
    problems: list[DataError] | None,
    labels: Sequence[str] = (),
) -> np.ndarray:
    """Check points, and report rows with a coordinate that cannot be.

    Args:
        points: (N, K, 2) pixels, nan for missing points.
        names: of the K points.
        places: (file, line) of each row.
        problems: see `ReadOptions`.
        labels: what each row is called in messages; empty: the line says it.

    Returns:
        (N,) bool, True for rows without such a coordinate.

    Raises:
        DataError: a coordinate is infinite, or beyond `MAX_PIXEL`; a point has only one of x and y.
    """
    half = np.isnan(points[..., 0]) != np.isnan(points[..., 1])
    with np.errstate(invalid="ignore"):
        far = (np.abs(points) > MAX_PIXEL).any(axis=2)
    wrong = half | far
    for row in np.flatnonzero(wrong.any(axis=1)).tolist():
        at = int(wrong[row].argmax())
        x, y = points[row, at]
        problem = f"is far outside the image ({x:g}, {y:g})"
        if half[row, at]:
            problem = "has only one of x and y"
        elif np.isinf(points[row, at]).any():
            problem = "is infinite"
        problem = f"{f'{labels[row]}: ' if labels else ''}point {names[at]} {problem}"
        path, line = places[row]
        remedy = "correct it; a missing point has neither x nor y"
        skip_or_raise(DataError(path, problem, remedy, line), problems)
    return ~wrong.any(axis=1)


def split_named(text: str) -> str:
    """The split that a file names.

    Raises:
        ValueError: another word.
    """
    split = SPLITS.get(text.strip().lower())
    if split is None:
        raise ValueError(f"split {text[:40]!r}: write train, val or test")
    return split


_NUMBERED = re.compile(r"(?:part|point|pt|p|kp|keypoint|landmark|lm)?[\s_.-]*\d+", re.I)


def is_numbered(name: str) -> bool:
    """Whether a point's name is no more than its number: `12`, `part_12`, `kp12`."""
    return _NUMBERED.fullmatch(name) is not None


def number_of(name: str) -> int:
    """The number in the name of a numbered point."""
    return int(re.sub(r"\D", "", name)[:9])


def sorted_names(names: Iterable[str]) -> list[str]:
    """Each name once: numbered ones by number, others in order of appearance."""
    found = list(dict.fromkeys(names))
    return sorted(found, key=number_of) if all(map(is_numbered, found)) else found


def stated_size(height: object, width: object) -> Size | None:
    """An image's size (height, width) as a file states it; None if it does not."""
    if isinstance(height, int) and isinstance(width, int) and min(height, width) > 0:
        return height, width
    return None


def sound_box(bbox: Sequence[float] | np.ndarray) -> np.ndarray | None:
    """A box (4,) `xyxy`; None if it is empty or not finite."""
    box = np.asarray(bbox, dtype=float)
    return box if sound_boxes(box[None])[0] else None


def apply_visibility(points: np.ndarray, visibility: np.ndarray) -> np.ndarray | None:
    """Turn COCO's visibility into missing and occluded points.

    Args:
        points: (..., K, 2), in which points with visibility 0 become nan.
        visibility: (..., K) 0 not annotated, 1 occluded, 2 visible; nan: unknown, taken as visible.

    Returns:
        (..., K) bool, True for occluded points; None if there are none.
    """
    points[visibility <= 0] = np.nan
    occluded = visibility == 1
    return occluded if occluded.any() else None


def choose_category(
    path: Path, names: Mapping[int, str], used: Sequence[int], category: str | None
) -> int:
    """Id of the category that is read.

    Args:
        path: the file, for messages.
        names: of the categories with keypoints, by id.
        used: ids that have faces.
        category: name or id of the wanted one; None: the only one in use.

    Raises:
        ConfigError: there is no such category, or none was chosen of several.
        DataError: no category has keypoints.
    """
    if not names:
        raise DataError(
            path, "no category has keypoints", "export keypoint annotations, not boxes alone"
        )
    if category is not None:
        chosen = [at for at, name in names.items() if str(category) in (name, str(at))]
        if not chosen:
            choices = ", ".join(names.values())
            raise ConfigError(f"dataset.category={category}: {path} has {choices}")
        return chosen[0]
    candidates = [at for at in names if at in set(used)] or list(names)
    if len(candidates) > 1:
        choices = ", ".join(names[at] for at in candidates)
        raise ConfigError(
            f"{path} has several categories: give dataset.category=, one of {choices}"
        )
    return candidates[0]


def encoding_of(path: Path) -> str:
    """The encoding that a text file's first bytes tell: UTF-16 with its mark, else UTF-8."""
    with path.open("rb") as stream:
        start = stream.read(2)
    return "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def delimiter_of(line: str) -> str:
    """Comma, semicolon or tab: what a line of a CSV file has most of.

    As many semicolons as commas separate decimal commas.
    """
    return max("\t;,", key=line.count)


def read_head(path: Path) -> str:
    """The first `HEAD` characters of a file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open(encoding=encoding_of(path), errors="replace") as stream:
            return stream.read(HEAD)
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})", "check the path") from error


def check_size(path: Path) -> None:
    """Check that a file is not larger than `MAX_BYTES`.

    Raises:
        DataError: it is, or cannot be read.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})", "check the path") from error
    if size > MAX_BYTES:
        raise DataError(path, f"more than {MAX_BYTES:,} bytes", "split the file")


def read_json(path: Path) -> Any:
    """Content of a JSON file.

    Raises:
        DataError: it cannot be read, or is no JSON.
    """
    check_size(path)
    remedy = "restore the file, or export it again"
    try:
        return json.loads(path.read_text(encoding=encoding_of(path)))
    except json.JSONDecodeError as error:
        raise DataError(path, f"not JSON ({error.msg})", remedy, error.lineno) from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(path, f"not JSON ({' '.join(str(error).split())})", remedy) from error
