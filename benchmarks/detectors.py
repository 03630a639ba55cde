"""Face detectors side by side: what they find, how their boxes sit on the face, and what they cost.

    python -m benchmarks.detectors --data-dir DATA [--centerface centerface.onnx]

Reads `DATA/photos/photos.xml` (whole photographs) and every 14th training entry of iBUG; prints a
table, and the `extent` of each detector: where a face's points lie from its boxes.
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

from facekp.core.geometry import bounding_box, relative_box
from facekp.core.image import read_image
from facekp.data.formats.dlib_xml import read_dlib_xml
from facekp.data.ibug import IBUGDataModule
from facekp.inference.detectors import CenterFaceDetector, Detector, DlibDetector

Truth = dict[Path, list[tuple[np.ndarray, np.ndarray]]]
"""Given boxes (4,) and points (K, 2) by photo."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", default=os.environ.get("FACEKP_DATA_DIR", "data"), type=Path)
    parser.add_argument("--centerface", help="centerface.onnx; left out where not given")
    parser.add_argument("--every", default=14, type=int, help="take every so-manyth iBUG entry")
    given = parser.parse_args()
    photos = faces_by_photo(given.data_dir / "photos/photos.xml")
    xml = given.data_dir / IBUGDataModule.info.folder_name / "labels_ibug_300W_train.xml"
    crops = faces_by_photo(xml, given.every)
    detectors: dict[str, tuple[Callable[[], Detector], str]] = {
        "dlib, as it is": (partial(DlibDetector, upsample=0), "Boost, in dlib"),
        "dlib, doubled": (DlibDetector, "Boost, in dlib"),
    }
    if given.centerface:
        size = Path(given.centerface).stat().st_size / 1e6
        detectors["CenterFace"] = (
            partial(CenterFaceDetector, given.centerface),
            f"MIT, {size:.1f} MB",
        )
    table = Table("detector", "photos", "iBUG", "IoU", "centre spread", "ms a photo", "licence")
    extents = []
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
        extents.append(f"{name}: extent {np.median(places, axis=0).round(3).tolist()}")
    Console(width=110).print(table)
    print("\n".join(extents))


def faces_by_photo(xml: Path, every: int = 1) -> Truth:
    """The faces of a dlib XML, every so-manyth entry."""
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
        Faces found (a box whose IoU with the points' extent exceeds 0.3), faces in all, IoU of
        that box with the given one, where the points lie from it (N, 4), milliseconds a photo.
    """
    overlaps, places, seconds, total = [], [], 0.0, 0
    for photo, faces in track(truth.items(), what, transient=True):
        image = read_image(photo)
        start = perf_counter()
        boxes, _ = detector(image)
        seconds += perf_counter() - start
        total += len(faces)
        for given, points in faces:
            extent = bounding_box(points)
            fitting = [box for box in boxes if overlap(box, extent) > 0.3]
            if fitting:
                best = max(fitting, key=lambda box: overlap(box, extent))
                overlaps.append(overlap(best, given))
                places.append(relative_box(extent, best))
    return len(places), total, overlaps, np.array(places), 1000 * seconds / len(truth)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes (4,)."""
    sides = np.clip(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0, None)
    shared = sides.prod()
    return float(shared / ((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - shared))


if __name__ == "__main__":
    main()
