"""Face detectors compared: faces found, position of the boxes on the face, time.

    python -m benchmarks.detectors --data-dir DATA [--centerface centerface.onnx]

Reads `DATA/photos/photos.xml` (whole photographs) and every 14th training entry of iBUG; prints
a table, and the `points_prior` of each detector: the bounding box of a face's points relative to
the detector's box.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from facekp.core.geometry import bounding_box, intersection_over_union, relative_box
from facekp.core.image import read_image
from facekp.data.formats.dlib_xml import read_dlib_xml
from facekp.data.ibug import IBUGDataModule
from facekp.inference.detectors import CenterFaceDetector, Detector, DlibDetector

Truth = dict[Path, list[tuple[np.ndarray, np.ndarray]]]
"""Annotated boxes (4,) and points (K, 2) by photo."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", default=os.environ.get("FACEKP_DATA_DIR", "data"), type=Path)
    parser.add_argument("--centerface", help="centerface.onnx; CenterFace is skipped without it")
    parser.add_argument("--every", default=14, type=int, help="take every n-th iBUG entry")
    arguments = parser.parse_args()
    photos = faces_by_photo(arguments.data_dir / "photos/photos.xml")
    xml = arguments.data_dir / IBUGDataModule.info.folder_name / "labels_ibug_300W_train.xml"
    crops = faces_by_photo(xml, arguments.every)
    detectors: dict[str, tuple[Callable[[], Detector], str]] = {
        "dlib": (partial(DlibDetector, upsample=0), "Boost, in dlib"),
        "dlib, doubled": (DlibDetector, "Boost, in dlib"),
    }
    if arguments.centerface:
        size = Path(arguments.centerface).stat().st_size / 1e6
        detectors["CenterFace"] = (
            partial(CenterFaceDetector, arguments.centerface),
            f"MIT, {size:.1f} MB",
        )
    table = Table("detector", "photos", "iBUG", "IoU", "centre spread", "ms per photo", "licence")
    priors = []
    for name, (make, licence) in detectors.items():
        detector = make()
        found, total, _, _, ms = measure(detector, photos, f"{name}, photos")
        found_crops, total_crops, overlaps, places, _ = measure(detector, crops, f"{name}, iBUG")
        spread = 100 * places[:, :2].std(axis=0).mean()
        table.add_row(
            name,
            f"{found}/{total}",
            f"{found_crops}/{total_crops}",
            f"{np.median(overlaps):.2f}",
            f"{spread:.1f} %",
            f"{ms:.0f}",
            licence,
        )
        priors.append(f"{name}: points_prior {np.median(places, axis=0).round(3).tolist()}")
    Console(width=110).print(table)
    print("\n".join(priors))


def faces_by_photo(xml: Path, every: int = 1) -> Truth:
    """The faces of every n-th entry of a dlib XML."""
    found: Truth = {}
    for face in read_dlib_xml(xml)[::every]:
        assert face.keypoints is not None
        found.setdefault(xml.parent / face.file, []).append((face.bbox, face.keypoints))
    return found


def measure(
    detector: Detector, truth: Truth, what: str
) -> tuple[int, int, list[float], np.ndarray, float]:
    """Run a detector.

    Returns:
        Faces found (a box whose IoU with the points' bounding box exceeds 0.3), all faces, IoU of
        that box with the annotated one, the points' bounding box relative to it (N, 4),
        milliseconds per photo.
    """
    overlaps, places, seconds, total = [], [], 0.0, 0
    for photo, faces in track(truth.items(), what, transient=True):
        image = read_image(photo)
        start = perf_counter()
        boxes = detector(image)[0]
        seconds += perf_counter() - start
        total += len(faces)
        for annotated, points in faces:
            extent = bounding_box(points)
            fitting = [box for box in boxes if intersection_over_union(box, extent) > 0.3]
            if fitting:
                best = max(fitting, key=lambda box: intersection_over_union(box, extent))
                overlaps.append(intersection_over_union(best, annotated))
                places.append(relative_box(extent, best))
    return len(places), total, overlaps, np.array(places), 1000 * seconds / len(truth)


if __name__ == "__main__":
    main()
