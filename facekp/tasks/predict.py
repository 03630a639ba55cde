"""Predicting keypoints on photos and videos."""

from __future__ import annotations

import csv
import glob
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from facekp.core.errors import ConfigError, DataError, FacekpError
from facekp.core.files import atomic_write_text
from facekp.core.image import MAX_PIXELS, count_pages, image_size, read_image
from facekp.core.progress import with_progress
from facekp.data.formats.predictions_csv import BOX_COLUMNS, point_columns
from facekp.data.formats.recognition import writable_format
from facekp.data.records import FaceRecord
from facekp.data.writing import write_annotations
from facekp.inference.annotations import FaceAnnotations
from facekp.inference.faces import Face
from facekp.inference.predictor import Predictor
from facekp.tasks.common import output_folder, read_annotations
from facekp.visualization.overlay import draw_faces, save_image
from facekp.visualization.video import VideoWriter

T = TypeVar("T")

PHOTO_SUFFIXES = {
    ".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm",
    ".pgm",
}  # fmt: skip
VIDEO_SUFFIXES = {
    ".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".3gp", ".ogv",
}  # fmt: skip
COLUMNS = ["file", "frame", "face", *BOX_COLUMNS, "score", "box_source", "picture"]
CHUNK = 8
"""Photos in memory at once."""


def predict(
    predictor: Predictor,
    input: str | Sequence[str] | None,  # noqa: A002  # the command line's name
    boxes: str | None,
    output: str,
    format: str | None = None,  # noqa: A002  # the same
) -> None:
    """Predict the points of all faces in photos or videos.

    Writes `predictions.csv` (one row per face: file, frame, face, box, score, source of the box,
    name of the picture, x and y of each point in pixels of the photo), and for each input a picture
    or video with the points; with `format` also the faces of all photos as annotations.

    Args:
        predictor: of the network.
        input: photo, folder, glob, or video, or a list of these.
        boxes: dlib XML or CSV with face boxes in place of the detector's, see `read_annotations`.
        output: folder of the files.
        format: of annotations, `coco`, `csv`, `dlib` or `pts`; None: none are written.

    Raises:
        FacekpError: the input cannot be used; or, after all others were processed, some files could
            not be read.
    """
    annotation_format = writable_format(format) if format else None
    annotations = read_annotations(boxes) if boxes else None
    files = find_inputs(input)
    if annotations is not None and any(file.suffix.lower() in VIDEO_SUFFIXES for file in files):
        raise ConfigError(f"boxes={boxes}: boxes are for photos; a video needs the detector")
    if annotations is None:
        _ = predictor.detector  # a detector that cannot be loaded is not the first photo's fault
    run = _Prediction(predictor, annotations, output_folder(output))
    path = run.folder / "predictions.csv"
    total = 0
    records: list[FaceRecord] = []
    scores: list[float] = []
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream:
        table = csv.writer(stream)
        scheme = predictor.scheme.subset(predictor.points)
        table.writerow([*COLUMNS, *point_columns(scheme.point_names)])
        for image in run.images(files):
            total += len(image.faces)
            if not image.frame:
                records += image.records()
                scores += [face.score for face in image.faces]
            table.writerows(image.rows())
            if not image.faces:
                frame = f" frame {image.frame}" if image.frame else ""
                print(f"{image.file}{frame}: {image.why_empty}")
    if annotations is not None and (unused := annotations.unused_files()):
        print(f"{boxes}: {len(unused)} files have boxes and are not among the input: {unused[:5]}")
    print(f"{total} faces in {len(files) - len(run.failed)} files: {path}")
    if annotation_format is not None:
        target = run.folder / f"annotations{annotation_format.suffix}"
        root = write_annotations(annotation_format, target, records, scheme, scores=scores)
        atomic_write_text(run.folder / "landmarks.yaml", scheme.to_yaml())
        images = "" if format == "pts" else f" dataset.images={root}"
        print(f"{len(records)} faces of photos as annotations: dataset.train={target}{images}")
    if run.failed:
        named = " | ".join(run.failed[:5]) + (" | ..." if len(run.failed) > 5 else "")
        raise FacekpError(f"{len(run.failed)} of {len(files)} files skipped: {named}")


