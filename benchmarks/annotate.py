"""Annotating by hand: time of a fit, boxes drawn sloppily, order of work, the camera's frames.

    python -m benchmarks.annotate

Photos and faces are those of `FACEKP_DATA_DIR`. A fit is timed in Chromium, from its request to its
points; boxes are drawn around the test faces of `youtube_faces`, of random size and place (seed 0);
the order of work is that of iBUG's validation faces, which the network has not seen; the camera is
a film of a portrait that moves. Needs Chromium and the packages of `dev`.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from playwright.sync_api import sync_playwright
from scipy.stats import spearmanr

from benchmarks.common import ROOT, data_source, show
from facekp.cli.compose import compose
from facekp.core.geometry import bounding_box
from facekp.core.image import read_image
from facekp.inference.fitting import disagreement, fit_points
from facekp.inference.predictor import Predictor
from facekp.inference.tta import box_from_points
from facekp.tasks.common import build

FITS = 60
SECONDS = 10
EYES = (36, 45)
BOXES = {
    "as in training": (1.0, 1.0, 0.0),
    "good": (0.9, 1.15, 0.07),
    "sloppy": (0.75, 1.5, 0.15),
    "bad": (0.6, 2.0, 0.25),
}
"""Least and largest scale of the sides, and largest shift in sides."""


def main() -> None:
    """Measure and print."""
    data = Path(data_source()[0].partition("=")[2])
    predictor = Predictor.load()
    show("annotate_boxes", drawn_boxes(predictor, data / "youtube_faces"))
    show("annotate_order", [order_of_work(predictor)])
    show("annotate_page", [*fits(data / "photos"), camera(data / "photos")])


def drawn_boxes(predictor: Predictor, folder: Path) -> list[dict[str, object]]:
    """NME by how a box is drawn, of one pass and of a fit."""
    table = pd.read_csv(folder / "test_frames_keypoints.csv", index_col=0)
    rng = np.random.default_rng(0)
    prior = predictor.description.box_prior
    rows = []
    for name, (least, most, shift) in BOXES.items():
        errors = []
        for file, numbers in table.iterrows():
            image = read_image(folder / "test" / str(file))
            truth = numbers.to_numpy(float).reshape(-1, 2)
            box = box_from_points(truth, prior, bounding_box(truth))
            side = box[2:] - box[:2]
            centre = (box[:2] + box[2:]) / 2 + rng.uniform(-shift, shift, 2) * side
            half = rng.uniform(least, most, 2) * side / 2
            drawn = np.concatenate([centre - half, centre + half])
            once, fitted = (
                predictor.predict_boxes([(image, drawn)])[0],
                fit_points(predictor, image, drawn),
            )
            errors.append([_nme(points, truth) for points in (once, fitted)])
        once_nme, fitted_nme = 100 * np.mean(errors, axis=0)
        rows.append({"box": name, "one pass, NME %": once_nme, "fit, NME %": fitted_nme})
    return rows


def order_of_work(predictor: Predictor) -> dict[str, object]:
    """How much larger the errors are where the network is least sure."""
    settings = [*data_source("part3"), "experiment=part3_medium", "dataset.cache=off"]
    dataset = build(compose(*settings).dataset)
    dataset.prepare_data()
    dataset.setup("fit")
    unsure, errors = [], []
    for record in dataset.splits["val"]:
        image, box = record.load(3), np.asarray(record.bbox, float)
        unsure.append(float(disagreement(predictor, image, box[None], np.zeros(1))[0]))
        errors.append(_nme(predictor.predict_boxes([(image, box)])[0], record.keypoints))
    order = np.argsort(unsure)[::-1]
    tenth = len(order) // 10
    sorted_errors = 100 * np.array(errors)[order]
    return {
        "faces": len(order),
        "rank correlation": float(spearmanr(unsure, errors).statistic),
        "NME %": float(sorted_errors.mean()),
        "of the least sure tenth": float(sorted_errors[:tenth].mean()),
        "of the surest tenth": float(sorted_errors[-tenth:].mean()),
    }


def _nme(points: np.ndarray, truth: np.ndarray) -> float:
    eyes = np.linalg.norm(truth[EYES[0]] - truth[EYES[1]])
    return float(np.linalg.norm(points - truth, axis=1).mean() / eyes)


@contextmanager
def served(*arguments: str) -> Iterator[str]:
    """The address of a task's page."""
    command = [sys.executable, "predict.py", *arguments, "browser=false"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    found = None
    while found is None:
        found = re.search(r"http://127\S+", process.stdout.readline())
    yield found[0]
    process.send_signal(signal.SIGINT)
    process.communicate()


@contextmanager
def opened(address: str, *arguments: str) -> Iterator[Any]:
    """A page in Chromium."""
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", *arguments]
        )
        page = chromium.new_page()
        page.goto(address)
        yield page
        chromium.close()


