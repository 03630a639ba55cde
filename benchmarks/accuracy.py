"""The bundled networks beside dlib's predictor, on the validation faces of iBUG.

    FACEKP_DATA_DIR=DATA python -m benchmarks.accuracy [CKPT...]

Further checkpoints, trained on the same split, are evaluated beside them. dlib's 68-point model was
trained on these very faces: compared with its published figures on others, its figures here tell
how hard these faces are. The bundled networks were not; one that was (`ibug68_best`) is skipped.
Standard errors are of the mean, and of the mean difference from `ibug68`, face by face.
"""

from __future__ import annotations

import os
import sys

import numpy as np

from benchmarks.common import show
from benchmarks.prediction import dlib_predictor
from facekp.inference.backends import load_backend
from facekp.inference.predictor import Predictor
from facekp.metrics import THRESHOLD, face_errors, summarize
from facekp.models.bundled import BUNDLED
from facekp.tasks.training_data import load_training_data


def main() -> None:
    """Evaluate and print."""
    networks = {name: load_backend(name) for name in (*BUNDLED, *sys.argv[1:])}
    small = networks["ibug68"][1]
    datamodule = load_training_data(small, os.environ.get("FACEKP_DATA_DIR", "data"))
    records = datamodule.splits["val"]
    faces = [(record.load(3), record.bbox) for record in records]
    find = {"dlib": dlib_predictor()}
    for name, (backend, description) in networks.items():
        if description.data_fingerprint != small.data_fingerprint:
            print(f"{name} was trained on other faces, perhaps these: skipped")
            continue
        find[name] = Predictor(backend, description).predict_boxes
        best = Predictor(backend, description, flip_test=True, tta_passes=6)
        find[f"{name}, flip_test=true tta_passes=6"] = best.predict_boxes
    errors = {
        name: face_errors(
            records, np.array(predict(faces), dtype=float), datamodule.points, datamodule.scheme
        )
        for name, predict in find.items()
    }
    rows: list[dict[str, object]] = []
    base = errors["ibug68"]["nme_interocular"]
    for name, frame in errors.items():
        beside = frame.assign(nme_interocular=frame["nme_interocular"] - base)
        row, more = (summarize(table, THRESHOLD).iloc[0] for table in (frame, beside))
        rows.append(
            {
                "predictor": name,
                "px": row["mae_px"],
                "NME %": 100 * row["nme_interocular"],
                "standard error": 100 * row["nme_standard_error"],
                "minus ibug68": 100 * more["nme_interocular"],
                "its standard error": 100 * more["nme_standard_error"],
            }
        )
    show("accuracy", rows)


if __name__ == "__main__":
    main()
