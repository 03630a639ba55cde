"""The networks that come along beside dlib's own predictor, on the validation faces of iBUG.

    FACEKP_DATA_DIR=DATA python -m benchmarks.accuracy

dlib's 68-point model has been trained on these very faces: its figures say how hard they are,
beside those published of it on others. Ours have not; one that has (`ibug68_best`) is left out.
"""

from __future__ import annotations

import os

import numpy as np

from benchmarks.common import show
from benchmarks.using import dlib_predictor
from facekp.evaluation import image_errors, summary
from facekp.predictor import Predictor
from facekp.tasks.common import trained_on
from facekp.weights import SHIPPED


def main() -> None:
    """Judge and print."""
    small = Predictor.load()
    datamodule = trained_on(small.description, os.environ.get("FACEKP_DATA_DIR", "data"))
    records = datamodule.splits["val"]
    faces = [(record.load(3), record.bbox) for record in records]
    find = {"dlib": dlib_predictor()}
    for name in SHIPPED:
        one = Predictor.load(name)
        if one.description["data_fingerprint"] != small.description["data_fingerprint"]:
            print(f"{name} has been trained on other faces, perhaps these: left out")
            continue
        find[name] = one.locate
        find[f"{name}, mirror=true looks=6"] = Predictor.load(name, mirror=True, looks=6).locate
    rows: list[dict[str, object]] = []
    for name, locate in find.items():
        found = np.array(locate(faces), dtype=float)
        errors = image_errors(records, found, datamodule.points, datamodule.scheme)
        row = summary(errors, 0.08).iloc[0]
        rows.append({"predictor": name, "NME %": 100 * row["nme_interocular"], "px": row["mae_px"]})
    show("accuracy", rows)


if __name__ == "__main__":
    main()
