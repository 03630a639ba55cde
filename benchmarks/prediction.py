"""Time of prediction: `Predictor` in torch and ONNX Runtime against dlib's predictor.

    python -m benchmarks.prediction [--ckpt best.ckpt]

The bundled `ibug68_int8` is measured beside the checkpoint.

Faces are iBUG's (drawn ones without `FACEKP_DATA_DIR`), decoded before; crop and inverse transform
are included. Each row is a separate process, restricted to some cores; memory is its peak, with
libraries and faces. dlib's 68-point model is in `face_recognition_models`; it was trained on these
faces, so this compares speed only.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks.common import run_python, show
from facekp.data.registry import IBUG
from facekp.models.bundled import BUNDLED
from facekp.training.memory import process_peak_bytes

Face = tuple[np.ndarray, np.ndarray]
"""A photo and a box (4,)."""

PREDICTORS = ("dlib", "torch", "onnxruntime", "onnxruntime, int8")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--ckpt",
        type=Path,
        default=BUNDLED["ibug68"],
        help="a checkpoint of 68 points; default: the bundled ibug68",
    )
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        runtime, model, cores, batch = arguments.one
        print(json.dumps(measure(runtime, model, int(cores), int(batch))))
        return
    with tempfile.TemporaryDirectory() as folder:
        if not os.environ.get("FACEKP_DATA_DIR"):
            os.environ["FACEKP_DATA_DIR"] = str(draw_data(Path(folder) / "data"))
        onnx = export(arguments.ckpt, Path(folder))
        rows: list[dict[str, object]] = []
        for cores in (1, 2):
            models = ("", str(arguments.ckpt), str(onnx), "ibug68_int8")
            for runtime, model in zip(PREDICTORS, models, strict=True):
                rows += [measure_in_process(runtime, model, cores, batch) for batch in (1, 64)]
    reference = {r["cores"]: r["ms per face"] for r in rows if r["predictor"] == "dlib"}
    for row in rows:
        row["times dlib"] = row["ms per face"] / reference[row["cores"]]  # type: ignore[operator]
    show("prediction", rows)


def draw_data(folder: Path) -> Path:
    """Write drawn faces in iBUG's format, and return their data_dir."""
    from facekp.data.synthetic import write_synthetic_ibug

    write_synthetic_ibug(folder / IBUG.folder_name, 80, 0)
    return folder


def export(ckpt: Path, folder: Path) -> Path:
    """The checkpoint as ONNX."""
    from facekp.tasks.export import export as to_onnx

    return to_onnx(str(ckpt), str(folder / "export"))


def measure_in_process(runtime: str, model: str, cores: int, batch: int) -> dict[str, object]:
    """`measure` in a process of its own, restricted to some cores."""
    case = ("--one", runtime, model, str(cores), str(batch))
    printed = run_python("-m", "benchmarks.prediction", *case, OMP_NUM_THREADS=str(cores))
    return json.loads(printed.splitlines()[-1])


def measure(runtime: str, model: str, cores: int, batch: int) -> dict[str, object]:
    """One row of the table."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    faces = load_faces(64)
    find = dlib_predictor() if runtime == "dlib" else facekp_predictor(model, batch)
    find(faces[:batch])
    seconds = []
    for _ in range(3):
        begin = perf_counter()
        for start in range(0, len(faces), batch):
            find(faces[start : start + batch])
        seconds.append((perf_counter() - begin) / len(faces))
    best = min(seconds)
    return {
        "predictor": runtime,
        "cores": cores,
        "batch": batch,
        "ms per face": 1000 * best,
        "faces/s": 1 / best,
        "peak MB": process_peak_bytes() / 2**20 or math.nan,
    }


def load_faces(count: int) -> list[Face]:
    """Faces of iBUG with their surroundings, in memory, and their boxes."""
    from facekp.core.geometry import expand_box, transform_points
    from facekp.core.image import downscale, read_image
    from facekp.data.formats.dlib_xml import read_dlib_xml

    folder = Path(os.environ["FACEKP_DATA_DIR"]) / IBUG.folder_name
    entries = read_dlib_xml(folder / "labels_ibug_300W_train.xml")
    chosen = entries[:: max(1, len(entries) // count)][:count]
    faces = []
    for entry in chosen:
        part, to_part = downscale(read_image(folder / entry.file), 1, expand_box(entry.bbox, 3.0))
        faces.append((part.copy(), transform_points(to_part, entry.bbox.reshape(2, 2)).ravel()))
    return faces


def facekp_predictor(model: str, batch: int) -> Callable[[list[Face]], list[np.ndarray]]:
    """Facekp's predictor of a checkpoint or an exported network."""
    from facekp.inference.predictor import Predictor

    return Predictor.load(model, batch_size=batch).predict_boxes


def dlib_predictor() -> Callable[[list[Face]], list[np.ndarray]]:
    """Dlib's shape predictor.

    V. Kazemi, J. Sullivan, "One millisecond face alignment with an ensemble of regression trees",
    CVPR 2014. Exits if it is not installed.
    """
    package = find_spec("face_recognition_models")  # its own import needs an old setuptools
    if find_spec("dlib") is None or package is None or not package.submodule_search_locations:
        raise SystemExit("dlib's predictor is not installed; run: make .venv/benchmarks")
    import dlib

    folder = Path(package.submodule_search_locations[0])
    predictor = dlib.shape_predictor(str(folder / "models/shape_predictor_68_face_landmarks.dat"))

    def find(faces: list[Face]) -> list[np.ndarray]:
        found = []
        for photo, box in faces:
            shape = predictor(photo, dlib.rectangle(*(round(edge) for edge in box)))
            found.append(np.array([(p.x, p.y) for p in shape.parts()]))
        return found

    return find


if __name__ == "__main__":
    main()
