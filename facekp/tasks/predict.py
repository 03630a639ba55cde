"""Predicting keypoints on photos and videos."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facekp.core.columns import BOX_COLUMNS, point_columns
from facekp.core.errors import ConfigError, DataError, FacekpError
from facekp.core.image import count_pages, read_image
from facekp.core.progress import with_progress
from facekp.data.formats.recognition import writable_format
from facekp.inference.annotations import FaceAnnotations
from facekp.inference.detectors import DlibDetector
from facekp.inference.faces import Face, Faces
from facekp.inference.predictor import Predictor
from facekp.inference.tracking import FaceTracker, TrackedFace
from facekp.inference.video import VideoReader, check_frames
from facekp.tasks.common import is_on, output_folder
from facekp.tasks.inputs import find_inputs, is_video
from facekp.tasks.known_faces import read_annotations
from facekp.tasks.predict_video import predict_video
from facekp.visualization.overlay import draw_faces, save_image

COLUMNS = ["file", "frame", "time", "face", *BOX_COLUMNS, "angle", "score", "box_source",
           "picture"]  # fmt: skip
PICTURES = ("auto", "jpg", "png", "none")
QUALITY = 95
"""Of JPEG pictures."""


@dataclass(frozen=True)
class Options:
    """How pictures are written, and which frames of videos are used.

    Args:
        pictures: `auto` (PNG of a PNG, otherwise JPEG), `jpg`, `png` or `none`; with `none` no
            video with the points is written, either.
        every: use each n-th frame.
        start: seconds from which frames are used.
        end: seconds at which they end; None: at the end.
        smoothing: smooth points over time: a bool, `on` or `off`.

    Raises:
        ConfigError: another kind of pictures; `smoothing` is neither on nor off; frames out of
            range.
    """

    pictures: str = "auto"
    every: int = 1
    start: float = 0.0
    end: float | None = None
    smoothing: bool | str = True

    def __post_init__(self) -> None:
        if self.pictures not in PICTURES:
            raise ConfigError(f"pictures={self.pictures}: choose one of {', '.join(PICTURES)}")
        is_on("smoothing", self.smoothing)
        check_frames(self.every, self.start, self.end)

    @property
    def smooths(self) -> bool:
        """Whether points are smoothed."""
        return is_on("smoothing", self.smoothing)

    def picture_suffix(self, photo: Path) -> str:
        """Suffix of a photo's picture; empty if none is written."""
        if self.pictures == "auto":
            return ".png" if photo.suffix.lower() == ".png" else ".jpg"
        return "" if self.pictures == "none" else f".{self.pictures}"


def predict(
    predictor: Predictor,
    input: str | Sequence[str] | None,  # noqa: A002  # the command line's name
    boxes: str | None,
    output: str,
    format: str | None = None,  # noqa: A002  # the same
    options: Options | None = None,
) -> None:
    """Predict the points of all faces in photos or videos.

    Writes `predictions.csv` (one row per face: file, frame, time in seconds, number of the face,
    box, angle, score, source of the box, name of the picture, x and y of each point in pixels of
    the photo, and of videos also the points before smoothing), and for each input a picture or
    video with the points; with `format` also the faces of all photos as annotations.

    Args:
        predictor: of the network.
        input: photo, folder, glob, or video, or a list of these.
        boxes: file with face boxes in place of the detector's, see `read_annotations`.
        output: folder of the files.
        format: of annotations, `coco`, `csv`, `dlib` or `pts`; None: none are written.
        options: see `Options`.

    Raises:
        FacekpError: the input cannot be used; or, after all others were processed, some files could
            not be read.
    """
    options = options or Options()
    annotation_format = writable_format(format) if format else None
    annotations = _known_boxes(boxes, predictor.description.box_source) if boxes else None
    files = find_inputs(input)
    has_video = any(map(is_video, files))
    if annotations is not None and has_video:
        raise ConfigError(f"boxes={boxes}: boxes are for photos; a video needs the detector")
    if annotations is None:
        _ = predictor.detector  # its errors are not the first photo's
    run = _Prediction(predictor, annotations, output_folder(output), options)
    path = run.folder / "predictions.csv"
    total = 0
    of_photos: list[tuple[Path, Face]] = []
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream:
        table = csv.writer(stream)
        columns = point_columns(predictor.point_names)
        with_raw = has_video and options.smooths
        table.writerow([*COLUMNS, *columns, *(f"raw_{name}" for name in columns if with_raw)])
        try:
            for image in run.images(files):
                total += len(image.faces)
                if not image.frame and annotation_format is not None:
                    of_photos += [(image.file, face) for face in image.faces]
                table.writerows(image.rows(with_raw))
        except KeyboardInterrupt:
            print(f"\nnot all: {path} holds the {total} faces that were found until then")
            raise
    if annotations is not None and (unused := annotations.unused_files()):
        print(f"{boxes}: {len(unused)} files have boxes and are not among the input: {unused[:5]}")
    print(f"{total} faces in {len(files) - len(run.failed)} files: {path}")
    if annotation_format is not None and all(map(is_video, files)):
        print(f"format={format}: only faces of photos are written as annotations, and none are")
    elif annotation_format is not None:
        from facekp.tasks.written_annotations import photo_record, write_face_annotations

        records = [photo_record(file, face.bbox, face.keypoints) for file, face in of_photos]
        scores = [face.score for _, face in of_photos]
        scheme = predictor.output_scheme
        write_face_annotations(run.folder, annotation_format, records, scores, scheme)
    if run.failed:
        named = " | ".join(run.failed[:5]) + (" | ..." if len(run.failed) > 5 else "")
        raise FacekpError(f"{len(run.failed)} of {len(files)} files skipped: {named}")


