"""Morphing photos: a video in which each face becomes the next, or the mean of all faces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from pathlib import Path
from time import perf_counter

import numpy as np
from PIL import ExifTags

from facekp.core.errors import ConfigError, DataError
from facekp.core.geometry import Size, transform_points
from facekp.core.image import open_image, read_image
from facekp.core.landmarks import LandmarkScheme
from facekp.core.progress import with_progress
from facekp.inference.predictor import Predictor
from facekp.tasks.common import output_folder
from facekp.tasks.inputs import find_inputs, is_video
from facekp.tasks.known_faces import read_annotations
from facekp.visualization.morph import (
    AlignedPhoto,
    Morph,
    align_photo,
    alignment_transform,
    mean_face,
    zoom_to_fill,
)
from facekp.visualization.overlay import save_image
from facekp.visualization.video import WRITTEN_SUFFIXES, VideoWriter, written_fps

EASINGS: dict[str, Callable[[float], float]] = {
    "linear": lambda share: share,
    "smooth": lambda share: share * share * (3 - 2 * share),
}
PICTURE_SUFFIXES = (".png", ".jpg")

MAX_AUTO_ZOOM = 1.6
"""Photos that need more zoom do not fill the frame; their edges are extended."""

FindPoints = Callable[[Path, np.ndarray], np.ndarray | None]
"""Points (K, 2) of a photo's face, from its path and pixels (H, W, 3); None without a face."""


@dataclass(frozen=True)
class MorphSettings:
    """How a morph looks.

    Args:
        size: (height, width) of the video or picture.
        zoom: factor by which faces are enlarged; None: as far as needed for all photos to fill the
            frame, between 1 and `MAX_AUTO_ZOOM`.
        fps: frames per second.
        seconds: from one face to the next.
        hold: seconds that each photo stays.
        easing: `smooth` or `linear`.
        midway: the mean of two photos in place of a video: average shape, average colour.
        mean: the mean of all photos in place of a video.

    Raises:
        ConfigError: a value out of range.
    """

    size: Sequence[int]
    zoom: float | None
    fps: float
    seconds: float
    hold: float
    easing: str
    midway: bool
    mean: bool

    def __post_init__(self) -> None:
        pair = isinstance(self.size, Sequence) and len(self.size) == 2
        if not pair or not all(isinstance(s, int) and 16 <= s <= 8192 for s in self.size):
            raise ConfigError(f"size={self.size}: give [height,width], each from 16 to 8192")
        for name, value, least, most in (
            ("fps", self.fps, 1, 120),
            ("seconds", self.seconds, 0, 1000),
            ("hold", self.hold, 0, 1000),
            ("zoom", 1 if self.zoom is None else self.zoom, 0.2, 20),
        ):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not least <= value <= most:
                raise ConfigError(f"{name}={value}: give a number from {least} to {most}")
        for name, flag in (("midway", self.midway), ("mean", self.mean)):
            if not isinstance(flag, bool):
                raise ConfigError(f"{name}={flag}: give true or false")
        if self.midway and self.mean:
            raise ConfigError("midway=true mean=true: choose one")
        _check_choice("easing", self.easing, EASINGS)

    @property
    def frame_size(self) -> Size:
        """(height, width)."""
        return int(self.size[0]), int(self.size[1])

    @property
    def product(self) -> str:
        """`morph` (a video), `midway` or `mean` (a picture)."""
        return "mean" if self.mean else "midway" if self.midway else "morph"


@dataclass(frozen=True, eq=False)
class PhotoWithFace:
    """A photo that takes part in a morph.

    Args:
        file: the photo.
        size: (height, width) of it, upright.
        keypoints: (K, 2) in its pixels.
    """

    file: Path
    size: Size
    keypoints: np.ndarray


