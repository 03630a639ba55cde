"""What is made of corrected photos: morphs, drawn photos, annotations, the command that trains."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from facekp.core.conf import CONF
from facekp.core.errors import ConfigError
from facekp.core.files import atomic_write_text
from facekp.core.image import read_image
from facekp.core.landmarks import bundled_schemes
from facekp.data.formats.recognition import writable_format, writable_formats
from facekp.data.writing import not_written
from facekp.inference.faces import Face
from facekp.tasks.common import output_folder
from facekp.tasks.morph import MorphSettings, morph
from facekp.tasks.written_annotations import photo_record, write_face_annotations
from facekp.visualization.overlay import draw_faces, save_image

if TYPE_CHECKING:
    from facekp.web.session import AnnotationSession, PhotoState

MORPHS = ("morph", "midway", "mean")


class Products:
    """Pictures, videos and annotations of what was corrected so far."""

    def __init__(self, session: AnnotationSession, folder: Path) -> None:
        self._session, self._folder = session, folder
        self._notes: list[str] = []
        self._makers: dict[str, Callable[[Sequence[int]], Path]] = {"drawn": self._drawn}
        predictor = session.predictor
        whole = predictor.description.covers_scheme
        if whole and predictor.scheme.point_names == session.scheme.point_names:
            self._makers |= {name: self._morph(name) for name in MORPHS}
        self._makers |= {name: self._annotations(name) for name in writable_formats()}

    @property
    def names(self) -> list[str]:
        """What can be made."""
        return list(self._makers)

    def make(self, name: str, numbers: Sequence[int]) -> tuple[Path, list[str]]:
        """Make a picture, video or file; gives its path, and what the user should know.

        Args:
            name: one of `names`.
            numbers: of the photos; none: all that were looked through.

        Raises:
            FacekpError: it cannot be made.
        """
        self._notes = []
        if (others := self._session.others_count) and not numbers:
            self._notes.append(
                f"left out: {others} photos of {self._session.path} that are not in this session; "
                "start it with all photos in input= to have them in"
            )
        return self._makers[name](numbers), self._notes

    def _chosen(self, numbers: Sequence[int]) -> list[PhotoState]:
        photos = self._session.photos
        return [photos[n] for n in numbers] or [photo for photo in photos if photo.edited]

    def _drawn(self, numbers: Sequence[int]) -> Path:
        number = numbers[0] if numbers else 0
        photo = self._session.open(number)
        drawn = [
            Face(face.bbox, face.keypoints, face.score, self._session.box_source)
            for face in photo.faces or ()
        ]
        path = self._folder / f"{number + 1:04d}_{photo.file.stem[:50]}_points.jpg"
        image = read_image(photo.file, upright=True)
        save_image(path, draw_faces(image, drawn, self._session.scheme), 95)
        return path

    def _morph(self, name: str) -> Callable[[Sequence[int]], Path]:
        def make(numbers: Sequence[int]) -> Path:
            chosen = self._chosen(numbers)
            unknown = [photo.name for photo in chosen if not photo.saved]
            if unknown:
                raise ConfigError(f"{unknown[0]} is not corrected yet; press Enter on it first")
            product = {"midway": name == "midway", "mean": name == "mean"}
            settings = MorphSettings(**_morph_defaults() | product)
            path = self._folder / f"{name}{'.mp4' if name == 'morph' else '.png'}"
            files = [str(photo.file) for photo in chosen]
            session = self._session
            if len(files) < 2:
                raise ConfigError("two corrected photos are needed; press Enter on each")
            find = str(session.path), "largest", "given"
            try:
                return morph(
                    session.predictor, files, *find, settings, str(path), self._notes.append
                )
            except ConfigError as error:
                raise ConfigError(". ".join([str(error), *self._notes])) from error

        return make

    def _annotations(self, name: str) -> Callable[[Sequence[int]], Path]:
        def make(_numbers: Sequence[int]) -> Path:
            saved = [p for p in self._session.photos if p.saved]
            faces = [(photo, face) for photo in saved for face in photo.faces or ()]
            if not faces:
                raise ConfigError("no photo is corrected yet; press Enter on each")
            every = np.arange(self._session.scheme.count)
            records = [
                photo_record(
                    photo.file,
                    face.bbox,
                    face.keypoints,
                    np.isin(every, list(face.occluded)),
                    photo.group,
                )
                for photo, face in faces
            ]
            annotation_format = writable_format(name)
            self._notes += not_written(annotation_format, records)
            folder = output_folder(str(self._folder / name))
            return write_face_annotations(
                folder,
                annotation_format,
                records,
                [f.score for _, f in faces],
                self._session.scheme,
            )

        return make


def _morph_defaults() -> dict[str, Any]:
    """The settings of task=morph."""
    entries = yaml.safe_load((CONF / "task/morph.yaml").read_text(encoding="utf-8"))
    return {field.name: entries[field.name] for field in fields(MorphSettings)}


def train_command(session: AnnotationSession, folder: Path) -> str:
    """The command that trains on a session's file.

    Args:
        session: with photos that were looked through.
        folder: gets the landmark scheme, if it is not a bundled one.
    """
    scheme = session.scheme
    landmarks = scheme.name
    if bundled_schemes().get(landmarks) != scheme:
        file = folder / "landmarks.yaml"
        if not file.exists() or file.read_text(encoding="utf-8") != scheme.to_yaml():
            atomic_write_text(file, scheme.to_yaml())
        landmarks = str(file)
    root = session.root
    settings = {
        "dataset": "annotations",
        "dataset.train": session.path,
        "dataset.images": os.path.relpath(root) if Path(root).is_relative_to(Path.cwd()) else root,
        "dataset.landmarks": landmarks,
        "init_from": "ibug68",
    }
    return " ".join(
        ["python train.py", *(shlex.quote(f"{name}={value}") for name, value in settings.items())]
    )