def _known_boxes(path: str, trained_with: str) -> FaceAnnotations:
    """The boxes of a file.

    If it does not say of which source they are, they are dlib's, or annotations for a network that
    was trained with boxes of annotations.
    """
    if not isinstance(path, str):
        raise ConfigError(f"boxes={path}: give a file with boxes")
    unstated = "annotation" if trained_with == "annotation" else DlibDetector.name
    annotations = read_annotations(path, box_source=unstated)
    if annotations.box_source == DlibDetector.name != trained_with:
        print(f"{path}: its boxes are taken as dlib's, and turned into those of the training")
    return annotations


@dataclass(frozen=True)
class _Image:
    """A photo, or a frame of a video, with its faces."""

    file: Path
    faces: Faces
    picture: str
    """File name of the picture with the points."""
    frame: int = 0
    """From 1; 0 for a photo."""
    seconds: float | None = None

    def rows(self, with_raw: bool) -> Iterator[list[Any]]:
        """Rows of `predictions.csv`."""
        time = "" if self.seconds is None else f"{self.seconds:.4f}"
        for number, face in enumerate(self.faces):
            raw = face.keypoints
            if isinstance(face, TrackedFace):
                number, raw = face.number, face.raw_keypoints
            numbers = [*face.bbox, face.angle, face.score]
            box = [f"{value:.3f}" for value in numbers]
            points = [*face.keypoints.ravel(), *(raw.ravel() if with_raw else ())]
            start = [self.file, self.frame, time, number, *box, face.box_source, self.picture]
            yield [*start, *(f"{value:.3f}" for value in points)]


class _Prediction:
    """Processes photos and videos, draws the points, and collects errors."""

    def __init__(
        self,
        predictor: Predictor,
        annotations: FaceAnnotations | None,
        folder: Path,
        options: Options,
    ) -> None:
        self.predictor, self.annotations, self.folder = predictor, annotations, folder
        self.options = options
        self.inputs: set[str] = set()
        self.failed: list[str] = []
        self.names: set[str] = set()

    def images(self, files: list[Path]) -> Iterator[_Image]:
        """All photos, then the frames of all videos."""
        self.inputs = {_folded(file.resolve()) for file in files}
        if self.annotations is not None:
            self.annotations.expect(files)
        videos = [file for file in files if is_video(file)]
        stills = [file for file in files if not is_video(file)]
        for photo in with_progress(stills, len(stills), "photos"):
            with self._reported(photo):
                yield self._photo(photo)
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

    def _photo(self, file: Path) -> _Image:
        """A photo's faces, drawn."""
        suffix = self.options.picture_suffix(file)
        # Where nothing is drawn, the predictor may read a large photo at a reduced size.
        photo = read_image(file, upright=True) if suffix else file
        if self.annotations is None:
            faces = self.predictor(photo)
            reason = "; ".join(filter(None, ("no face found", self.predictor.remedy)))
        else:
            known = self.annotations.boxes_for(file)
            boxes = np.empty((0, 4)) if known is None else known
            angles = self.annotations.angles_for(file)
            faces = self.predictor(photo, boxes, self.annotations.box_source, angles=angles)
            reason = f"not in {self.annotations.path}"
        try:
            if (count := count_pages(file)) > 1:
                print(f"{file}: only the first of its {count} images is used")
        except DataError as error:  # a later page is damaged
            print(f"{error}; its first image is used")
        if not faces and (self.annotations is None or known is None):
            print(f"{file}: {reason}")
        name = ""
        if suffix:
            name = self._free_name(file, suffix)
            picture = draw_faces(photo, faces, self.predictor.output_scheme)
            save_image(self.folder / name, picture, QUALITY)
        return _Image(file, faces, name)

    def _frames(self, file: Path) -> Iterator[_Image]:
        """The frames of a video, which is also written with its points."""
        options = self.options
        name = "" if options.pictures == "none" else self._free_name(file, ".mp4")
        tracker = FaceTracker(self.predictor, options.smooths)
        used, empty = 0, []
        with VideoReader(file, options.every, options.start, options.end) as reader:
            frames = predict_video(tracker, reader, self.folder / name if name else None)
            unit = f"{file.name} frames"
            for frame, faces in with_progress(frames, reader.expected_frames, unit):
                used += 1
                if not faces:
                    empty.append(frame.number)
                yield _Image(file, faces, name, frame.number, frame.seconds)
            stated, whole = reader.stated_frames, options.end is None
            if whole and (reader.damaged or (stated and reader.frames_read < stated)):
                # Also sound files: some count by the length of the longest track.
                print(f"{file}: {reader.frames_read} frames were read; its header states {stated}")
        if not used:
            raise DataError(file, "no frame between start and end", "give another span")
        if empty:
            numbers = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
            print(f"{file}: no face in {len(empty)} of {used} frames ({numbers})")

    def _free_name(self, file: Path, suffix: str) -> str:
        """A name for the picture of `file`: not an input's own, nor that of another picture."""
        name, number = f"{file.stem}{suffix}", 1
        while _folded(name) in self.names or _folded((self.folder / name).resolve()) in self.inputs:
            number += 1
            name = f"{file.stem}_{number}{suffix}"
        self.names.add(_folded(name))
        return name


def _folded(name: str | Path) -> str:
    """The same for names that some file systems take for one."""
    return str(name).casefold()
