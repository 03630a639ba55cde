"""Helpers that several test modules share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch

from facekp.core.landmarks import IMM58
from facekp.data.formats.dlib_xml import XmlWriter
from facekp.data.ibug import IBUGDataModule
from facekp.data.imm import IMMDataModule
from facekp.data.records import FaceRecord
from facekp.inference.detectors import WholeImage
from facekp.inference.predictor import Predictor
from facekp.models.factory import build_network
from facekp.tasks.predict import predict
from tests.conftest import ROOT, composed

Run = Callable[..., tuple[float, Path]]
FOLDER = "ibug_300W_large_face_landmark_dataset"
PATHS = [(chain, name in IMM58.closed) for name, chain in IMM58.parts.items()]
POINTS58 = np.random.default_rng(0).uniform(0, 400, (58, 2))
POINTS68 = np.random.default_rng(1).uniform(-20, 400, (68, 2))


def imm(folder: Path, **settings: Any) -> IMMDataModule:
    module = IMMDataModule(data_dir=folder, input_size=(60, 80), **settings)
    module.setup()
    return module


def ibug(folder: Path, **settings: Any) -> IBUGDataModule:
    module = IBUGDataModule(data_dir=folder, input_size=(96, 96), **settings)
    module.setup()
    return module


def write_xml(folder: Path, change: Callable[[str], str] = lambda text: text) -> Path:
    writer = XmlWriter("test")
    writer.add("afw/a_1.jpg", (10, 20, 100, 110), POINTS68, (480, 640))
    writer.add("afw/b_1.jpg", (-5, -6, 50, 50), None)
    writer.write(folder / "x.xml")
    (folder / "x.xml").write_text(change((folder / "x.xml").read_text()))
    return folder / "x.xml"


def network(name: str, keypoints: int, *overrides: str) -> torch.nn.Module:
    return build_network(composed(f"model={name}", *overrides).model, keypoints)


def blobs(points: np.ndarray, size: tuple[int, int], sigma: float) -> np.ndarray:
    """One picture (H, W) uint8 a point, with a Gaussian blob at it."""
    ys, xs = np.mgrid[: size[0], : size[1]]
    squared = (xs - points[:, 0, None, None]) ** 2 + (ys - points[:, 1, None, None]) ** 2
    return np.round(255 * np.exp(-squared / (2 * sigma**2))).astype(np.uint8)


def centre_of(image: np.ndarray) -> np.ndarray:
    """Centre of mass (2,) of a picture (H, W)."""
    ys, xs = np.mgrid[: image.shape[0], : image.shape[1]]
    weight = image / image.sum(dtype=float)
    return np.array([(xs * weight).sum(), (ys * weight).sum()])


def frames(path: Path) -> np.ndarray:
    reader = cv2.VideoCapture(str(path))
    found = []
    while (read := reader.read())[0]:
        found.append(read[1][..., ::-1])
    return np.stack(found)


class Page(HTMLParser):
    """Headings, ids, and what would be fetched from elsewhere."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.ids: list[str] = []
        self.fetched: list[str] = []
        self._in_heading = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self._in_heading = tag == "h2"
        if attributes.get("id"):
            self.ids.append(attributes["id"] or "")
        source = attributes.get("src") or (attributes.get("href") if tag == "link" else None)
        if source and not source.startswith("data:"):
            self.fetched.append(source)

    def handle_data(self, data: str) -> None:
        if self._in_heading:
            self.headings.append(data)
            self._in_heading = False


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]


def figures(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "metrics.csv").drop(columns="images_per_second")


def annotated_face(points: np.ndarray | None = None, name: str = "a") -> FaceRecord:
    """A record that is not read from a file."""
    return FaceRecord(Path(name), np.zeros(4), points, name, name, name, (Path(name), None))


def assert_same_end(a: Path, b: Path) -> None:
    first, second = weights(a), weights(b)
    assert all(torch.equal(first[name], second[name]) for name in first)
    pd.testing.assert_frame_equal(figures(a), figures(b), check_exact=True)


def run_photos(checkpoint: Path, output: Path, input: Any, **changes: Any) -> pd.DataFrame:  # noqa: A002
    output.mkdir(exist_ok=True)
    boxes, detector = changes.get("boxes"), changes.get("detector", WholeImage)
    predictor = Predictor.load(checkpoint, detector, batch_size=8)
    predict(predictor, input, boxes, str(output))
    return pd.read_csv(output / "predictions.csv")


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "train.py"), *arguments, f"runs_dir={folder}/runs"]


def train_py(folder: Path, *arguments: str, **settings: object) -> subprocess.CompletedProcess:
    """Run `train.py` to its end."""
    return subprocess.run(
        command(folder, *arguments),
        capture_output=True, text=True, cwd=folder, check=False, **settings,  # type: ignore[call-overload]
    )  # fmt: skip


def sweep_table(folder: Path) -> pd.DataFrame:
    (path,) = folder.glob("runs/sweeps/*/sweep.csv")
    return pd.read_csv(path).set_index("job").sort_index()
