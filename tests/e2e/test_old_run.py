"""A run of version 0.1.0 still predicts, evaluates, resumes, and starts and teaches other runs.

`fixtures/run_0.1.0.zip` holds the run with its drawn data: a small network on 58 points, 2 epochs
(`train.py experiment=part1 model.input_size=[30,40] model.channels=[4,4,6] model.hidden=[8]
dataset.points=null model/loss=wing model/scheduler=cosine augmentation=rotate dataset.batch_size=3
trainer.max_epochs=2 model.scheduler.T_max=4 ~logger report=false dataset.cache=memory`), its export,
its `predictions.csv` of a photo, and in `metrics_of_4_epochs.csv` what 4 epochs gave.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from facekp.core.landmarks import IMM58
from facekp.inference.detectors import WholeImage
from facekp.inference.predictor import Predictor
from facekp.tasks.evaluate import evaluate
from facekp.tasks.known_faces import read_annotations
from tests.conftest import ROOT
from tests.helpers import Run


@pytest.fixture
def old(tmp_path: Path) -> Path:
    with zipfile.ZipFile(ROOT / "tests/fixtures/run_0.1.0.zip") as archive:
        archive.extractall(tmp_path)
    return tmp_path


def test_it_predicts_the_same_points(old: Path) -> None:
    photo = old / "data/imm_face_db/33-1m.jpg"
    before = pd.read_csv(old / "run/predictions.csv").filter(regex="^[xy][0-9]").to_numpy()
    for name in ("checkpoints/best.ckpt", "part1.onnx"):
        (face,) = Predictor.load(old / "run" / name, WholeImage)(photo)
        np.testing.assert_allclose(face.keypoints.ravel(), before[0], atol=2e-3)


def test_its_predictions_are_read(old: Path) -> None:
    annotations = read_annotations(str(old / "run/predictions.csv"), IMM58.point_names)
    assert annotations.box_source == "image"
    boxes = annotations.boxes_for(old / "data/imm_face_db/33-1m.jpg")
    np.testing.assert_array_equal(boxes, [[-0.5, -0.5, 159.5, 119.5]])


def test_it_is_evaluated(old: Path) -> None:
    predictor = Predictor.load(old / "run/checkpoints/best.ckpt")
    metrics = evaluate(predictor, str(old / "data"), None, 0.08, str(old / "out"))
    then = pd.read_csv(old / "run/metrics.csv")["val/nme_interocular"].iloc[-1]
    assert metrics["nme_interocular"][0] == pytest.approx(then, rel=1e-3)


def test_it_resumes(old: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), "resume=run", "trainer.max_epochs=4"],
        capture_output=True, text=True, cwd=old, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    tables = [pd.read_csv(old / "run" / f"{n}.csv") for n in ("metrics", "metrics_of_4_epochs")]
    now, then = (table.drop(columns="images_per_second") for table in tables)
    # It was written with OpenCV 5, whose resampling rounds otherwise than that of 4.
    pd.testing.assert_frame_equal(now, then, check_exact=False, rtol=1e-3)


def test_it_starts_and_teaches_others(old: Path, run: Run) -> None:
    same = [
        "model.input_size=[30,40]", "model.channels=[4,4,6]", "model.hidden=[8]",
        "dataset.points=null", "trainer.max_epochs=1", f"data_dir={old / 'data'}",
    ]  # fmt: skip
    best = old / "run/checkpoints/best.ckpt"
    _, folder = run("new", *same, f"init_from={best}", f"teacher={best}")
    assert np.isfinite(pd.read_csv(folder / "metrics.csv")["train/loss"]).all()
