"""How far two annotations of the same picture of iBUG lie apart, beside a network's errors.

    FACEKP_DATA_DIR=DATA python -m benchmarks.annotators [CKPT]

The data set holds some pictures under several names, annotated each time and at several scales (see
`facekp/data/ibug_near_duplicates.txt`). The second annotation is put over the first by a similarity
of all points, as the scale between the two is not known; so are, in the row "aligned", the points
of a network of all points on the validation faces (`ibug68_large` unless said otherwise,
`flip_test=true tta_passes=4`). Each picture counts once; standard errors (+-) are over pictures or
faces. Pictures with several faces are left out. The copies were found by laying faces over each
other by their points, so pictures whose annotations differ most are perhaps missing.

The last row moves the network's points by the mean shift of the annotations: a network that sees
mirrored copies learns it down, but not to the right. The shift is also shown beside dlib's
predictor, which has seen mirrored copies of these faces, too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from benchmarks.common import show
from benchmarks.prediction import dlib_predictor
from facekp.core.alignment import procrustes_align
from facekp.data.ibug import is_twin, label_offset, photo_of, picture_of
from facekp.data.records import FaceRecord, annotated_points
from facekp.inference.predictor import Predictor
from facekp.metrics import face_errors
from facekp.tasks.training_data import load_training_data

COLUMNS = {"nme_interocular": "NME", "nme_jaw": "jaw", "nme_jaw_to_curve": "jaw to curve"}


def main() -> None:
    """Compare and print."""
    name = sys.argv[1] if len(sys.argv) > 1 else "ibug68_large"
    dlib = dlib_predictor()
    predictor = Predictor.load(name, flip_test=True, tta_passes=4)
    data = load_training_data(predictor.description, os.environ.get("FACEKP_DATA_DIR", "data"))
    pairs = pair_annotations([*data.splits["train"], *data.splits["val"]])
    first, second = (list(side) for side in zip(*pairs, strict=True))
    validation = data.splits["val"]
    found = np.array(predictor.predict_boxes((r.load(3), r.bbox) for r in validation), dtype=float)

    right = show_shift(name, validation, found)
    from_dlib = dlib([(record.load(3), record.bbox) for record in validation])
    show_shift("dlib", validation, np.array(from_dlib, dtype=float))
    offsets = np.stack([label_offset(r.name, r.bbox, right) for r in validation])

    def errors(faces: Sequence[FaceRecord], points: np.ndarray) -> pd.DataFrame:
        return face_errors(faces, points, data.points, data.scheme)[list(COLUMNS)]

    between = errors(
        first, align_to_annotations(np.stack([annotated_points(r) for r in second]), first)
    )
    between = between.groupby([picture_of(record.name) for record in first]).mean()
    tables = {
        f"second annotation, {len(pairs)} pairs of {len(between)} pictures": between,
        f"{name} on {len(validation)} validation faces, aligned": errors(
            validation, align_to_annotations(found, validation)
        ),
        f"{name} on {len(validation)} validation faces": errors(validation, found),
        f"{name}, moved to the right by {100 * right:.2f} % of the box": errors(
            validation, found + offsets[:, None]
        ),
    }
    rows: list[dict[str, object]] = []
    for title, table in tables.items():
        row: dict[str, object] = {"beside the annotation": title}
        mean, error = 100 * table.mean(), 100 * table.sem()
        for column, heading in COLUMNS.items():
            row |= {f"{heading} %": mean[column], f"{heading} +-": error[column]}
        rows.append(row)
    show("annotators", rows)


def show_shift(name: str, faces: Sequence[FaceRecord], found: np.ndarray) -> float:
    """Print by how much annotated points lie to the right of found ones, and down.

    Args:
        name: of what found them.
        faces: N annotated ones, no mirrored twins.
        found: points (N, K, 2) of them.

    Returns:
        The mean shift to the right, in box widths.
    """
    widths = np.array([record.bbox[2] - record.bbox[0] for record in faces])
    truth = np.stack([annotated_points(record) for record in faces])
    shifts = (truth - found).mean(axis=1)
    for unit, values in (("px", shifts), ("% of the box's width", 100 * shifts / widths[:, None])):
        frame = pd.DataFrame(values)
        (x, y), (dx, dy) = frame.mean(), frame.sem()
        print(f"{name}: annotations lie to the right by {x:.2f} +- {dx:.2f} {unit}", end="")
        print(f", down by {y:.2f} +- {dy:.2f}")
    return float((shifts[:, 0] / widths).mean())


def pair_annotations(records: Sequence[FaceRecord]) -> list[tuple[FaceRecord, FaceRecord]]:
    """All pairs of annotations of the same picture under two names, mirrored twins left out."""
    pictures: dict[str, list[FaceRecord]] = {}
    for record in records:
        if not is_twin(record.name):
            pictures.setdefault(picture_of(record.name), []).append(record)
    return [
        pair
        for faces in pictures.values()
        if len({photo_of(face.name) for face in faces}) == len(faces)  # one face per photo
        for pair in combinations(faces, 2)
    ]


def align_to_annotations(points: np.ndarray, faces: Sequence[FaceRecord]) -> np.ndarray:
    """Points (N, K, 2) put over the annotated points of faces by similarities."""
    pairs = zip(points, faces, strict=True)
    return np.stack([procrustes_align(p[None], annotated_points(f))[0][0] for p, f in pairs])


if __name__ == "__main__":
    main()