def morph(
    predictor: Predictor,
    input: str | Sequence[str] | None,  # noqa: A002  # the command line's name
    points: str | None,
    face: str,
    order: str,
    settings: MorphSettings,
    output: str,
    say: Callable[[str], None] = print,
) -> Path:
    """Write a video in which each photo's face becomes the next one's, or a picture of their mean.

    Args:
        predictor: of a network that predicts all points of a scheme.
        input: photos, in the order of the video unless `order` says otherwise.
        points: CSV, COCO or dlib XML with points in place of the network's, see `read_annotations`.
        face: which face of a photo with several: the `largest`, or the one nearest the `middle`.
        order: by `name`, by `date` (EXIF, else the file's own), or as `given`.
        settings: how the morph looks.
        output: the file, `.mp4` or `.gif`, of a mean `.png` or `.jpg`; or a folder for it.
        say: is told which photos are skipped, and why.

    Returns:
        Path of the video or picture.

    Raises:
        FacekpError: a setting or a file that cannot be used, or fewer than two usable photos.
    """
    _check_choice("order", order, ORDERS)
    _check_choice("face", face, FACES)
    path = _output_file(output, settings.product)
    scheme = predictor.scheme
    if not predictor.description.covers_scheme:
        raise ConfigError(
            f"{predictor.name}: a morph needs all {scheme.count} points of {scheme.name}"
        )
    files = ORDERS[order](find_inputs(input))
    if path.resolve() in [file.resolve() for file in files]:
        raise ConfigError(f"output={path}: this is one of the photos; give another name")
    find = _annotated(points, scheme, face, files) if points else _predicted(predictor, face)
    photos = list(_photos_with_faces(files, find, scheme, say))
    named = input if isinstance(input, str) else f"{files[0]}, ..."
    usable = f"input={named}: {len(photos)} of {len(files)} photos can be used"
    if len(photos) < 2:
        raise ConfigError(f"{usable}, two are needed")
    if settings.midway and len(photos) != 2:
        raise ConfigError(f"{usable}: midway=true takes two, mean=true any number")
    transforms = _alignments(photos, scheme, settings)
    if settings.product == "morph":
        return _write_video(path, photos, transforms, settings)
    return _write_mean(path, photos, transforms, settings)


def _alignments(
    photos: Sequence[PhotoWithFace], scheme: LandmarkScheme, settings: MorphSettings
) -> list[np.ndarray]:
    """Transforms (2, 3) from each photo to the frame."""
    size, zoom = settings.frame_size, settings.zoom
    if zoom is None:
        needed = max(zoom_to_fill(p.keypoints, scheme, size, p.size) for p in photos)
        zoom = min(max(1.0, needed), MAX_AUTO_ZOOM)
    return [alignment_transform(photo.keypoints, scheme, size, zoom) for photo in photos]


def _aligned(
    photos: Sequence[PhotoWithFace], transforms: Sequence[np.ndarray], size: Size
) -> Iterator[AlignedPhoto]:
    """The photos, read one by one."""
    for photo, transform in zip(photos, transforms, strict=True):
        image = read_image(photo.file, upright=True)
        yield align_photo(image, photo.keypoints, transform, size)


def _write_mean(
    path: Path,
    photos: Sequence[PhotoWithFace],
    transforms: Sequence[np.ndarray],
    settings: MorphSettings,
) -> Path:
    shapes = [transform_points(t, p.keypoints) for t, p in zip(transforms, photos, strict=True)]
    aligned = with_progress(
        _aligned(photos, transforms, settings.frame_size), len(photos), "photos"
    )
    save_image(path, mean_face(aligned, np.mean(shapes, axis=0), settings.frame_size))
    print(f"{path}: the mean of {len(photos)} faces")
    return path


def _write_video(
    path: Path,
    photos: Sequence[PhotoWithFace],
    transforms: Sequence[np.ndarray],
    settings: MorphSettings,
) -> Path:
    size, fps = settings.frame_size, written_fps(path, settings.fps)
    still_frames, steps = max(1, round(settings.hold * fps)), max(1, round(settings.seconds * fps))
    shares = [EASINGS[settings.easing](step / steps) for step in range(1, steps)]
    count = still_frames * len(photos) + len(shares) * (len(photos) - 1)
    started = perf_counter()
    frames = _frames(_aligned(photos, transforms, size), size, shares, still_frames)
    with VideoWriter(path, size, fps) as video:
        for frame in with_progress(frames, count, "frames"):
            video.write(frame)
    rate = count / (perf_counter() - started)
    print(f"{path}: {len(photos)} faces, {count} frames, {rate:.0f} frames/s")
    return path


def _frames(
    photos: Iterable[AlignedPhoto], size: Size, shares: Sequence[float], still_frames: int
) -> Iterator[np.ndarray]:
    """Frames of a video; at most two photos are in memory."""
    previous: AlignedPhoto | None = None
    for photo in photos:
        if previous is not None:
            transition = Morph(previous, photo, size)
            yield from (transition.frame(share) for share in shares)
        yield from repeat(mean_face([photo], photo.shape, size), still_frames)
        previous = photo


