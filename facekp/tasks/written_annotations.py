"""Writing faces of photos as annotations, with what it takes to train on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facekp.core.files import atomic_write_text
from facekp.core.landmarks import LandmarkScheme
from facekp.data.formats.base import WritableFormat
from facekp.data.records import FaceRecord
from facekp.data.writing import write_annotations


def photo_record(
    file: Path,
    bbox: np.ndarray,
    keypoints: np.ndarray,
    occluded: np.ndarray | None = None,
    group: str = "",
) -> FaceRecord:
    """The record of a face in an upright photo.

    Args:
        file: the photo.
        bbox: (4,) `xyxy` in pixels.
        keypoints: (K, 2) in pixels, nan for missing points.
        occluded: (K,) bool; None if unknown.
        group: of a data set; empty: the photo itself.
    """
    return FaceRecord(
        image=file,
        bbox=bbox,
        keypoints=keypoints,
        name=str(file),
        group=group or str(file),
        subset="",
        origin=(file, None),
        upright=True,
        occluded=occluded,
    )


def write_face_annotations(
    folder: Path,
    annotation_format: WritableFormat,
    records: Sequence[FaceRecord],
    scores: Sequence[float],
    scheme: LandmarkScheme,
) -> Path:
    """Write faces and their landmark scheme, and print the settings that train on them.

    Args:
        folder: gets `annotations` with the format's suffix, and `landmarks.yaml`.
        annotation_format: of the file.
        records: the faces.
        scores: one per face.
        scheme: of their points.

    Returns:
        The file or folder of annotations.

    Raises:
        FacekpError: an image cannot be opened, or the format cannot hold the faces.
    """
    target = folder / f"annotations{annotation_format.suffix}"
    root = write_annotations(annotation_format, target, records, scheme, scores=scores)
    atomic_write_text(folder / "landmarks.yaml", scheme.to_yaml())
    images = "" if annotation_format.copies_images else f" dataset.images={root}"
    print(f"{len(records)} faces of photos as annotations: dataset.train={target}{images}")
    return target
