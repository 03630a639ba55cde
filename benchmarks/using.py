"""What using a network costs: `Predictor` in torch and onnxruntime against dlib's own predictor.

    python -m benchmarks.using [--ckpt best.ckpt]

Faces are iBUG's, photos decoded before, crop and map included. Each row is a process of its own,
with as many threads as cores are named; memory is the most that it held, its photos left out.
dlib's 68-point model comes with `face_recognition_models`; it was trained on these very faces, so
this is about speed alone. Without `--ckpt`, networks of random weights: as quick as trained ones.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks.common import ROOT, data_source, run_train, show

Face = tuple[np.ndarray, np.ndarray]
"""A photo and a box (4,)."""

PREDICTORS = ("dlib", "torch", "onnxruntime")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ckpt", type=Path, help="a checkpoint of 68 points; else an untrained one")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        kind, model, cores, batch = given.one
        print(json.dumps(measure(kind, model, int(cores), int(batch))))
        return
    with tempfile.TemporaryDirectory() as folder:
        ckpt = given.ckpt or untrained(Path(folder))
        onnx = export(ckpt, Path(folder))
        rows: list[dict[str, object]] = []
        for cores in (1, 2):
            for kind, model in zip(PREDICTORS, ("", str(ckpt), str(onnx)), strict=True):
                for batch in (1, 64):
                    rows.append(apart(kind, model, cores, batch))
    reference = {r["cores"]: r["ms a face"] for r in rows if r["predictor"] == "dlib"}
    for row in rows:
        row["times dlib"] = row["ms a face"] / reference[row["cores"]]  # type: ignore[operator]
    show("using", rows)


def untrained(folder: Path) -> Path:
    """A checkpoint of part 3's network after a step on drawn faces."""
    few = ("dataset=synthetic_ibug", "dataset.count=10", "dataset.batch_size=4", "report=false")
    run_train(folder, "experiment=part3", "trainer.max_epochs=1", *few)
    return folder / "run/checkpoints/best.ckpt"


def export(ckpt: Path, folder: Path) -> Path:
    """The checkpoint as ONNX."""
    from facekp.tasks.export import export as to_onnx

    return to_onnx(str(ckpt), str(folder / "export"))


def apart(kind: str, model: str, cores: int, batch: int) -> dict[str, object]:
    """`measure` in a process of its own, kept to some cores."""
    one = [sys.executable, "-m", "benchmarks.using", "--one", kind, model, str(cores), str(batch)]
    threads = {"OMP_NUM_THREADS": str(cores)}
    done = subprocess.run(
        one, cwd=ROOT, env=os.environ | threads, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(one)}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(kind: str, model: str, cores: int, batch: int) -> dict[str, object]:
    """A row of the table."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    faces = some_faces(64)
    find = dlib_predictor() if kind == "dlib" else our_predictor(model, batch)
    find(faces[:batch])
    seconds = []
    for _ in range(3):
        begin = perf_counter()
        for start in range(0, len(faces), batch):
            find(faces[start : start + batch])
        seconds.append((perf_counter() - begin) / len(faces))
    best = min(seconds)
    return {
        "predictor": kind,
        "cores": cores,
        "faces at once": batch,
        "ms a face": 1000 * best,
        "faces/s": 1 / best,
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def some_faces(count: int) -> list[Face]:
    """Photos and boxes from iBUG, in memory."""
    from facekp.data.dlib_xml import read_dlib_xml
    from facekp.imaging import read_image

    folder = Path(os.environ["FACEKP_DATA_DIR"]) / "ibug_300W_large_face_landmark_dataset"
    entries = read_dlib_xml(folder / "labels_ibug_300W_train.xml")
    chosen = entries[:: len(entries) // count][:count]
    return [(read_image(folder / entry.file), entry.bbox) for entry in chosen]


def our_predictor(model: str, batch: int) -> Callable[[list[Face]], object]:
    """facekp's, from a checkpoint or an exported network."""
    from facekp.predictor import Predictor

    return Predictor.load(model, batch_size=batch).locate


def dlib_predictor() -> Callable[[list[Face]], object]:
    """dlib's (V. Kazemi, J. Sullivan, "One millisecond face alignment ...", CVPR 2014)."""
    import dlib
    from face_recognition_models import pose_predictor_model_location

    predictor = dlib.shape_predictor(pose_predictor_model_location())

    def find(faces: list[Face]) -> list[np.ndarray]:
        found = []
        for photo, box in faces:
            shape = predictor(photo, dlib.rectangle(*(int(round(edge)) for edge in box)))
            found.append(np.array([(p.x, p.y) for p in shape.parts()]))
        return found

    return find


if __name__ == "__main__":
    main()
