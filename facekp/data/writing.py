"""Writing annotations in another format, with the pixels and image names that it has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from facekp.core.geometry import invert_affine, transform_points
from facekp.core.image import exif_transform, image_size
from facekp.core.landmarks import LandmarkScheme
from facekp.data.formats.base import WritableFormat, WrittenFace
from facekp.data.records import FaceRecord


@dataclass(frozen=True, eq=False)
class ImageFace:
    """A face of an image file, to be written.

    Args:
        image: the file.
        bbox: (4,) `xyxy`.
        keypoints: (K, 2) pixels, nan for missing points; None if not annotated.
        upright: whether box and points refer to the photo after its EXIF orientation has been
            applied.
        occluded: (K,) bool; None if unknown.
        score: of a prediction.
        group: of a data set.
    """

    image: Path
    bbox: np.ndarray
    keypoints: np.ndarray | None
    upright: bool
    occluded: np.ndarray | None = None
    score: float | None = None
    group: str = ""

    @classmethod
    def of_record(cls, record: FaceRecord) -> ImageFace:
        """A face of a data set."""
        group = "" if record.group == str(record.image) else record.group
        return cls(record.image, record.bbox, record.keypoints, record.upright, record.occluded,
                   None, group)  # fmt: skip


def write_annotations(
    annotation_format: WritableFormat,
    path: Path,
    faces: Sequence[ImageFace],
    scheme: LandmarkScheme,
    split: str = "",
) -> Path:
    """Write faces as a file or folder of annotations.

    Args:
        annotation_format: of the file.
        path: where to.
        faces: in this order.
        scheme: of their points.
        split: that they belong to.

    Returns:
        The folder to which the images' names are relative.

    Raises:
        DataError: an image cannot be opened.
        ConfigError: the format cannot hold the faces.
    """
    root = _common_folder([face.image for face in faces])
    size = cache(lambda image: image_size(image, upright=annotation_format.upright))
    orientation = cache(exif_transform)
    written = []
    for face in faces:
        bbox, keypoints = face.bbox, face.keypoints
        if face.upright != annotation_format.upright:
            matrix = orientation(face.image)
            matrix = matrix if annotation_format.upright else invert_affine(matrix)
            corners = transform_points(matrix, bbox.reshape(2, 2))
            bbox = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
            keypoints = None if keypoints is None else transform_points(matrix, keypoints)
        name = Path(os.path.relpath(face.image.absolute(), root)).as_posix()
        written.append(
            WrittenFace(
                name, size(face.image), bbox, keypoints, face.occluded, face.score, split,
                face.group, face.image,
            )
        )  # fmt: skip
    annotation_format.write(path, written, scheme)
    return root


def _common_folder(images: Sequence[Path]) -> Path:
    folders = {str(image.absolute().parent) for image in images}
    return Path(os.path.commonpath(folders)) if folders else Path()
