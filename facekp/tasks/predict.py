"""Points on photos and videos."""

from __future__ import annotations

import csv
import glob
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from facekp.inference.detectors import Detector
from facekp.visualization.overlay import draw_points, save
from facekp.core.errors import ConfigError, DataError, FacekpError
from facekp.inference.annotations import GivenFaces
from facekp.core.image import MAX_PIXELS, frame_count, image_size, read_image
from facekp.inference.predictor import Face, Predictor
from facekp.tasks.common import output_folder, with_progress
from facekp.visualization.video import VideoWriter

T = TypeVar("T")

PHOTOS = {
    ".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm",
    ".pgm",
}  # fmt: skip
VIDEOS = {
    ".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".3gp", ".ogv",
}  # fmt: skip
COLUMNS = [
    "file", "frame", "face", "left", "top", "right", "bottom", "score", "box_kind", "picture",
]  # fmt: skip
CHUNK = 8  # photos in memory at once


def photos(
    ckpt_path: str,
    input: str | Sequence[str] | None,  # noqa: A002  # the command line's name
    boxes: str | None,
    detector: Callable[[], Detector],
    mirror: bool,
    looks: int,
    batch_size: int,
    device: str,
    output: str,
) -> None:
    """Find every face's points on photos or videos.

    Writes `predictions.csv` (a row a face: file, frame, face, box, score, what the box is, the
    drawing's name, x and y of each point in pixels of the photo) and a picture or video with the
    points of each input.

    Args:
        ckpt_path: checkpoint or exported network.
        input: photo, folder, glob, or video, or a list of these.
        boxes: dlib XML or CSV with face boxes in place of the detector's, see `GivenFaces`.
        detector: gives what finds the faces; not called where boxes are given.
        mirror: average with the mirrored view.
        looks: at each face, see `Predictor`.
        batch_size: faces at once.
        device: as torch names it.
        output: folder for the files.

    Raises:
        FacekpError: the checkpoint or the input cannot be used; or, after all others were done,
            some files could not be read.
    """
    predictor = Predictor.load(ckpt_path, detector, mirror, looks, batch_size, device)
    given = GivenFaces(boxes) if boxes else None
    files = find_inputs(input)
    if given is not None and any(file.suffix.lower() in VIDEOS for file in files):
        raise ConfigError(f"boxes={boxes}: boxes are for photos; a video needs the detector")
    if given is None:
        _ = predictor.detector  # a detector that cannot be had is not the first photo's fault
    work = _Work(predictor, given, output_folder(output))
    total = 0
    with (work.folder / "predictions.csv").open(
        "w", newline="", encoding="utf-8", errors="backslashreplace"
    ) as stream:
        table = csv.writer(stream)
        names = [f"{axis}{point}" for point in predictor.points for axis in "xy"]
        table.writerow([*COLUMNS, *names])
        for found in work.run(files):
            total += len(found.faces)
            for at, face in enumerate(found.faces):
                numbers = [f"{value:.3f}" for value in (*face.bbox, face.score)]
                points = [f"{value:.3f}" for value in face.keypoints.ravel()]
                start = [found.file, found.frame, at, *numbers, face.box_kind, found.picture]
                table.writerow([*start, *points])
            if not found.faces:
                frame = f" frame {found.frame}" if found.frame else ""
                print(f"{found.file}{frame}: {found.why_none}")
    if given is not None and given.unused():
        unused = given.unused()
        print(f"{boxes}: {len(unused)} files have boxes and were not among the input: {unused[:5]}")
    done = len(files) - len(work.failed)
    print(f"{total} faces in {done} files: {work.folder / 'predictions.csv'}")
    if work.failed:
        named = " | ".join(work.failed[:5]) + (" | ..." if len(work.failed) > 5 else "")
        raise FacekpError(f"{len(work.failed)} of {len(files)} files left out: {named}")


def find_inputs(given: str | Sequence[str] | None) -> list[Path]:
    """Photo and video files named by paths, folders (not below them) and globs, each once.

    Raises:
        ConfigError: nothing was given or found.
    """
    if not given:
        raise ConfigError("input= is missing: give a photo, folder, glob or video")
    found: dict[Path, Path] = {}  # by where it really is
    for entry in [given] if isinstance(given, str | int) else list(given):
        path = Path(str(entry))
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if p.is_file())
            inside = [p for p in files if p.suffix.lower() in PHOTOS | VIDEOS]
            others = [p.name for p in files if p not in inside]
            if others:
                print(f"{path}: {len(others)} files are no photos or videos by name: {others[:5]}")
        elif path.exists():
            inside = [path]
        else:
            # Path.glob does not take an absolute pattern.
            names = sorted(glob.glob(str(entry), recursive=True))  # noqa: PTH207
            inside = [Path(name) for name in names if Path(name).is_file()]
        if not inside:
            raise ConfigError(f"input={entry}: no photo or video there")
        for file in inside:
            found.setdefault(file.resolve(), file)
    return list(found.values())


@dataclass(frozen=True)
class _Found:
    """What a photo, or a frame of a video, has."""

    file: Path
    frame: int
    """From 1; 0 for a photo."""
    faces: list[Face]
    picture: str
    """File name of the drawing."""
    why_none: str


