"""A plain training loop, as one writes it first, against `train.py`: same network, batch, data.

    python -m benchmarks.plain_loop [EXPERIMENT ...]

The plain loop opens each JPEG with Pillow on access, converts, crops and resizes it, and rotates
image and points with scikit-image if the experiment augments; `DataLoader` in the same process,
float32, the network's layers in their published order, default settings of torch. The first pass of
each is not counted.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from rich.progress import track
from skimage.transform import AffineTransform, rotate
from torch import nn
from torch.utils.data import DataLoader, Dataset

import facekp
from benchmarks.common import ON_A_CPU, data_source, show
from benchmarks.training import epoch_times
from facekp.data.datamodule import FaceDataModule
from facekp.data.records import FaceRecord
from facekp.models.factory import build_network
from facekp.tasks.common import build

EXPERIMENTS = ("part1_240x320", "part2_240x320", "part3")


class PlainFaces(Dataset):
    """A simple data set of faces."""

    def __init__(self, datamodule: FaceDataModule, degrees: float) -> None:
        self.records: list[FaceRecord] = datamodule.splits["train"]
        self.points, self.degrees = datamodule.points, degrees
        self.crop = datamodule.crop

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """A face, (1, H, W) and (K, 2)."""
        record, (height, width) = self.records[index], self.crop.size
        assert record.keypoints is not None
        left, top, right, bottom = self.crop.expand(record.bbox)
        photo = Image.open(record.image).convert("L").crop((left, top, right, bottom))
        image = np.asarray(photo.resize((width, height)), dtype=np.float32) / 255 - 0.5
        points = (record.keypoints[self.points] - (left, top)) / (right - left, bottom - top)
        if self.degrees:
            angle = np.random.uniform(-self.degrees, self.degrees)  # noqa: NPY002  # as is common
            image = rotate(image, angle, mode="edge").astype(np.float32)
            middle = np.array([width, height]) / 2
            turn = (
                AffineTransform(translation=-middle)
                + AffineTransform(rotation=np.deg2rad(-angle))
                + AffineTransform(translation=middle)
            )
            points = turn(points * (width, height)) / (width, height)
        return torch.from_numpy(image)[None], torch.tensor(points, dtype=torch.float32)


def plain_epoch(cfg: DictConfig, datamodule: FaceDataModule, most: int) -> float:
    """Seconds per image in one epoch of the plain loop, over at most `most` images."""
    degrees = 15.0 if cfg.augmentation.transforms else 0.0
    faces = PlainFaces(datamodule, degrees)
    config = OmegaConf.to_container(cfg.model, resolve=True)
    assert isinstance(config, dict)
    network = build_network({str(k): v for k, v in config.items()}, datamodule.num_keypoints)
    as_published(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=cfg.model.optimizer.lr)
    criterion = torch.nn.MSELoss()
    loader = DataLoader(faces, batch_size=cfg.dataset.batch_size, shuffle=True)
    begin, seen = perf_counter(), 0
    for images, points in track(loader, f"{cfg.name}, plain", transient=True):
        loss = criterion(network(images), points)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        seen += len(images)
        if seen >= most:
            break
    return (perf_counter() - begin) / seen


def as_published(network: nn.Module) -> None:
    """Move each ReLU before its max-pool: facekp exchanges them, with the same result."""
    layers = getattr(network, "features", [])
    for at in [at for at, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]:
        layers[at], layers[at + 1] = layers[at + 1], layers[at]


def measure(experiment: str) -> dict[str, object]:
    """One row of the table: a plain epoch and epochs of `train.py`."""
    source = [*data_source(experiment), *ON_A_CPU.get(experiment, ())]
    with tempfile.TemporaryDirectory() as folder:
        cfg = facekp.compose(f"experiment={experiment}", f"run_dir={folder}", *source)
        datamodule: FaceDataModule = build(cfg.dataset)
        datamodule.prepare_data()
        datamodule.setup()
        plain = median([plain_epoch(cfg, datamodule, 384) for _ in range(3)][1:])
        ours = epoch_times(Path(folder), experiment, source, epochs=3)
    training = (ours["training"] / ours["images"]).median()
    epoch = (ours["epoch"] / ours["images"]).median()
    return {
        "experiment": experiment,
        "plain images/s": 1 / plain,
        "facekp images/s": 1 / training,
        "facekp/plain": plain / training,
        "with validation, files, pictures": plain / epoch,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiments", nargs="*", default=EXPERIMENTS)
    rows = [measure(experiment) for experiment in parser.parse_args().experiments]
    show("plain_loop", rows)


if __name__ == "__main__":
    main()
