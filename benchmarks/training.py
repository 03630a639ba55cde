"""Overhead of a training: epochs of `train.py` against the same steps on tensors in memory.

    python -m benchmarks.training [--epochs 4] [EXPERIMENT ...] [OVERRIDE=VALUE ...]
    python -m benchmarks.training part3 trainer.gpus=1 trainer.precision=bf16-mixed

`ceiling` is the same network, optimizer, precision and batch on tensors on the device: no loading,
no augmentation, no logging. Epochs of both alternate, so that a change of the machine's speed
affects both. The first epoch is not counted; medians of the others are shown. `of a wide
convolution` is the speed of the network's steps relative to the machine's best case, a forward
convolution of 256 channels.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd
import pytorch_lightning as L
import torch
from pytorch_lightning.callbacks import Callback
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.common import ON_A_CPU, data_source, run_train, show
from facekp.core.files import atomic_write_text

EXPERIMENTS = ("part1", "part2", "part3")


class Ceiling(Callback):
    """Times the epochs of a training, and between them the same steps on tensors in memory.

    Args:
        path: CSV with one row per epoch, in seconds.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.batches: list[dict[str, torch.Tensor]] = []
        self.twin: Any = None
        self.rows: list[dict[str, float]] = []
        self.started = self.trained = 0.0
        self.faces = self.evaluated = 0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The previous epoch ends here, after its validation, checkpoints and pictures."""
        self._finish(trainer, pl_module)
        self.started, self.faces, self.evaluated = _now(), 0, 0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Keep some batches; the last batch ends the epoch's training."""
        self.faces += len(batch["image"])
        if len(self.batches) < 4:
            self.batches.append({name: value.clone() for name, value in batch.items()})
        if index + 1 == trainer.num_training_batches:
            self.trained = _now()

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count faces."""
        self.evaluated += len(batch["image"])

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The last epoch ends."""
        self._finish(trainer, pl_module)
        operations, speed = self._operations(trainer), _convolution_speed(trainer)
        self.rows = [row | {"operations": operations, "convolution": speed} for row in self.rows]
        atomic_write_text(self.path, pd.DataFrame(self.rows[1:]).to_csv(index=False))

    def _finish(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        ended = _now()
        if not self.batches:
            return
        self._train(trainer, module, self.faces)
        middle = _now()
        self._evaluate(trainer, self.evaluated)
        self.rows.append(
            {
                "images": self.faces,
                "training": self.trained - self.started,
                "training_ceiling": middle - ended,
                "epoch": ended - self.started,
                "epoch_ceiling": _now() - ended,
            }
        )

    def _train(self, trainer: L.Trainer, module: Any, faces: int) -> None:
        if self.twin is None:
            self.twin = copy.deepcopy(module)
            self.optimizer = module.make_optimizer(self.twin.network.parameters())
        self.twin.train()
        for batch in self._ready(faces):
            with trainer.precision_plugin.forward_context():
                loss = self.twin.loss(self.twin(batch["image"]), batch["keypoints"])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def _operations(self, trainer: L.Trainer) -> float:
        """Floating-point operations of an epoch's steps."""
        with FlopCounterMode(display=False) as counter:
            self._train(trainer, self.twin, 1)
        return float(counter.get_total_flops()) * self.faces

    def _evaluate(self, trainer: L.Trainer, faces: int) -> None:
        self.twin.eval()
        with torch.inference_mode(), trainer.precision_plugin.forward_context():
            for batch in self._ready(faces):
                self.twin(batch["image"])

    def _ready(self, faces: int) -> Iterator[dict[str, torch.Tensor]]:
        for batch in cycle(self.batches):
            yield {name: value[:faces] for name, value in batch.items()}
            faces -= len(batch["image"])
            if faces <= 0:
                return


def _convolution_speed(trainer: L.Trainer) -> float:
    """Floating-point operations per second of the forward pass of a wide convolution."""
    images, width, side = 16, 256, 56
    seconds = []
    with torch.inference_mode(), trainer.precision_plugin.forward_context():
        layer = torch.nn.Conv2d(width, width, 3, padding=1, device=trainer.strategy.root_device)
        layer = layer.to(memory_format=torch.channels_last)
        maps = torch.rand(images, side, side, width, device=layer.weight.device).permute(0, 3, 1, 2)
        for _ in range(6):
            begin = _now()
            layer(maps)
            seconds.append(_now() - begin)
    return 2 * images * (side * width) ** 2 * 9 / min(seconds)


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter()


def epoch_times(
    folder: Path, experiment: str, overrides: Sequence[str], epochs: int
) -> pd.DataFrame:
    """One row per epoch except the first, in seconds, of `train.py` and its ceiling."""
    path = folder / "ceiling.csv"
    run_train(
        folder,
        f"experiment={experiment}",
        f"trainer.max_epochs={epochs}",
        "+callbacks.ceiling._target_=benchmarks.training.Ceiling",
        f"+callbacks.ceiling.path={path}",
        *overrides,
    )
    return pd.read_csv(path)


def measure(experiment: str, overrides: Sequence[str], epochs: int) -> dict[str, object]:
    """One row of the table: medians over the epochs."""
    with tempfile.TemporaryDirectory() as folder:
        on_gpu = any(word.startswith("trainer.gpus=") for word in overrides)
        smaller = () if on_gpu else ON_A_CPU.get(experiment, ())
        settings = [*data_source(experiment), *smaller, *overrides]
        times = epoch_times(Path(folder), experiment, settings, epochs)
    middle = times.median()
    return {
        "experiment": " ".join([experiment, *overrides]),
        "images/s": middle["images"] / middle["training"],
        "ceiling images/s": middle["images"] / middle["training_ceiling"],
        "facekp/ceiling": (times["training_ceiling"] / times["training"]).median(),
        "of a wide convolution": middle["operations"]
        / middle["training_ceiling"]
        / middle["convolution"],
        "with validation, files, pictures": (times["epoch_ceiling"] / times["epoch"]).median(),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", default=4, type=int)
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT or OVERRIDE=VALUE")
    arguments = parser.parse_args()
    overrides = [word for word in arguments.experiments if "=" in word]
    experiments = [word for word in arguments.experiments if "=" not in word] or EXPERIMENTS
    rows = [measure(experiment, overrides, arguments.epochs) for experiment in experiments]
    show("training", rows)


if __name__ == "__main__":
    main()
