"""What the tasks share: building configured objects, output folders, data of a network."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig

from facekp.core.description import NetworkDescription
from facekp.core.errors import ConfigError, DataError, FacekpError
from facekp.data.datamodule import FaceDataModule
from facekp.data.factory import training_data
from facekp.data.formats.base import ReadOptions
from facekp.data.formats.dlib_xml import read_dlib_xml
from facekp.data.formats.predictions_csv import read_predictions_csv
from facekp.data.formats.recognition import read_annotation_file
from facekp.inference.annotations import FaceAnnotations, KnownFace
from facekp.inference.detectors import DlibDetector


def build(config: DictConfig, **extra: Any) -> Any:
    """`hydra.utils.instantiate`; facekp's errors are raised as they are, others as ConfigError.

    Args:
        config: with a `_target_`.
        **extra: further arguments.

    Raises:
        FacekpError: of the object itself, or naming the setting that it refuses.
    """
    try:
        return instantiate(config, **extra)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, FacekpError):
            raise cause from None
        place = re.search(r"full_key: (\S+)", str(error))
        what = " ".join(str(cause or error).split())
        raise ConfigError(f"{place[1] if place else config.get('_target_')}: {what}") from error


def output_folder(output: str) -> Path:
    """The folder of a task's files, created if missing.

    Raises:
        ConfigError: it cannot be created.
    """
    folder = Path(output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output={output}: {error.strerror}; choose another folder") from error
    return folder


def load_training_data(description: NetworkDescription, data_dir: str | None) -> FaceDataModule:
    """The data set that a network was trained on, read; says so if it has changed.

    Args:
        description: of the network.
        data_dir: where the data is now; None: where it was in training.

    Raises:
        ConfigError: the checkpoint names no data set that may be built.
        DataError: the data is missing or broken.
    """
    datamodule = training_data(description, data_dir)
    datamodule.prepare_data()
    datamodule.setup()
    if datamodule.fingerprint() != description.data_fingerprint:
        print(
            "NOTE: this is not the data that the network was trained on; if its split is random, "
            "faces that it was trained on can be among those it is evaluated on."
        )
    return datamodule


def read_annotations(path: str, point_names: Sequence[str] | None = None) -> FaceAnnotations:
    """Known faces of photos from a dlib XML, a CSV or a COCO JSON.

    Args:
        path: dlib XML, which counts pixels as stored, or a CSV such as `predictions.csv` or COCO
            keypoints, whose numbers refer to the upright photo.
        point_names: of the points that each face must have; None reads only the boxes.

    Raises:
        DataError: see `read_dlib_xml` and `read_predictions_csv`; boxes of several sources.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".xml" and all(name.isdigit() for name in point_names or ()):
        count = None if point_names is None else len(point_names)
        return FaceAnnotations(path, _xml_faces(path, count), DlibDetector.name, True)
    if suffix in (".xml", ".json"):
        upright = suffix == ".json"
        faces_of_file = _named_faces(path, point_names)
        return FaceAnnotations(path, faces_of_file, DlibDetector.name, not upright)
    faces = list(read_predictions_csv(path, point_names))
    sources = {face.box_source or DlibDetector.name for face in faces}
    if len(sources) > 1:
        problem = f"boxes of several sources in one file ({', '.join(sorted(sources))})"
        raise DataError(path, problem, "split the file by its column box_source")
    source = sources.pop() if sources else DlibDetector.name
    entries = ((face.file, (face.bbox, face.keypoints)) for face in faces)
    return FaceAnnotations(path, entries, source, False)


def _named_faces(path: str, names: Sequence[str] | None) -> Iterator[tuple[str, KnownFace]]:
    """Faces of annotations whose points have names."""
    content, _ = read_annotation_file(Path(path), ReadOptions())
    missing = [name for name in names or () if name not in content.names]
    if missing:
        problem = f"points missing: {', '.join(missing[:5])}"
        raise DataError(path, problem, "give annotations of the network's points")
    columns = [content.names.index(name) for name in names or ()]
    for face in content.faces:
        points = face.keypoints[columns]
        if face.bbox is None:
            raise face.error(f"{face.image}: a face without a box", "add it, or remove the face")
        if np.isnan(points).any():
            raise face.error(f"{face.image}: a face lacks points", "add them, or remove the face")
        yield str(face.image), (face.bbox, points)


def _xml_faces(path: str, count: int | None) -> Iterator[tuple[str, KnownFace]]:
    for face in read_dlib_xml(path, count):
        if face.keypoints is not None:
            yield face.file, (face.bbox, face.keypoints)
        elif count is None:
            yield face.file, (face.bbox, face.bbox[:0].reshape(0, 2))
        else:
            problem, remedy = f"{face.file}: a face without points", "add them, or remove it"
            raise DataError(path, problem, remedy, face.line)
