"""The networks that come along beside dlib's own predictor, on the validation faces of iBUG.

    FACEKP_DATA_DIR=DATA python -m benchmarks.accuracy [CKPT...]

Checkpoints of your own, trained on the same split, are judged beside them.
dlib's 68-point model has been trained on these very faces: its figures say how hard they are,
beside those published of it on others. Ours have not; one that has (`ibug68_best`) is left out.
Standard errors are of the mean, and of the mean difference from `ibug68`, face by face.
"""

from __future__ import annotations

import os
import sys

import numpy as np

from benchmarks.common import show
from benchmarks.using import dlib_predictor
from facekp.metrics_table import image_errors, summary
from facekp.inference.predictor import Predictor
from facekp.tasks.common import trained_on
from facekp.models.bundled import SHIPPED


def main() -> None:
    """Judge and print."""
    networks = {name: Predictor.load(name) for name in (*SHIPPED, *sys.argv[1:])}
    small = networks["ibug68"].description
    datamodule = trained_on(small, os.environ.get("FACEKP_DATA_DIR", "data"))
    records = datamodule.splits["val"]
    faces = [(record.load(3), record.bbox) for record in records]
    find = {"dlib": dlib_predictor()}
    for name, one in networks.items():
        if one.description["data_fingerprint"] != small["data_fingerprint"]:
            print(f"{name} has been trained on other faces, perhaps these: left out")
            continue
        find[name] = one.locate
        thorough = Predictor(one.forward, one.description, mirror=True, looks=6)
        find[f"{name}, mirror=true looks=6"] = thorough.locate
    errors = {
        name: image_errors(
            records, np.array(locate(faces), dtype=float), datamodule.points, datamodule.scheme
        )
        for name, locate in find.items()
    }
    rows: list[dict[str, object]] = []
    base = errors["ibug68"]["nme_interocular"]
    for name, own in errors.items():
        beside = own.assign(nme_interocular=own["nme_interocular"] - base)
        row, more = (summary(frame, 0.08).iloc[0] for frame in (own, beside))
        rows.append(
            {
                "predictor": name,
                "px": row["mae_px"],
                "NME %": 100 * row["nme_interocular"],
                "its standard error": 100 * row["nme_standard_error"],
                "more than ibug68": 100 * more["nme_interocular"],
                "that's standard error": 100 * more["nme_standard_error"],
            }
        )
    show("accuracy", rows)


if __name__ == "__main__":
    main()
