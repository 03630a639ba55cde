"""Points on photos and videos."""

from __future__ import annotations

import csv
import glob
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from facekp.detection import Detector, GivenBoxes
from facekp.draw import draw_points, save
from facekp.errors import ConfigError, DataError, FacekpError
from facekp.imaging import read_image
from facekp.predictor import Face, Predictor
from facekp.tasks.common import with_progress

T = TypeVar("T")

PHOTOS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"}
VIDEOS = {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v"}
CHUNK = 8  # photos in memory at once


def photos(
    ckpt_path: str,
    input: str | Sequence[str] | None,  # noqa: A002  # the command line's name
    boxes: str | None,
    detector: Callable[[], Detector],
    mirror: bool,
    batch_size: int,
    device: str,
    output: str,
) -> None:
    """Find every face's points on photos or videos.

    Writes `predictions.csv` (a row a face: file, frame, face, box, score, x and y of each point in
    pixels of the photo) and a picture or video with the points of each input.

    Args:
        ckpt_path: checkpoint or exported network.
        input: photo, folder, glob, or video, or a list of these.
        boxes: dlib XML or CSV with face boxes in place of the detector's, see `GivenBoxes`.
        detector: gives what finds the faces; not called where boxes are given.
        mirror: average with the mirrored view.
        batch_size: faces at once.
        device: as torch names it.
        output: folder for the files.

    Raises:
        FacekpError: the checkpoint or the input cannot be used; or, after all others were done,
            some files could not be read.
    """
    predictor = Predictor.load(ckpt_path, detector, mirror, batch_size, device)
    given = GivenBoxes(boxes) if boxes else None
    files = find_inputs(input)
    if given is not None and any(file.suffix.lower() in VIDEOS for file in files):
        raise ConfigError(f"boxes={boxes}: boxes are for photos; a video needs the detector")
    folder = Path(output)
    failed: list[str] = []
    total = 0
    with (folder / "predictions.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        names = [f"{axis}{point}" for point in predictor.points for axis in "xy"]
        head = ["file", "frame", "face", "left", "top", "right", "bottom", "score"]
        table.writerow(head + names)
        for file, number, faces, listed in _every_face(predictor, files, given, folder, failed):
            total += len(faces)
            for at, face in enumerate(faces):
                values = [*face.bbox, face.score, *face.keypoints.ravel()]
                table.writerow([file, number, at, *(f"{value:.3f}" for value in values)])
            if not faces:
                why = "no face found" if listed else f"not in {boxes}"
                print(f"{file}{f' frame {number}' if number else ''}: {why}")
    print(f"{total} faces in {len(files) - len(failed)} files: {folder / 'predictions.csv'}")
    if failed:
        raise FacekpError(f"{len(failed)} of {len(files)} files left out: " + " | ".join(failed))


def find_inputs(given: str | Sequence[str] | None) -> list[Path]:
    """Photo and video files named by paths, folders (not below them) and globs, each once.

    Raises:
        ConfigError: nothing was given or found.
    """
    if not given:
        raise ConfigError("input= is missing: give a photo, folder, glob or video")
    found: dict[Path, None] = {}
    for entry in [given] if isinstance(given, str) else list(given):
        path = Path(entry)
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in PHOTOS | VIDEOS)
        elif path.exists():
            inside = [path]
        else:
            # Path.glob does not take an absolute pattern.
            names = sorted(glob.glob(str(entry), recursive=True))  # noqa: PTH207
            inside = [Path(name) for name in names]
        if not inside:
            raise ConfigError(f"input={entry}: no photo or video there")
        found.update(dict.fromkeys(inside))
    return list(found)


def _every_face(
    predictor: Predictor,
    files: list[Path],
    given: GivenBoxes | None,
    folder: Path,
    failed: list[str],
) -> Iterator[tuple[Path, int, list[Face], bool]]:
    """(file, frame, faces, was it to be looked at) of everything.

    Draws as it goes, and collects what could not be read.
    """
    videos = [file for file in files if file.suffix.lower() in VIDEOS]
    stills = [file for file in files if file.suffix.lower() not in VIDEOS]
    for chunk in _chunks(with_progress(stills, len(stills), "photos")):
        read = []
        for file in chunk:
            try:
                own = None if given is None else given.of(file)
                read.append((file, read_image(file, upright=True), own))
            except DataError as error:
                failed.append(str(error))
                print(f"left out: {error}")
        boxes = [np.empty((0, 4)) if given and own is None else own for _, _, own in read]
        found = predictor([image for _, image, _ in read], boxes)
        for (file, image, own), faces in zip(read, found, strict=True):
            save(_free_name(folder, file, ".png"), annotate(image, faces, predictor))
            yield file, 0, faces, given is None or own is not None
    for video in videos:
        try:
            for number, faces in _video(predictor, video, folder):
                yield video, number, faces, True
        except DataError as error:
            failed.append(str(error))
            print(f"left out: {error}")


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    """Lists of up to `CHUNK` items."""
    stream = iter(items)
    while chunk := list(islice(stream, CHUNK)):
        yield chunk


def annotate(image: np.ndarray, faces: Sequence[Face], predictor: Predictor) -> np.ndarray:
    """A photo (H, W, 3) with every face's points and lines."""
    for face in faces:
        side = np.ptp(face.keypoints, axis=0).max()
        radius = float(np.clip(side / 110, 0.7, 8.0))
        image = draw_points(image, face.keypoints, scheme=predictor.scheme, radius=radius)
    return image


def _free_name(folder: Path, file: Path, suffix: str) -> Path:
    """A name for the drawing of `file`; two inputs of one name both keep theirs."""
    path, number = folder / f"{file.stem}{suffix}", 1
    while path.exists():
        number += 1
        path = folder / f"{file.stem}_{number}{suffix}"
    return path


def _video(predictor: Predictor, file: Path, folder: Path) -> Iterator[tuple[int, list[Face]]]:
    """(number, faces) of each frame; the video with its points is written along."""
    reader = cv2.VideoCapture(str(file))
    writer: Any = None
    try:
        frames = int(reader.get(cv2.CAP_PROP_FRAME_COUNT))
        rate = reader.get(cv2.CAP_PROP_FPS) or 25.0
        stream = with_progress(
            _frames(reader), frames if frames > 0 else None, f"{file.name} frames"
        )
        number = 0
        for chunk in _chunks(stream):
            for frame, faces in zip(chunk, predictor(chunk), strict=True):
                number += 1
                if writer is None:
                    writer = _writer(_free_name(folder, file, ".mp4"), rate, frame.shape)
                drawn = annotate(frame, faces, predictor)
                writer.write(cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
                yield number, faces
        if number == 0:
            raise DataError(file, "not a video that can be decoded", "convert it to mp4")
        if number < frames:
            raise DataError(file, f"ends after {number} of {frames} frames", "restore the file")
    finally:
        reader.release()
        if writer is not None:
            writer.release()


def _writer(path: Path, rate: float, shape: tuple[int, ...]) -> cv2.VideoWriter:
    codec = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), codec, rate, (shape[1], shape[0]))
    if not writer.isOpened():
        raise FacekpError(f"{path}: this OpenCV cannot write the video; is the disk writable?")
    return writer


def _frames(reader: cv2.VideoCapture) -> Iterator[np.ndarray]:
    while True:
        there, frame = reader.read()
        if not there:
            return
        yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
