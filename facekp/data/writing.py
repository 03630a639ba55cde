"""Writing annotations in another format, with the pixels and image names that it has."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from facekp.core.errors import DataError
from facekp.core.geometry import invert_affine, transform_boxes, transform_points
from facekp.core.image import exif_transform, image_size
from facekp.core.landmarks import LandmarkScheme
from facekp.data.formats.base import WritableFormat, WrittenFace
from facekp.data.formats.recognition import writable_formats
from facekp.data.records import FaceRecord


def write_annotations(
    annotation_format: WritableFormat,
    path: Path,
    records: Sequence[FaceRecord],
    scheme: LandmarkScheme,
    split: str = "",
    scores: Sequence[float] = (),
    root: Path | None = None,
) -> Path:
    """Write faces as a file or folder of annotations.

    Args:
        annotation_format: of the file.
        path: where to.
        records: the faces, in this order.
        scheme: of their points.
        split: that they belong to.
        scores: of predictions, one per face.
        root: folder to which the images' names shall be relative; None: the one of all of them.

    Returns:
        The folder to which the images' names are relative.

    Raises:
        DataError: an image cannot be opened, or its name is not valid UTF-8.
        ConfigError: the format cannot hold the faces.
    """
    root = root or common_folder(records)
    size = cache(lambda image: image_size(image, upright=annotation_format.upright))
    orientation = cache(exif_transform)
    faces = []
    for at, record in enumerate(records):
        bbox, keypoints = record.bbox, record.keypoints
        if record.upright != annotation_format.upright:
            matrix = orientation(record.image)
            matrix = matrix if annotation_format.upright else invert_affine(matrix)
            bbox = transform_boxes(matrix, bbox)
            keypoints = None if keypoints is None else transform_points(matrix, keypoints)
        face = WrittenFace(
            image=Path(os.path.relpath(record.image, root)).as_posix(),
            size=size(record.image),
            bbox=bbox,
            keypoints=keypoints,
            occluded=record.occluded,
            score=scores[at] if scores else None,
            split=split,
            group="" if record.group == str(record.image) else record.group,
            source=record.image,
        )
        faces.append(face)
    try:
        annotation_format.write(path, faces, scheme)
    except UnicodeEncodeError as error:
        readable = [face.image.encode("utf-8", "backslashreplace").decode() for face in faces]
        odd = next(name for name, face in zip(readable, faces, strict=True) if name != face.image)
        raise DataError(
            odd,
            "its name is not valid UTF-8, which annotations cannot hold",
            "rename the photo",
        ) from error
    return root


def not_written(annotation_format: WritableFormat, records: Sequence[FaceRecord]) -> Iterator[str]:
    """What a format cannot hold of faces, as notes to the user."""
    name = annotation_format.name
    others = writable_formats().values()
    if not annotation_format.holds_occlusion and any(
        record.occluded is not None and record.occluded.any() for record in records
    ):
        able = " and ".join(other.name for other in others if other.holds_occlusion)
        yield f"{name} cannot hold that points are occluded; {able} can"
    tags = sorted({tag for record in records for tag in record.tags})
    if tags:
        yield f"{name} cannot hold which faces are {', '.join(tags)}"
    groups = {record.group for record in records}
    images = {record.image for record in records}
    if not annotation_format.holds_groups and len(groups) < len(images):
        able = " and ".join(other.name for other in others if other.holds_groups)
        yield (
            f"{name} cannot hold which photos show one person (group); {able} can, or give "
            "dataset.group= when the file is read"
        )
    if annotation_format.copies_images and len(images) < len(records):
        yield (
            f"{name} holds one face per image, so photos of several were copied, e.g. a.jpg to "
            r"a_2.jpg; give dataset.group='(.+?)(_[0-9]+)?\.[^.]+$' when the file is read, or "
            "copies can be on both sides of a split"
        )


def common_folder(records: Sequence[FaceRecord]) -> Path:
    """The innermost folder that holds all images of some faces."""
    # Without `..`; links stay, unlike those of Path.resolve.
    folders = {os.path.abspath(record.image.parent) for record in records}  # noqa: PTH100
    return Path(os.path.commonpath(folders)) if folders else Path()