def _photos_with_faces(
    files: Sequence[Path],
    find: FindPoints,
    scheme: LandmarkScheme,
    say: Callable[[str], None],
) -> Iterator[PhotoWithFace]:
    """The photos with a usable face; the others are named."""
    for file in with_progress(files, len(files), "photos"):
        if is_video(file):
            say(f"skipped: {file}: a video; a morph takes photos")
            continue
        try:
            image = read_image(file, upright=True)
            points = find(file, image)
        except DataError as error:
            say(f"skipped: {error}")
            continue
        if points is None:
            say(f"skipped: {file}: no face found")
        elif np.isnan(points).any():
            names = [scheme.point_names[at] for at in np.flatnonzero(np.isnan(points).any(axis=1))]
            say(f"skipped: {file}: points missing: {', '.join(names[:5])}")
        elif not _can_be_aligned(points, scheme):
            say(f"skipped: {file}: its points lie at one place")
        else:
            yield PhotoWithFace(file, image.shape[:2], points)


def _can_be_aligned(points: np.ndarray, scheme: LandmarkScheme) -> bool:
    try:
        alignment_transform(points, scheme, (100, 100))
    except ValueError:
        return False
    return True


def _predicted(predictor: Predictor, face: str) -> FindPoints:
    """Finds the points with a network."""

    def find(file: Path, image: np.ndarray) -> np.ndarray | None:
        faces = predictor(image)
        if not faces:
            return None
        boxes = np.array([x.bbox for x in faces])
        return faces[FACES[face](boxes, image.shape[:2])].keypoints

    return find


def _annotated(points: str, scheme: LandmarkScheme, face: str, files: Sequence[Path]) -> FindPoints:
    """Looks the points of the photos up in a file."""
    annotations = read_annotations(points, scheme.point_names)
    annotations.expect(files)

    def find(file: Path, image: np.ndarray) -> np.ndarray | None:
        boxes, shapes = annotations.boxes_for(file), annotations.points_for(file)
        if boxes is None or shapes is None:
            raise DataError(points, f"{file} is not in it", "add its points, or omit the photo")
        return shapes[FACES[face](boxes, image.shape[:2])] if len(boxes) else None

    return find


def _largest(boxes: np.ndarray, size: Size) -> int:
    return int(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).argmax())


def _middle(boxes: np.ndarray, size: Size) -> int:
    offset = (boxes[:, :2] + boxes[:, 2:]) / 2 - np.array(size[::-1]) / 2
    return int(np.linalg.norm(offset, axis=1).argmin())


def _natural_key(file: Path) -> list[tuple[int, int, str]]:
    """Natural sort key of a file name: 9.jpg comes before 10.jpg."""
    pieces = re.findall(r"\d+|\D+", file.name)
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p.lower()) for p in pieces]


def _date(file: Path) -> str:
    """When a photo was taken, by its EXIF; else when the file was last changed."""
    try:
        with open_image(file) as image:
            exif = image.getexif()
            taken = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
            taken = taken or exif.get(ExifTags.Base.DateTime)
    except Exception:  # Pillow raises anything; reading the photo reports the problem
        taken = None
    changed = datetime.fromtimestamp(file.stat().st_mtime)
    return str(taken) if taken else f"{changed:%Y:%m:%d %H:%M:%S}"


FACES: dict[str, Callable[[np.ndarray, Size], int]] = {"largest": _largest, "middle": _middle}
ORDERS: dict[str, Callable[[list[Path]], list[Path]]] = {
    "name": lambda files: sorted(files, key=_natural_key),
    "date": lambda files: sorted(files, key=lambda file: (_date(file), _natural_key(file))),
    "given": lambda files: files,
}


def _check_choice(name: str, choice: str, choices: Iterable[str]) -> None:
    if choice not in choices:
        raise ConfigError(f"{name}={choice}: choose one of {', '.join(choices)}")


def _output_file(output: str, product: str) -> Path:
    """The file to write; in a folder it is named by the product."""
    suffixes = WRITTEN_SUFFIXES if product == "morph" else PICTURE_SUFFIXES
    path = Path(output)
    if path.suffix.lower() not in suffixes:
        if path.suffix and not path.is_dir():
            raise ConfigError(
                f"output={output}: give a file that ends in {' or '.join(suffixes)}, or a folder"
            )
        path = path / f"{product}{suffixes[0]}"
    if path.is_dir():
        raise ConfigError(f"output={output}: {path} is a folder; give another name")
    output_folder(str(path.parent))
    return path
