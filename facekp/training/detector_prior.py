"""How a detector's boxes lie to those of the training data: measured on training faces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facekp.core.geometry import apply_box_prior, intersection_over_union, relative_box
from facekp.core.progress import with_progress
from facekp.data.records import FaceRecord
from facekp.inference.detectors import Detector

MEASURED_SOURCES = ("points", "annotation")
"""Sources of boxes that only a comparison with a detector's can relate to a whole face."""
MAX_FACES = 40
"""Faces that are looked for."""
ENOUGH = 5
"""Faces found from which on the median is used."""
GIVE_UP_AFTER = 8
"""Images without a face after which the data is taken for other things than faces."""
OVERLAP = 0.15
"""Intersection over union from which a detected box belongs to a training face."""


def measure_detector_prior(records: Sequence[FaceRecord], detector: Detector) -> np.ndarray | None:
    """(4,) median of training boxes relative to whole faces, as a detector sees them.

    A network's own `box_prior` is relative to its own points, which say nothing of a whole face if
    they are, say, both eyes.

    Args:
        records: the training faces; evenly spaced ones are taken.
        detector: its box and its `points_prior` give the bounding box of a whole face's points.

    Returns:
        The prior; None if the detector finds too few of the faces.
    """
    chosen = [records[at] for at in np.linspace(0, len(records) - 1, MAX_FACES).astype(int)]
    chosen = list(dict.fromkeys(chosen))
    found: list[np.ndarray] = []
    prior = np.array(detector.points_prior)
    for tried, record in enumerate(with_progress(chosen, len(chosen), "comparing boxes")):
        if tried == GIVE_UP_AFTER and not found:
            return None
        boxes = detector(record.load(3))[0]
        overlaps = [intersection_over_union(box, record.bbox) for box in boxes]
        if overlaps and max(overlaps) > OVERLAP:
            face = apply_box_prior(boxes[int(np.argmax(overlaps))], prior)
            found.append(relative_box(record.bbox, face))
    return np.median(found, axis=0) if len(found) >= ENOUGH else None
