"""Photos with known faces, from which annotating by hand starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from facekp.core.errors import ConfigError, DataError
from facekp.core.geometry import (
    apply_box_prior,
    bounding_box,
    box_of_points,
    image_box,
    transform_boxes,
    transform_points,
)
from facekp.core.image import exif_transform, image_size
from facekp.core.landmarks import LandmarkScheme
from facekp.core.path_index import PathIndex
from facekp.data.annotation_scheme import columns_of
from facekp.data.formats.base import ReadOptions
from facekp.data.formats.corrected_csv import (
    CorrectedFace,
    CorrectedPhoto,
    is_corrected_csv,
    read_corrected_csv,
)
from facekp.data.formats.predictions_csv import has_box_columns, read_predictions_csv
from facekp.data.formats.recognition import read_annotation_file
from facekp.data.records import FaceRecord


class StartingPoints:
    """Faces of a file, looked up by photo.

    Args:
        path: `corrected.csv`, `predictions.csv`, or annotations of any format.
        scheme: of the points.
        box_prior: (4,) a face's box relative to its points' bounding box; None: with a margin.
        training_box: converts a box of some source, see `Predictor.training_box`; None: boxes are
            taken as they are.

    Raises:
        DataError: it cannot be read, or has other points.
    """

    def __init__(
        self,
        path: Path,
        scheme: LandmarkScheme,
        box_prior: np.ndarray | None,
        training_box: Callable[[np.ndarray, str, float], np.ndarray] | None,
    ) -> None:
        self.path, self._scheme, self._prior = path, scheme, box_prior
        self._training_box = training_box
        self._stored = False
        self._index: PathIndex[CorrectedPhoto] = PathIndex(path.parent)
        for photo in self._photos():
            self._index.add_file(photo.file).append(photo)

    def others(self) -> list[CorrectedPhoto]:
        """Photos of the file that were not looked up."""
        return self._index.unused_items()

    def expect(self, files: Iterable[Path]) -> None:
        """Tell which photos will be looked up, so that no entry is taken for two of them."""
        self._index.expect(files)

    def find(self, file: Path) -> CorrectedPhoto | None:
        """What is known of a photo; None if nothing is.

        Raises:
            DataError: the photo cannot be opened, or its entry may mean another one.
        """
        found = self._index.find(file)
        if not found:
            return None
        photo = found[0]
        faces = tuple(face for part in found for face in part.faces)
        if self._stored:
            matrix = exif_transform(file)
            faces = tuple(transformed(face, matrix) for face in faces)
        return replace(photo, faces=tuple(_with_box(face, file) for face in faces))

    def _photos(self) -> Iterator[CorrectedPhoto]:
        if is_corrected_csv(self.path):
            yield from read_corrected_csv(self.path, self._scheme.point_names)
            return
        if has_box_columns(self.path):
            for row in read_predictions_csv(self.path, self._scheme.point_names):
                box = row.bbox
                if box is not None and self._training_box is not None and row.box_source:
                    try:
                        box = self._training_box(box, row.box_source, row.angle)
                    except ConfigError as error:
                        problem = f"{row.file}: {error}"
                        remedy = "give the network or the detector= that found it, or correct it"
                        raise DataError(self.path, problem, remedy) from error
                try:
                    faces = () if box is None else (CorrectedFace(box, row.keypoints, row.angle),)
                except ValueError as error:
                    problem = f"{row.file}: {error}"
                    raise DataError(self.path, problem, "correct the row, or remove it") from error
                yield CorrectedPhoto(row.file, faces)
            return
        content, annotation_format = read_annotation_file(self.path, ReadOptions())
        self._stored = not annotation_format.upright
        columns = columns_of(self.path, content, self._scheme)
        for entry in content.faces:
            points = np.full((self._scheme.count, 2), np.nan)
            points[columns] = entry.keypoints
            occluded = np.zeros(self._scheme.count, bool)
            if entry.occluded is not None:
                occluded[columns] = entry.occluded
            bbox = entry.bbox if entry.bbox is not None else self._box(points)
            try:
                face = labelled_face(bbox, points, occluded)
            except ValueError as error:
                raise entry.error(f"{entry.image}: {error}", "correct the entry") from error
            group = entry.group or ""
            yield CorrectedPhoto(str(entry.image), (face,), split=entry.split, group=group)

    def _box(self, points: np.ndarray) -> np.ndarray:
        """A box (4,) of points (K, 2); without two points apart it is `_WHOLE`."""
        box = box_of_points(points)
        if box is None:
            return _WHOLE
        if self._prior is not None and np.isfinite(points).all():
            return apply_box_prior(bounding_box(points), self._prior)
        return box


_WHOLE = np.array([0.0, 0.0, 1e-2, 1e-2])
"""In place of the box of a face that fills its photo, whose size is not known yet."""


def _with_box(face: CorrectedFace, file: Path) -> CorrectedFace:
    if face.bbox is not _WHOLE:
        return face
    return replace(face, bbox=image_box(image_size(file, upright=True)))


def transformed(face: CorrectedFace, matrix: np.ndarray) -> CorrectedFace:
    """A face under a transform (2, 3) from pixels as stored to the upright photo."""
    if face.bbox is _WHOLE:
        return face
    return replace(
        face,
        bbox=transform_boxes(matrix, face.bbox),
        keypoints=transform_points(matrix, face.keypoints),
    )


def photos_of_records(
    splits: dict[str, list[FaceRecord]], count: int
) -> dict[Path, CorrectedPhoto]:
    """The photos of a data set with their faces, upright; labels count as placed by hand.

    Args:
        splits: the faces.
        count: number of points; a face without labels lacks all of them.

    Raises:
        DataError: a photo cannot be opened.
    """
    photos: dict[Path, CorrectedPhoto] = {}
    for split, records in splits.items():
        for record in records:
            points = np.full((count, 2), np.nan)
            if record.keypoints is not None:
                points[:] = record.keypoints
            face = labelled_face(np.asarray(record.bbox, float), points, record.occluded)
            if not record.upright:
                face = transformed(face, exif_transform(record.image))
            known = photos.get(record.image)
            group = "" if record.group == str(record.image) else record.group
            photos[record.image] = CorrectedPhoto(
                str(record.image), (*(known.faces if known else ()), face), False, split, group
            )
    return photos


def labelled_face(
    bbox: np.ndarray, points: np.ndarray, occluded: np.ndarray | None
) -> CorrectedFace:
    """A face whose points (K, 2) were placed by hand, so that no fit moves them."""
    hidden = np.zeros(len(points), bool) if occluded is None else occluded
    present = np.isfinite(points).all(axis=1)
    return CorrectedFace(
        bbox,
        points,
        moved=frozenset(np.flatnonzero(present).tolist()),
        occluded=frozenset(np.flatnonzero(hidden & present).tolist()),
    )
