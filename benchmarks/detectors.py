"""Face detectors compared: faces found, false boxes, position of the boxes on the face, NME, time.

    python -m benchmarks.detectors [--centerface centerface.onnx]

Reads the whole photographs of `FACEKP_DATA_DIR/photos` and the training entries of iBUG: 200 drawn
with seed 0, the 100 most turned ones (distances from the nose to both ends of the jaw), the 200
with the lower half of the face covered, and the 200 tilted. NME is of `ibug68` on its validation
faces, with its own boxes and with each detector's. Boxes beside annotated faces may be faces that
nobody annotated: look at them. Prints tables, and the `points_prior` of each detector: the bounding
box of a face's points relative to the detector's box.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np
from rich.progress import track

from benchmarks.common import show
from facekp.core.geometry import (
    bounding_box,
    intersection_over_union,
    relative_box,
    transform_points,
)
from facekp.core.image import read_image
from facekp.data.formats.dlib_xml import read_dlib_xml
from facekp.data.ibug import IBUGDataModule
from facekp.data.registry import IBUG_TRAIN_XML
from facekp.inference.detectors import CenterFaceDetector, Detector, DlibDetector, YuNetDetector
from facekp.inference.faces import Faces
from facekp.inference.predictor import Predictor
from facekp.tasks.training_data import load_training_data

Sample = tuple[Path, np.ndarray]
"""A photo and the points (68, 2) of its face."""
Change = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Of a picture and its points."""

FOUND = 0.3
"""Intersection over union of a box and the points' bounding box from which a face is found."""
OUTER_EYES = (36, 45)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--centerface", help="centerface.onnx; CenterFace is skipped without it")
    arguments = parser.parse_args()
    data = Path(os.environ.get("FACEKP_DATA_DIR", "data"))
    cv2.setNumThreads(1)
    detectors: dict[str, Callable[[], Detector]] = {
        "yunet": YuNetDetector,
        "yunet, tiny": partial(YuNetDetector, tiny=True),
        "dlib": partial(DlibDetector, upsample=0),
        "dlib, doubled": DlibDetector,
    }
    if arguments.centerface:
        detectors["centerface"] = partial(CenterFaceDetector, arguments.centerface)
    samples = ibug_faces(data)
    rng = np.random.default_rng(0)
    chosen = [samples[at] for at in rng.choice(len(samples), 200, replace=False)]
    turned = sorted(samples, key=lambda sample: -turn(sample[1]))[:100]
    rows, faces, priors = [], [], []
    for name, make in detectors.items():
        detector = make()
        row = {"detector": name} | on_photos(detector, data / "photos/photos.xml", name)
        crops, places = found_on(detector, chosen, name)
        row |= {"crops": crops, "most turned": found_on(detector, turned, name)[0]}
        row["masked"] = found_on(detector, chosen, name, masked)[0]
        rows.append(row)
        relative = np.array([relative_box(extent, box) for box, extent in places])
        spread = 100 * relative.std(axis=0)
        faces.append(
            {"detector": name, **dict(zip(("x %", "y %", "width %"), spread, strict=False))}
        )
        priors.append(f"{name}: points_prior {np.median(relative, axis=0).round(3).tolist()}")
    doubled = next(row for row in rows if row["detector"] == "dlib, doubled")
    for row in rows:
        ratio = float(str(row["ms per photo"])) / float(str(doubled["ms per photo"]))
        row["of dlib doubled"] = ratio
    show("detectors", rows)
    show("detectors_spread", faces)
    print("\n".join(priors))
    show("detectors_nme", behind(detectors, data))
    show("detectors_tilt", tilted(chosen))


def ibug_faces(data: Path) -> list[Sample]:
    """The training entries of iBUG."""
    xml = data / IBUGDataModule.info.folder_name / IBUG_TRAIN_XML
    faces = read_dlib_xml(xml)
    return [(xml.parent / f.file, f.keypoints) for f in faces if f.keypoints is not None]


def turn(points: np.ndarray) -> float:
    """How far a face is turned to a side: 0 if it is seen from the front."""
    sides = [np.linalg.norm(points[30] - points[end]) for end in (0, 16)]
    return float(abs(np.log(sides[0] / sides[1])))


