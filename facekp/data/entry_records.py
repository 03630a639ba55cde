"""Records from the entries of annotation files: image, box, group, points in the scheme's order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facekp.core.alignment import complete_shapes
from facekp.core.errors import ConfigError, DataError, skip_or_raise
from facekp.core.geometry import box_of_points, image_box
from facekp.core.image import image_size
from facekp.core.landmarks import LandmarkScheme
from facekp.data.annotation_scheme import columns_of
from facekp.data.formats.base import AnnotationFile, FaceEntry
from facekp.data.image_files import ImageFinder
from facekp.data.records import FaceRecord

BOXES = ("annotation", "points", "image")
"""Where a face's box can come from."""


@dataclass(frozen=True, eq=False)
class Source:
    """A file that has been read, with the split that it is for.

    Args:
        split: `train`, `val` or `test`; faces of a `train` file may name another themselves.
        path: of the file.
        content: of the file.
        folders: where its images are.
        upright: see `FaceRecord`.
    """

    split: str
    path: Path
    content: AnnotationFile
    folders: list[Path]
    upright: bool


@dataclass(frozen=True, eq=False)
class RecordBuilder:
    """Makes records of a file's entries.

    Args:
        scheme: of the points.
        box: one of `BOXES`; None: the first of them that a face has.
        group_pattern: regular expression on the image's name, whose first group is the record's;
            None: what the entry says, else its image.
        problems: broken entries are skipped and their errors appended here; None: the first one is
            raised.
        file_splits: whether entries of a file for training may name their split; else only the
            test.
    """

    scheme: LandmarkScheme
    box: str | None = None
    group_pattern: re.Pattern[str] | None = None
    problems: list[DataError] | None = None
    file_splits: bool = True

    def records(self, source: Source, notes: list[str]) -> list[tuple[str, FaceRecord, str]]:
        """(split, record, source of its box) of each face of a file.

        Args:
            source: the file.
            notes: what should be known of the images is appended.

        Raises:
            DataError: a broken entry, or an image that is missing.
        """
        finder = ImageFinder(source.folders)
        order = columns_of(source.path, source.content, self.scheme)
        # Points that are in the scheme's order are not copied.
        columns = None if order.tolist() == list(range(self.scheme.count)) else order
        if not source.content.named and 0 < len(order) < self.scheme.count:
            names = source.content.names
            notes.append(
                f"{source.path.name} has {len(order)} of the {self.scheme.count} points of "
                f"{self.scheme.name}, by their numbers ({names[0]} to {names[-1]})"
            )
        entries = source.content.faces
        outlines = [entry.keypoints for entry in entries]
        if self.box in (None, "points") and any(np.isnan(points).any() for points in outlines):
            outlines = list(complete_shapes(np.array(outlines)))
        found = []
        for entry, outline in zip(entries, outlines, strict=True):
            try:
                image = _find_image(entry, finder)
                bbox, box = self._box(entry, outline, image, source.upright)
                record = self._record(entry, image, bbox, source, columns)
                found.append((self._split(entry, source), record, box))
            except DataError as error:
                skip_or_raise(error, self.problems)
        if finder.guessed:
            name, path = finder.guessed
            notes.append(f"images found by their file names alone, e.g. {name} as {path}")
        return found

    def _split(self, entry: FaceEntry, source: Source) -> str:
        counts = self.file_splits or entry.split in ("test", "predict")
        return entry.split if source.split == "train" and entry.split and counts else source.split

    def _record(
        self,
        entry: FaceEntry,
        image: Path,
        bbox: np.ndarray,
        source: Source,
        columns: np.ndarray | None,
    ) -> FaceRecord:
        keypoints, occluded = entry.keypoints, entry.occluded
        if columns is not None:
            keypoints = np.full((self.scheme.count, 2), np.nan)
            keypoints[columns] = entry.keypoints
        if columns is not None and occluded is not None:
            occluded = np.zeros(self.scheme.count, bool)
            occluded[columns] = entry.occluded
        name = str(entry.image).replace("\\", "/") if isinstance(entry.image, str) else image.name
        labelled = bool(np.isfinite(keypoints).any())
        return FaceRecord(
            image=image,
            bbox=bbox,
            keypoints=keypoints if labelled else None,
            name=name,
            group=self._group(entry, name, image, source.path),
            subset=image.parent.name,
            origin=(entry.file, entry.line),
            size=entry.size,
            upright=source.upright,
            occluded=occluded,
            tags=entry.tags,
        )

    def _box(
        self, entry: FaceEntry, outline: np.ndarray, image: Path, upright: bool
    ) -> tuple[np.ndarray, str]:
        """A face's box (4,) and where it comes from.

        `outline` (K, 2) are its points, missing ones where the mean shape has them: a face without
        its chin would else have a smaller box.
        """
        if self.box in (None, "annotation") and entry.bbox is not None:
            return entry.bbox, "annotation"
        if self.box == "annotation":
            remedy = "add it, or let dataset.box=points or image make it"
            raise entry.error(f"{entry.image}: the entry has no box", remedy)
        enough = np.isfinite(entry.keypoints).all(axis=1).sum() >= 3
        if self.box != "image" and enough:
            box = box_of_points(outline)
            if box is not None:
                return box, "points"
        if self.box == "points":
            remedy = "remove the entry, or choose dataset.box=image"
            raise entry.error(f"{entry.image}: fewer than three points apart", remedy)
        return image_box(entry.size or image_size(image, upright=upright)), "image"

    def _group(self, entry: FaceEntry, name: str, image: Path, annotations: Path) -> str:
        if self.group_pattern is None:
            return entry.group or str(image)
        found = self.group_pattern.search(name)
        if (found is None or found[1] is None) and isinstance(entry.image, Path):
            name = _path_inside(annotations, image)  # as no name is written in the file
            found = self.group_pattern.search(name)
        if found is None or found[1] is None:
            pattern = self.group_pattern.pattern
            remedy = "correct it, e.g. dataset.group='(.+)_[0-9]+'"
            raise entry.error(f"dataset.group={pattern} does not match {name}", remedy)
        return found[1]


def _path_inside(annotations: Path, image: Path) -> str:
    """An image's path relative to the folder of its annotations; its name if it is elsewhere."""
    folder = annotations if annotations.is_dir() else annotations.parent
    return image.relative_to(folder).as_posix() if image.is_relative_to(folder) else image.name


def _find_image(entry: FaceEntry, finder: ImageFinder) -> Path:
    if isinstance(entry.image, Path):
        return entry.image
    try:
        return finder.find(entry.image)
    except ValueError as error:
        remedy = "give dataset.images=FOLDER, or dataset.on_error=skip to leave it out"
        raise entry.error(str(error), remedy) from error


def group_rule(group: str | None) -> tuple[str | None, re.Pattern[str] | None]:
    """The column, or the regular expression, that `dataset.group` names.

    Raises:
        ConfigError: a regular expression that is broken, or has no group.
    """
    if group is None or not set("([*+?\\^$|") & set(group):
        return group, None
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise ConfigError(f"dataset.group={group}: not a regular expression ({error})") from error
    if not pattern.groups:
        raise ConfigError(f"dataset.group={group}: put parentheses around the person's part")
    return None, pattern