def find_inputs(paths: str | Sequence[str] | None) -> list[Path]:
    """Photo and video files named by paths, folders (not recursively) and globs, each once.

    Raises:
        ConfigError: nothing was given or found.
    """
    if not paths:
        raise ConfigError("input= is missing: give a photo, folder, glob or video")
    found: dict[Path, Path] = {}  # by resolved path
    for entry in [paths] if isinstance(paths, str | int) else list(paths):
        path = Path(str(entry))
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if p.is_file())
            named = [p for p in files if p.suffix.lower() in PHOTO_SUFFIXES | VIDEO_SUFFIXES]
            others = [p.name for p in files if p not in named]
            if others:
                print(f"{path}: {len(others)} files are no photos or videos by name: {others[:5]}")
        elif path.exists():
            named = [path]
        else:
            # Path.glob does not take an absolute pattern.
            names = sorted(glob.glob(str(entry), recursive=True))  # noqa: PTH207
            named = [Path(name) for name in names if Path(name).is_file()]
        if not named:
            raise ConfigError(f"input={entry}: no photo or video there")
        for file in named:
            found.setdefault(file.resolve(), file)
    return list(found.values())


@dataclass(frozen=True)
class _Image:
    """A photo, or a frame of a video, with its faces."""

    file: Path
    frame: int
    """From 1; 0 for a photo."""
    faces: list[Face]
    picture: str
    """File name of the picture with the points."""
    why_empty: str

    def rows(self) -> Iterator[list[Any]]:
        """Rows of `predictions.csv`."""
        for number, face in enumerate(self.faces):
            box = [f"{value:.3f}" for value in (*face.bbox, face.score)]
            points = [f"{value:.3f}" for value in face.keypoints.ravel()]
            start = [self.file, self.frame, number, *box, face.box_source, self.picture]
            yield [*start, *points]

    def records(self) -> list[FaceRecord]:
        """The faces as annotations."""
        name = str(self.file)
        return [
            FaceRecord(
                image=self.file,
                bbox=face.bbox,
                keypoints=face.keypoints,
                name=name,
                group=name,
                subset="",
                origin=(self.file, None),
                upright=True,
            )
            for face in self.faces
        ]


@dataclass(frozen=True, eq=False)
class _Photo:
    """A photo in memory, and the boxes that are known of it."""

    file: Path
    pixels: np.ndarray
    boxes: np.ndarray | None


