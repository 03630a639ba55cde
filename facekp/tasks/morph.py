"""Photos of a folder as one face that becomes the next, or as the mean of all."""

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

from facekp.inference.detectors import Detector
from facekp.visualization.overlay import save
from facekp.core.errors import ConfigError, DataError
from facekp.core.geometry import Size, apply_map
from facekp.inference.annotations import GivenFaces
from facekp.core.image import open_image, read_image
from facekp.core.landmarks import LandmarkScheme
from facekp.visualization.morph import Morph, Posed, filling_zoom, frame_map, mean_face, pose
from facekp.inference.predictor import Predictor
from facekp.tasks.common import output_folder, with_progress
from facekp.tasks.predict import VIDEOS, find_inputs
from facekp.visualization.video import KINDS, VideoWriter

EASINGS: dict[str, Callable[[float], float]] = {
    "linear": lambda share: share,
    "smooth": lambda share: share * share * (3 - 2 * share),
}
PICTURES = (".png", ".jpg")

MOST_ZOOM = 1.6
"""Photos that are cut closer than this do not fill the frame; their edges are drawn out."""

Find = Callable[[Path, np.ndarray], np.ndarray | None]
"""Points (K, 2) of a photo's face, from its path and its pixels (H, W, 3); None without a face."""


@dataclass(frozen=True, eq=False)
class Located:
    """A photo with a face.

    Args:
        file: the photo.
        size: (height, width) of it, turned upright.
        keypoints: (K, 2) in its pixels.
    """

    file: Path
    size: Size
    keypoints: np.ndarray


def morph(
    ckpt_path: str,
    input: str | Sequence[str] | None,  # noqa: A002  # the command line's name
    points: str | None,
    detector: Callable[[], Detector],
    face: str,
    order: str,
    size: Sequence[int],
    zoom: float | None,
    fps: float,
    seconds: float,
    hold: float,
    easing: str,
    mirror: bool,
    looks: int,
    midway: bool,
    mean: bool,
    device: str,
    output: str,
) -> Path:
    """Write a film in which each photo's face becomes the next one's, or a picture of their mean.

    Args:
        ckpt_path: checkpoint or exported network of all points of a scheme.
        input: photos, in the order of the film unless `order` says otherwise.
        points: CSV or dlib XML with points in place of the network's, see `GivenFaces`.
        detector: gives what finds the faces; not called where points are given.
        face: of several faces in a photo the `largest`, or the one nearest the `middle`.
        order: by `name`, by `date` (EXIF, else the file's own), or as `given`.
        size: (height, width) of the film or picture.
        zoom: faces are so many times as large; None: as large as it takes for every photo to fill
            the frame, between 1 and `MOST_ZOOM`.
        fps: frames a second.
        seconds: from one face to the next.
        hold: seconds that each photo stays.
        easing: `smooth` or `linear`.
        mirror: average with the mirrored view.
        looks: at each face, see `Predictor`.
        midway: the mean of two photos: average shape, average colour.
        mean: the mean of all photos.
        device: as torch names it.
        output: the file, `.mp4` or `.gif`, of a mean `.png` or `.jpg`; or a folder for it.

    Returns:
        Path of the film or picture.

    Raises:
        FacekpError: a setting or a file that cannot be used, fewer than two usable photos.
    """
    frame = _checked_size(size)
    for name, value, least, most in (
        ("fps", fps, 1, 120),
        ("seconds", seconds, 0, 1000),
        ("hold", hold, 0, 1000),
        ("zoom", 1 if zoom is None else zoom, 0.2, 20),
    ):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not least <= value <= most:
            raise ConfigError(f"{name}={value}: give a number from {least} to {most}")
    for name, flag in (("midway", midway), ("mean", mean)):
        if not isinstance(flag, bool):
            raise ConfigError(f"{name}={flag}: give true or false")
    if midway and mean:
        raise ConfigError("midway=true mean=true: choose one")
    for name, choice, choices in (
        ("easing", easing, list(EASINGS)),
        ("order", order, list(ORDERS)),
        ("face", face, list(FACES)),
    ):
        if choice not in choices:
            raise ConfigError(f"{name}={choice}: choose one of {', '.join(choices)}")
    still = midway or mean
    path = _output_file(output, "mean" if mean else "midway" if midway else "morph", still)
    predictor = Predictor.load(ckpt_path, detector, mirror, looks, device=device)
    scheme = predictor.scheme
    if predictor.points != list(range(scheme.count)):
        raise ConfigError(f"{ckpt_path}: a morph needs all {scheme.count} points of {scheme.name}")
    files = ORDERS[order](find_inputs(input))
    if path.resolve() in [file.resolve() for file in files]:
        raise ConfigError(f"output={path}: this is one of the photos; give another name")
    find = _given(points, scheme, face) if points else _found(predictor, face)
    located = list(_located(files, find, scheme))
    usable = f"input={input}: {len(located)} of {len(files)} photos can be used"
    if len(located) < 2:
        raise ConfigError(f"{usable}, two are needed")
    if midway and len(located) != 2:
        raise ConfigError(f"{usable}: midway=true takes two, mean=true any number")
    if zoom is None:
        needed = max(filling_zoom(one.keypoints, scheme, frame, one.size) for one in located)
        zoom = min(max(1.0, needed), MOST_ZOOM)
    maps = [frame_map(one.keypoints, scheme, frame, zoom) for one in located]
    posed = (
        pose(read_image(one.file, upright=True), one.keypoints, to_frame, frame)
        for one, to_frame in zip(located, maps, strict=True)
    )
    if still:
        shapes = [apply_map(m, one.keypoints) for m, one in zip(maps, located, strict=True)]
        shape = np.mean(shapes, axis=0)
        save(path, mean_face(with_progress(posed, len(located), "photos"), shape, frame))
        print(f"{path}: the mean of {len(located)} faces")
        return path
    rest, steps = max(1, round(hold * fps)), max(1, round(seconds * fps))
    shares = [EASINGS[easing](step / steps) for step in range(1, steps)]
    count = rest * len(located) + len(shares) * (len(located) - 1)
    began = perf_counter()
    with VideoWriter(path, frame, fps) as video:
        for picture in with_progress(_frames(posed, frame, shares, rest), count, "frames"):
            video.write(picture)
    rate = count / (perf_counter() - began)
    print(f"{path}: {len(located)} faces, {count} frames, {rate:.0f} frames/s")
    return path