_FIT = """async (count) => {
  const photo = (await (await fetch('photos/0')).json());
  const { box, angle } = photo.faces[0];
  const times = [];
  for (let at = 0; at < count; at += 1) {
    const shift = 6 * Math.sin(at);
    const moved = box.map((edge) => edge + shift);
    const start = performance.now();
    const body = JSON.stringify({ box: moved, angle });
    const headers = { 'Content-Type': 'application/json' };
    await (await fetch('photos/0/fit', { method: 'POST', body, headers })).json();
    times.push(performance.now() - start);
  }
  return times;
}"""


def fits(folder: Path) -> Iterator[dict[str, object]]:
    """Time of a fit as the page sees it: on a photo of the data, and on one of 48 megapixels."""
    with tempfile.TemporaryDirectory() as name:
        photo = next(iter(sorted(folder.glob("*.jpg"))))
        large = Path(name, "large.jpg")
        image = cv2.resize(
            read_image(photo)[..., ::-1], (8000, 6000), interpolation=cv2.INTER_CUBIC
        )
        cv2.imwrite(str(large), image)
        for label, file in (("fit", photo), ("fit, 48 megapixels", large)):
            task = served("task=annotate", f"input={file}", f"output={name}/out")
            with task as address, opened(address) as page:
                page.locator(".face .point").first.wait_for()
                times = page.evaluate(_FIT, FITS)[5:]
            median, slow = np.percentile(times, (50, 95))
            yield {"what": label, "median": f"{median:.0f} ms", "95 of 100": f"{slow:.0f} ms"}


def camera(folder: Path) -> dict[str, object]:
    """Frames per second that the camera's page shows, of a camera that gives 60."""
    portrait = read_image(sorted(folder.glob("*.jpg"))[0])
    side = max(760 / portrait.shape[0], 760 / portrait.shape[1])
    image = cv2.resize(portrait, None, fx=side, fy=side)
    with tempfile.TemporaryDirectory() as name:
        film = Path(name, "film.y4m")
        with film.open("wb") as stream:
            stream.write(b"YUV4MPEG2 W640 H480 F60:1 Ip A1:1 C420jpeg\n")
            for at in range(240):
                left, top = int(60 + 50 * np.sin(at / 19)), int(60 + 20 * np.cos(at / 19))
                frame = np.ascontiguousarray(image[top : top + 480, left : left + 640])
                stream.write(b"FRAME\n" + cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420).tobytes())
        fake = (
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-video-capture={film}",
        )
        task = served("task=camera", f"output={name}/out")
        with task as address, opened(address, *fake) as page:
            page.wait_for_timeout(3000)
            rates = []
            for _ in range(SECONDS):
                page.wait_for_timeout(1000)
                rates.append(int(page.locator("#rate").inner_text().split()[0]))
    median, slow = np.percentile(rates, (50, 5))
    what = "camera, 640x480, of 60 frames/s"
    return {"what": what, "median": f"{median:.0f} frames/s", "95 of 100": f"{slow:.0f} frames/s"}


if __name__ == "__main__":
    main()