def masked(image: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A face whose lower half is covered by one colour."""
    covered = image.copy()
    outline = np.concatenate([points[2:15], points[[29]]]).round().astype(np.int32)
    cv2.fillPoly(covered, [outline], (170, 190, 205))
    return covered, points


def rotated(degrees: float) -> Change:
    """A picture turned clockwise, on a canvas that holds all of it."""

    def change(image: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height, width = image.shape[:2]
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, 1.0)
        side = int(np.hypot(width, height)) + 1
        matrix[:, 2] += ((side - width) / 2, (side - height) / 2)
        return cv2.warpAffine(image, matrix, (side, side)), transform_points(matrix, points)

    return change


def on_photos(detector: Detector, xml: Path, name: str) -> dict[str, object]:
    """Faces found in whole photographs, boxes on none, milliseconds per photo."""
    truth: dict[str, list[np.ndarray]] = {}
    for face in read_dlib_xml(xml):
        assert face.keypoints is not None
        truth.setdefault(face.file, []).append(bounding_box(face.keypoints))
    found = total = more = 0
    seconds = []
    for file, extents in track(truth.items(), f"{name}, photos", transient=True):
        image = read_image(xml.parent / file)
        times = []
        for _ in range(3):
            begin = perf_counter()
            boxes = detector(image)[0]
            times.append(perf_counter() - begin)
        seconds.append(min(times))
        total += len(extents)
        found += sum(any(intersection_over_union(b, e) > FOUND for b in boxes) for e in extents)
        more += sum(all(intersection_over_union(b, e) <= FOUND for e in extents) for b in boxes)
    return {
        "photos": f"{found}/{total}",
        "boxes beside": more,
        "ms per photo": 1000 * float(np.mean(seconds)),
    }


def found_on(
    detector: Detector, samples: list[Sample], name: str, change: Change | None = None
) -> tuple[int, list[tuple[np.ndarray, np.ndarray]]]:
    """Number of faces found, and the boxes and points' bounding boxes of those."""
    places = []
    for file, known in track(samples, f"{name}, iBUG", transient=True):
        image, points = read_image(file), known
        if change is not None:
            image, points = change(image, points)
        extent = bounding_box(points)
        boxes = sorted(detector(image)[0], key=lambda b: -intersection_over_union(b, extent))
        if boxes and intersection_over_union(boxes[0], extent) > FOUND:
            places.append((boxes[0], extent))
    return len(places), places


def nme(faces: Faces, points: np.ndarray) -> float | None:
    """NME in % of the face that lies best on the points; None if none does."""
    extent = bounding_box(points)
    near = [
        face
        for face in faces
        if intersection_over_union(bounding_box(face.keypoints), extent) > 0.2
    ]
    if not near:
        return None
    errors = [np.linalg.norm(face.keypoints - points, axis=1).mean() for face in near]
    return float(100 * min(errors) / np.linalg.norm(points[OUTER_EYES[0]] - points[OUTER_EYES[1]]))


def behind(detectors: dict[str, Callable[[], Detector]], data: Path) -> list[dict[str, object]]:
    """NME of the bundled network behind each detector, on the faces that it finds."""
    predictor = Predictor.load()
    records = load_training_data(predictor.description, str(data)).splits["val"]
    rows: list[dict[str, object]] = []
    for name, make in detectors.items():
        predictor = Predictor.load(detector=make)
        differences = []
        for record in track(records, f"NME behind {name}", transient=True):
            assert record.keypoints is not None
            image = record.load(3)
            in_box = nme(
                predictor(image, record.bbox[None], IBUGDataModule.box_source), record.keypoints
            )
            found = nme(predictor(image), record.keypoints)
            if in_box is not None and found is not None:
                differences.append((in_box, found))
        in_box_mean, found_mean = np.mean(differences, axis=0)
        gap = np.diff(differences, axis=1)
        error = float(gap.std() / np.sqrt(len(gap)))
        rows.append(
            {
                "detector": name,
                "found": f"{len(differences)}/{len(records)}",
                "NME %": found_mean,
                "with given boxes %": in_box_mean,
                "difference": f"{gap.mean():+.3f} +- {error:.3f}",
            }
        )
    return rows


def tilted(samples: list[Sample]) -> list[dict[str, object]]:
    """Faces found and NME on tilted pictures, upright and with `turned=true`."""
    rows: list[dict[str, object]] = []
    for degrees in (0, 20, 45, 90, 135, 180):
        row: dict[str, object] = {"degrees": degrees}
        for name, turned_too in (("default", False), ("turned=true", True)):
            predictor, change = Predictor.load(turned=turned_too), rotated(degrees)
            errors = []
            for file, points in track(samples, f"{degrees} degrees", transient=True):
                image, moved = change(read_image(file), points)
                errors.append(nme(predictor(image), moved))
            known = [error for error in errors if error is not None]
            row[f"{name}: found"] = f"{len(known)}/{len(samples)}"
            row[f"{name}: median NME %"] = float(np.median(known)) if known else float("nan")
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