class _Prediction:
    """Processes photos and videos, draws the points, and collects errors."""

    def __init__(
        self, predictor: Predictor, annotations: FaceAnnotations | None, folder: Path
    ) -> None:
        self.predictor, self.annotations, self.folder = predictor, annotations, folder
        self.failed: list[str] = []
        self.names: set[str] = set()

    def images(self, files: list[Path]) -> Iterator[_Image]:
        """All photos, then the frames of all videos."""
        videos = [file for file in files if file.suffix.lower() in VIDEO_SUFFIXES]
        stills = [file for file in files if file not in videos]
        for chunk in _chunks(with_progress(stills, len(stills), "photos"), _pixel_count):
            yield from self._photos(chunk)
        for video in videos:
            with self._reported(video):
                yield from self._frames(video)

    @contextmanager
    def _reported(self, file: Path) -> Iterator[None]:
        """Report an error with one file, so that the others are processed."""
        try:
            yield
        except ConfigError:
            raise  # of the network or a setting, not of a file
        except Exception as error:
            text = str(error) if isinstance(error, DataError) else f"{file}: {error!r}"
            self.failed.append(text)
            print(f"skipped: {text}")

    def _photos(self, files: list[Path]) -> Iterator[_Image]:
        """Photos that fit into memory together."""
        photos: list[_Photo] = []
        for file in files:
            with self._reported(file):
                boxes = None if self.annotations is None else self.annotations.boxes_for(file)
                photos.append(_Photo(file, read_image(file, upright=True), boxes))
                if (count := count_pages(file)) > 1:
                    print(f"{file}: only the first of its {count} images is used")
        for photo, faces in self._predicted(photos):
            with self._reported(photo.file):
                name = self._free_name(photo.file, ".png")
                picture = draw_faces(photo.pixels, faces, self.predictor.scheme)
                save_image(self.folder / name, picture)
                why = "no face found"
                if self.annotations is not None and photo.boxes is None:
                    why = f"not in {self.annotations.path}"
                yield _Image(photo.file, 0, faces, name, why)

    def _predicted(self, photos: list[_Photo]) -> Iterator[tuple[_Photo, list[Face]]]:
        """Photos with their faces, without those that fail."""
        try:
            faces = self._faces(photos)
        except ConfigError:
            raise
        except Exception:  # one of them failed; process each alone
            for photo in photos:
                with self._reported(photo.file):
                    yield photo, self._faces([photo])[0]
        else:
            yield from zip(photos, faces, strict=True)

    def _faces(self, photos: list[_Photo]) -> list[list[Face]]:
        images = [photo.pixels for photo in photos]
        if self.annotations is None:
            return self.predictor(images)
        boxes = [np.empty((0, 4)) if photo.boxes is None else photo.boxes for photo in photos]
        return self.predictor(images, boxes, self.annotations.box_source)

    def _frames(self, file: Path) -> Iterator[_Image]:
        """The frames of a video, which is also written with its points."""
        reader = cv2.VideoCapture(str(file))
        writer: VideoWriter | None = None
        name = self._free_name(file, ".mp4")
        with ExitStack() as stack:
            stack.callback(reader.release)
            stated = int(reader.get(cv2.CAP_PROP_FRAME_COUNT))
            rate = reader.get(cv2.CAP_PROP_FPS) or 25.0
            total = stated if stated > 0 else None
            number = 0
            for chunk in _chunks(with_progress(_decoded(reader), total, f"{file.name} frames")):
                for frame, faces in zip(chunk, self.predictor(chunk), strict=True):
                    number += 1
                    if writer is None:
                        path = self.folder / name
                        writer = stack.enter_context(VideoWriter(path, frame.shape[:2], rate))
                    writer.write(draw_faces(frame, faces, self.predictor.scheme))
                    yield _Image(file, number, faces, name, "no face found")
            if number == 0:
                raise DataError(file, "not a video that can be decoded", "convert it to mp4")
            if number < stated:
                # Also sound files: some count by the length of the longest track.
                print(f"{file}: {number} frames were read; its header states {stated}")

    def _free_name(self, file: Path, suffix: str) -> str:
        """A name for the picture of `file`, also if two inputs have the same name."""
        name, number = f"{file.stem}{suffix}", 1
        while name in self.names:
            number += 1
            name = f"{file.stem}_{number}{suffix}"
        self.names.add(name)
        return name


def _chunks(items: Iterable[T], pixels: Callable[[T], int] = lambda _: 0) -> Iterator[list[T]]:
    """Lists of up to `CHUNK` items that together have at most `MAX_PIXELS` pixels."""
    chunk: list[T] = []
    held = 0
    for item in items:
        count = pixels(item)
        if chunk and (len(chunk) == CHUNK or held + count > MAX_PIXELS):
            yield chunk
            chunk, held = [], 0
        chunk.append(item)
        held += count
    if chunk:
        yield chunk


def _pixel_count(file: Path) -> int:
    try:
        return math.prod(image_size(file))
    except DataError:
        return 0  # reading it reports the problem


def _decoded(reader: cv2.VideoCapture) -> Iterator[np.ndarray]:
    while True:
        success, frame = reader.read()
        if not success:
            return
        yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
