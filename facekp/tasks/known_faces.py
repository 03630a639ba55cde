"""Known faces of photos, from files of boxes or annotations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from facekp.core.errors import DataError
from facekp.data.formats.base import ReadOptions
from facekp.data.formats.dlib_xml import read_dlib_xml
from facekp.data.formats.predictions_csv import CsvFace, read_predictions_csv
from facekp.data.formats.recognition import read_annotation_file
from facekp.inference.annotations import FaceAnnotations, KnownFace
from facekp.inference.detectors import DlibDetector


def read_annotations(
    path: str, point_names: Sequence[str] | None = None, box_source: str = DlibDetector.name
) -> FaceAnnotations:
    """Known faces of photos from a dlib XML, a CSV, a COCO JSON or a YOLO data set's YAML.

    Args:
        path: dlib XML, which counts pixels as stored, or another, whose numbers refer to the
            upright photo, such as `predictions.csv`.
        point_names: of the points that the file must have; None reads only the boxes.
        box_source: what boxes are of which the file does not say it.

    Raises:
        DataError: see `read_dlib_xml` and `read_predictions_csv`; boxes of several sources.
    """
    suffix = Path(path).suffix.lower()
    count = None if point_names is None else len(point_names)
    if suffix == ".xml" and list(point_names or ()) == [str(at) for at in range(count or 0)]:
        return FaceAnnotations(path, _xml_faces(path, count), box_source, True)
    if suffix in (".xml", ".json", ".yaml", ".yml"):
        faces_of_file = _named_faces(path, point_names)
        return FaceAnnotations(path, faces_of_file, box_source, suffix == ".xml")
    faces = list(read_predictions_csv(path, point_names))
    sources = {face.box_source or box_source for face in faces if face.bbox is not None}
    if len(sources) > 1:
        problem = f"boxes of several sources in one file ({', '.join(sorted(sources))})"
        raise DataError(path, problem, "split the file by its column box_source")
    source = sources.pop() if sources else box_source
    return FaceAnnotations(path, ((face.file, _known(face)) for face in faces), source, False)


def _known(face: CsvFace) -> KnownFace | None:
    return None if face.bbox is None else (face.bbox, face.keypoints, face.angle)


def _named_faces(path: str, names: Sequence[str] | None) -> Iterator[tuple[str, KnownFace]]:
    """Faces of annotations whose points have names."""
    content, _ = read_annotation_file(Path(path), ReadOptions(boxes_alone=names is None))
    missing = [name for name in names or () if name not in content.names]
    if missing:
        problem = f"points missing: {', '.join(missing[:5])}"
        raise DataError(path, problem, "give annotations of the network's points")
    columns = [content.names.index(name) for name in names or ()]
    for face in content.faces:
        points = face.keypoints[columns]
        if face.bbox is None:
            raise face.error(f"{face.image}: a face without a box", "add it, or remove the face")
        yield str(face.image), (face.bbox, points, 0.0)


def _xml_faces(path: str, count: int | None) -> Iterator[tuple[str, KnownFace]]:
    for face in read_dlib_xml(path, count):
        if face.keypoints is not None:
            yield face.file, (face.bbox, face.keypoints, 0.0)
        elif count is None:
            yield face.file, (face.bbox, face.bbox[:0].reshape(0, 2), 0.0)
        else:
            problem, remedy = f"{face.file}: a face without points", "add them, or remove it"
            raise DataError(path, problem, remedy, face.line)