class _Work:
    """Goes through photos and videos, draws as it goes, and collects what could not be done."""

    def __init__(self, predictor: Predictor, given: GivenFaces | None, folder: Path) -> None:
        self.predictor, self.given, self.folder = predictor, given, folder
        self.failed: list[str] = []
        self.names: set[str] = set()

    def run(self, files: list[Path]) -> Iterator[_Found]:
        """Everything, photos first."""
        videos = [file for file in files if file.suffix.lower() in VIDEOS]
        stills = [file for file in files if file not in videos]
        for chunk in _chunks(with_progress(stills, len(stills), "photos"), _pixels):
            yield from self.photos(chunk)
        for video in videos:
            with self.reported(video):
                yield from self.video(video)

    @contextmanager
    def reported(self, file: Path) -> Iterator[None]:
        """Whatever goes wrong with one file is said, and the others go on."""
        try:
            yield
        except ConfigError:
            raise  # of the network, or of a setting: no file's fault
        except Exception as error:
            text = str(error) if isinstance(error, DataError) else f"{file}: {error!r}"
            self.failed.append(text)
            print(f"left out: {text}")

    def photos(self, files: list[Path]) -> Iterator[_Found]:
        """Photos that fit into memory together."""
        read: list[tuple[Path, np.ndarray, np.ndarray | None]] = []
        for file in files:
            with self.reported(file):
                own = None if self.given is None else self.given.of(file)
                read.append((file, read_image(file, upright=True), own))
                if (count := frame_count(file)) > 1:
                    print(f"{file}: only the first of its {count} images is looked at")
        try:
            found = self.faces(read)
        except ConfigError:
            raise
        except Exception:  # one of them; each for itself
            found = []
            for entry in list(read):
                with self.reported(entry[0]):
                    found += self.faces([entry])
                if len(found) <= read.index(entry):
                    read.remove(entry)
        for (file, image, own), faces in zip(read, found, strict=True):
            with self.reported(file):
                name = self.free_name(file, ".png")
                save(self.folder / name, annotate(image, faces, self.predictor))
                listed = self.given is None or own is not None
                why = "no face found" if listed or not self.given else f"not in {self.given.path}"
                yield _Found(file, 0, faces, name, why)

    def faces(self, read: list[tuple[Path, np.ndarray, np.ndarray | None]]) -> list[list[Face]]:
        """Faces of photos that were read."""
        images = [image for _, image, _ in read]
        if self.given is None:
            return self.predictor(images)
        boxes = [np.empty((0, 4)) if own is None else own for _, _, own in read]
        return self.predictor(images, boxes, self.given.kind)

    def video(self, file: Path) -> Iterator[_Found]:
        """Each frame; the video with its points is written along."""
        reader = cv2.VideoCapture(str(file))
        writer: VideoWriter | None = None
        name = self.free_name(file, ".mp4")
        with ExitStack() as stack:
            stack.callback(reader.release)
            stated = int(reader.get(cv2.CAP_PROP_FRAME_COUNT))
            rate = reader.get(cv2.CAP_PROP_FPS) or 25.0
            stream = with_progress(
                _frames(reader), stated if stated > 0 else None, f"{file.name} frames"
            )
            number = 0
            for chunk in _chunks(stream):
                for frame, faces in zip(chunk, self.predictor(chunk), strict=True):
                    number += 1
                    if writer is None:
                        path = self.folder / name
                        writer = stack.enter_context(VideoWriter(path, frame.shape[:2], rate))
                    writer.write(annotate(frame, faces, self.predictor))
                    yield _Found(file, number, faces, name, "no face found")
            if number == 0:
                raise DataError(file, "not a video that can be decoded", "convert it to mp4")
            if number < stated:
                # Also of sound files: some count by the length of the longest track.
                print(f"{file}: {number} frames were read; its header speaks of {stated}")

    def free_name(self, file: Path, suffix: str) -> str:
        """A name for the drawing of `file`; two inputs of one name both keep theirs."""
        name, number = f"{file.stem}{suffix}", 1
        while name in self.names:
            number += 1
            name = f"{file.stem}_{number}{suffix}"
        self.names.add(name)
        return name


def _chunks(items: Iterable[T], pixels: Callable[[T], int] = lambda _: 0) -> Iterator[list[T]]:
    """Lists of up to `CHUNK` items that together have no more pixels than one photo may have."""
    chunk: list[T] = []
    held = 0
    for item in items:
        own = pixels(item)
        if chunk and (len(chunk) == CHUNK or held + own > MAX_PIXELS):
            yield chunk
            chunk, held = [], 0
        chunk.append(item)
        held += own
    if chunk:
        yield chunk


def _pixels(file: Path) -> int:
    try:
        return math.prod(image_size(file))
    except DataError:
        return 0  # reading it will say what is wrong


def annotate(image: np.ndarray, faces: Sequence[Face], predictor: Predictor) -> np.ndarray:
    """A photo (H, W, 3) with every face's points and lines."""
    for face in faces:
        side = np.ptp(face.keypoints, axis=0).max()
        radius = float(np.clip(side / 110, 0.7, 8.0))
        image = draw_points(image, face.keypoints, scheme=predictor.scheme, radius=radius)
    return image


def _frames(reader: cv2.VideoCapture) -> Iterator[np.ndarray]:
    while True:
        there, frame = reader.read()
        if not there:
            return
        yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
