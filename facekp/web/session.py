"""The state behind the annotation page: photos, their faces, and the file they are saved in."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from threading import Event, Lock, Thread

import numpy as np

from facekp.core.errors import ConflictError, DataError, FacekpError
from facekp.core.files import atomic_write, make_folder
from facekp.core.geometry import invert_affine, transform_points
from facekp.core.landmarks import LandmarkScheme
from facekp.data.formats.corrected_csv import (
    CorrectedFace,
    CorrectedPhoto,
    corrected_header,
    corrected_rows,
)
from facekp.inference.fitting import disagreement, fit_points
from facekp.inference.orientation import tilt_of, upright_transform
from facekp.inference.predictor import Predictor
from facekp.web.photo_store import PhotoStore

MAX_FACES = 1000
"""Of a photo."""
NO_FACE = 9.0
"""Disagreement of a photo in which no face was found: it comes before all others."""


@dataclass(eq=False)
class PhotoState:
    """A photo and what is known of it.

    Args:
        file: the photo.
        name: its path as it is saved.
        faces: its faces; None: they are not detected yet.
        edited: whether a person has looked through them.
        saved: whether it is written to the file: it was read from one, or edited.
        labelled: whether its faces' points come from a file.
        split: of a data set, or empty.
        group: the same.
        revision: number of changes.
        disagreement: how unsure the network is of its points, see `facekp.inference.fitting`; of
            labelled faces how far they are from the network's; None: not known yet.
        error: why the photo cannot be used.
        stored: the photo as a file has it, which is saved again until a person looks through it.
    """

    file: Path
    name: str
    faces: tuple[CorrectedFace, ...] | None = None
    edited: bool = False
    saved: bool = False
    labelled: bool = False
    split: str = ""
    group: str = ""
    revision: int = 0
    disagreement: float | None = None
    error: DataError | None = None
    stored: CorrectedPhoto | None = None
    lock: Lock = field(default_factory=Lock, repr=False)

    @classmethod
    def of(cls, file: Path, entry: CorrectedPhoto) -> PhotoState:
        """The state of a photo whose faces come from a file; no hand moved predicted ones."""
        labelled = any(face.moved for face in entry.faces) or not entry.faces
        return cls(
            file,
            str(file),
            entry.faces,
            edited=entry.edited,
            saved=entry.edited or labelled,
            labelled=labelled,
            split=entry.split,
            group=entry.group,
            disagreement=0.0 if entry.edited else None,
            stored=replace(entry, file=str(file)),
        )

    @property
    def entry(self) -> CorrectedPhoto:
        """As it is saved: without points that only the network has placed."""
        if self.stored is not None and not self.edited and not self.stored.edited:
            return self.stored
        return CorrectedPhoto(self.name, self.faces or (), self.edited, self.split, self.group)


class AnnotationSession:
    """Photos that a person corrects; every change is saved before it is confirmed.

    Args:
        photos: in order.
        scheme: of the points.
        predictor: finds faces and fits points.
        path: the file that is written.
        box_source: what the boxes are, see `Detector.name`.
        others: photos of the file that are not among the photos, and stay in it.
        mean_shape: (K, 2) points relative to a box's left top and sides, for schemes whose points
            the network does not predict.
    """

    def __init__(
        self,
        photos: Sequence[PhotoState],
        scheme: LandmarkScheme,
        predictor: Predictor,
        path: Path,
        box_source: str,
        others: Sequence[CorrectedPhoto] = (),
        mean_shape: np.ndarray | None = None,
    ) -> None:
        self.photos, self.scheme, self.predictor = list(photos), scheme, predictor
        self.path, self.box_source = path, box_source
        self.store = PhotoStore([photo.file for photo in self.photos])
        self.columns = matching_points(predictor.point_names, scheme.point_names)
        self._mean_shape = mean_shape
        rows = (corrected_rows(photo, scheme.count, box_source) for photo in others)
        self._others, self.others_count = "".join(rows), len(others)
        self._rows: dict[int, str] = {}
        self._saving, self._stamp = Lock(), _stamp(path)
        self._ended = Event()
        self._analysis: Thread | None = None

    @cached_property
    def root(self) -> str:
        """The folder that all photos are in."""
        return os.path.commonpath([photo.file.absolute().parent for photo in self.photos])

    @property
    def edited_count(self) -> int:
        """Photos that a person has looked through."""
        return sum(photo.edited for photo in self.photos)

    @property
    def analysed_count(self) -> int:
        """Photos whose faces and disagreement are known, or that cannot be used."""
        return sum(p.disagreement is not None or p.error is not None for p in self.photos)

    def start_analysis(self) -> None:
        """Look at all photos in a thread, to know in which the network is least sure."""
        self._analysis = Thread(target=self._analyse, daemon=True)
        self._analysis.start()

    def end(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._analysis is not None:
            self._analysis.join()

    def _analyse(self) -> None:
        for number, photo in enumerate(self.photos):
            if self._ended.is_set():
                return
            if photo.disagreement is None:
                with suppress(FacekpError):  # it is kept in `photo.error`
                    self.open(number)

    def open(self, number: int) -> PhotoState:
        """A photo; its faces are detected if they are not known.

        Raises:
            DataError: it cannot be read.
        """
        photo = self.photos[number]
        with photo.lock:
            if photo.error is not None:
                raise photo.error
            if photo.faces is not None and photo.disagreement is not None:
                return photo
            try:
                image = self.store.pixels(number)
                if photo.faces is None:
                    photo.faces = self._detected(image)
                elif not photo.edited:
                    photo.faces = tuple(self._with_points(image, face) for face in photo.faces)
                photo.disagreement = self._disagreement(image, photo)
            except DataError as error:
                photo.error = error
                raise
        return photo

    def _detected(self, image: np.ndarray) -> tuple[CorrectedFace, ...]:
        found = self.predictor.detect(image)
        boxes = self.predictor.training_boxes(found)
        angles = [tilt_of(found, at) for at in range(len(boxes))]
        if self.columns is None:
            shapes = [self._placed(*face) for face in zip(boxes, angles, strict=True)]
        else:
            points = self.predictor.predict_tilted(
                (image, box, angle) for box, angle in zip(boxes, angles, strict=True)
            )
            shapes = [self._in_scheme(*face) for face in zip(points, boxes, angles, strict=True)]
        return tuple(
            CorrectedFace(box, shape, angle, float(score))
            for box, shape, angle, score in zip(boxes, shapes, angles, found.scores, strict=True)
        )

    def _with_points(self, image: np.ndarray, face: CorrectedFace) -> CorrectedFace:
        """A face whose points are fitted if it has none."""
        if self.columns is None or np.isfinite(face.keypoints).any():
            return face
        return replace(face, keypoints=self._fitted(image, face.bbox, face.angle))

    def _disagreement(self, image: np.ndarray, photo: PhotoState) -> float:
        faces = photo.faces or ()
        if not faces:
            return 0.0 if photo.labelled else NO_FACE
        if self.columns is None:
            return 0.0
        boxes, angles = np.array([f.bbox for f in faces]), np.array([f.angle for f in faces])
        if not photo.labelled:
            return float(disagreement(self.predictor, image, boxes, angles).max())
        return max(self._distance(image, face) for face in faces)

    def _distance(self, image: np.ndarray, face: CorrectedFace) -> float:
        """Mean distance of a face's points from the network's, in sides of the box."""
        points = fit_points(self.predictor, image, face.bbox, face.angle)
        known = face.keypoints[self.columns]
        distances = np.linalg.norm(points - known, axis=1)
        side = float((face.bbox[2:] - face.bbox[:2]).mean())
        return 0.0 if np.isnan(distances).all() else float(np.nanmean(distances)) / side

    def fit(self, number: int, box: np.ndarray, angle: float) -> np.ndarray:
        """Points (K, 2) of a face in a box that was drawn in a photo.

        Args:
            number: of the photo.
            box: (4,) see `CorrectedFace`.
            angle: the same.

        Raises:
            DataError: the photo cannot be read.
        """
        if self.columns is None:
            return self._placed(box, angle)
        return self._fitted(self.store.pixels(number), box, angle)

    def _fitted(self, image: np.ndarray, box: np.ndarray, angle: float) -> np.ndarray:
        return self._in_scheme(fit_points(self.predictor, image, box, angle), box, angle)

    def _in_scheme(self, points: np.ndarray, box: np.ndarray, angle: float) -> np.ndarray:
        if len(points) == self.scheme.count:
            shape = np.empty((self.scheme.count, 2))
        else:
            shape = self._placed(box, angle)
        shape[self.columns] = points
        return shape

    def _placed(self, box: np.ndarray, angle: float) -> np.ndarray:
        """The mean shape in a tilted face's box; without one, points on a circle."""
        shape = self._mean_shape
        if shape is None or np.isnan(shape).any():
            turn = 2 * np.pi * np.arange(self.scheme.count) / self.scheme.count
            shape = 0.5 + 0.35 * np.column_stack([np.sin(turn), -np.cos(turn)])
        placed = box[:2] + shape * (box[2:] - box[:2])
        return transform_points(invert_affine(upright_transform(box, angle)), placed)

    def change(
        self, number: int, revision: int, faces: Sequence[CorrectedFace], edited: bool
    ) -> PhotoState:
        """Replace a photo's faces, and save them.

        Args:
            number: of the photo.
            revision: of the photo as it was before the change.
            faces: all of its faces.
            edited: whether a person has looked through them.

        Raises:
            ConflictError: the photo has been changed since.
            FacekpError: it cannot be saved, and is as it was.
        """
        photo = self.photos[number]
        with photo.lock:
            if photo.revision != revision:
                raise ConflictError(f"{photo.name} was changed in another window")
            before = photo.faces, photo.edited, photo.saved
            photo.faces, photo.edited = tuple(faces), edited
            photo.saved = edited or photo.labelled  # the network's own points are not kept
            try:
                self._save(number)
            except FacekpError:
                photo.faces, photo.edited, photo.saved = before
                raise
            photo.revision += 1
        return photo

    def _save(self, number: int) -> None:
        with self._saving:
            rows = dict(self._rows)
            if not rows:
                rows = {
                    at: corrected_rows(photo.entry, self.scheme.count, self.box_source)
                    for at, photo in enumerate(self.photos)
                    if photo.saved
                }
            photo = self.photos[number]
            rows.pop(number, None)
            if photo.saved:
                rows[number] = corrected_rows(photo.entry, self.scheme.count, self.box_source)
            path, stamp = self.path, _stamp(self.path)
            if stamp is not None and stamp != self._stamp:
                path = _free_name(path)
                print(f"{self.path} was changed by another program; saved from now on in {path}")
            text = [corrected_header(self.scheme.point_names)]
            text += [rows[at] for at in sorted(rows)]
            make_folder(path.parent)  # it may have been deleted
            with atomic_write(path) as stream:
                stream.write("".join([*text, self._others]).encode("utf-8", "surrogateescape"))
            self._rows, self.path, self._stamp = rows, path, _stamp(path)


def matching_points(names: Sequence[str], scheme_names: Sequence[str]) -> list[int] | None:
    """Index in a scheme of each point of a network; None if they are other points.

    Points that have only numbers are the same if there are as many.
    """
    numbered = all(map(str.isdigit, names)) or all(map(str.isdigit, scheme_names))
    if numbered:
        return list(range(len(names))) if len(names) == len(scheme_names) else None
    if not set(names) <= set(scheme_names):
        return None
    return [list(scheme_names).index(name) for name in names]


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a file does; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _free_name(path: Path) -> Path:
    stem, number = re.sub(r"_\d+$", "", path.stem), 2
    while (free := path.with_name(f"{stem}_{number}{path.suffix}")).exists():
        number += 1
    return free