def _frames(
    photos: Iterable[Posed], size: Size, shares: Sequence[float], rest: int
) -> Iterator[np.ndarray]:
    """Frames of a film; at most two photos are in memory."""
    before: Posed | None = None
    for photo in photos:
        if before is not None:
            way = Morph(before, photo, size)
            yield from (way.frame(share) for share in shares)
        yield from repeat(mean_face([photo], photo.shape, size), rest)
        before = photo


def _located(files: Sequence[Path], find: Find, scheme: LandmarkScheme) -> Iterator[Located]:
    """Photos with a face; the others are named."""
    for file in with_progress(files, len(files), "photos"):
        if file.suffix.lower() in VIDEOS:
            print(f"left out: {file}: a video; a morph takes photos")
            continue
        try:
            image = read_image(file, upright=True)
            points = find(file, image)
        except DataError as error:
            print(f"left out: {error}")
            continue
        if points is None:
            print(f"left out: {file}: no face found")
        elif not scheme.interocular(points) > 0:
            print(f"left out: {file}: both eyes are one point")
        else:
            yield Located(file, image.shape[:2], points)


def _found(predictor: Predictor, face: str) -> Find:
    """Finds a photo's face."""

    def find(file: Path, image: np.ndarray) -> np.ndarray | None:
        faces = predictor(image)
        if not faces:
            return None
        boxes = np.array([one.bbox for one in faces])
        return faces[FACES[face](boxes, image.shape[:2])].keypoints

    return find


def _given(points: str, scheme: LandmarkScheme, face: str) -> Find:
    """Looks a photo's face up in a file."""
    given = GivenFaces(points, scheme.count)

    def find(file: Path, image: np.ndarray) -> np.ndarray | None:
        boxes, shapes = given.of(file), given.points_of(file)
        if boxes is None or shapes is None:
            raise DataError(points, f"{file} is not in it", "add its points, or leave it out")
        return shapes[FACES[face](boxes, image.shape[:2])]

    return find


def _largest(boxes: np.ndarray, size: Size) -> int:
    return int(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).argmax())


def _middle(boxes: np.ndarray, size: Size) -> int:
    offset = (boxes[:, :2] + boxes[:, 2:]) / 2 - np.array(size[::-1]) / 2
    return int(np.linalg.norm(offset, axis=1).argmin())


def _name(file: Path) -> list[tuple[int, int, str]]:
    """What a file name is sorted by: 9.jpg comes before 10.jpg."""
    pieces = re.findall(r"\d+|\D+", file.name)
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p.lower()) for p in pieces]


def _date(file: Path) -> str:
    """When a photo was taken, by its EXIF; else when the file was last changed."""
    try:
        with open_image(file) as image:
            exif = image.getexif()
            taken = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
            taken = taken or exif.get(ExifTags.Base.DateTime)
    except Exception:  # Pillow raises anything; reading the photo will say what is wrong
        taken = None
    changed = datetime.fromtimestamp(file.stat().st_mtime)
    return str(taken) if taken else f"{changed:%Y:%m:%d %H:%M:%S}"


FACES: dict[str, Callable[[np.ndarray, Size], int]] = {"largest": _largest, "middle": _middle}
ORDERS: dict[str, Callable[[list[Path]], list[Path]]] = {
    "name": lambda files: sorted(files, key=_name),
    "date": lambda files: sorted(files, key=lambda file: (_date(file), _name(file))),
    "given": lambda files: files,
}


def _checked_size(size: Sequence[int]) -> Size:
    good = isinstance(size, Sequence) and len(size) == 2
    if not good or not all(isinstance(side, int) and 16 <= side <= 8192 for side in size):
        raise ConfigError(f"size={size}: give [height,width], each from 16 to 8192")
    return int(size[0]), int(size[1])


def _output_file(output: str, name: str, still: bool) -> Path:
    """The file to write; a folder gets one of the task's own name."""
    endings = PICTURES if still else KINDS
    path = Path(output)
    if path.suffix.lower() not in endings:
        if path.suffix and not path.is_dir():
            raise ConfigError(
                f"output={output}: give a file that ends in {' or '.join(endings)}, or a folder"
            )
        path = path / f"{name}{endings[0]}"
    if path.is_dir():
        raise ConfigError(f"output={output}: {path} is a folder; give another name")
    output_folder(str(path.parent))
    return path
