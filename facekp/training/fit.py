"""Fitting a network: data, module and trainer to a best checkpoint. No Hydra, no printing."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pytorch_lightning as L
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint

from facekp.core.description import NetworkDescription
from facekp.core.errors import ConfigError, FacekpError
from facekp.core.files import make_folder
from facekp.core.version import __version__
from facekp.data.datamodule import FaceDataModule
from facekp.metrics import KeypointMetrics, metric_names
from facekp.training.callbacks.checkpoint import RunCheckpoint
from facekp.training.callbacks.history import History
from facekp.training.memory import (
    check_memory,
    device_bytes,
    fitting_batch,
    is_oom,
    out_of_memory_error,
    step_memory,
)
from facekp.training.module import KeypointModule

C = TypeVar("C", bound=Callback)

_PACKAGES = (
    "torch", "torchvision", "pytorch-lightning", "torchmetrics", "hydra-core", "omegaconf",
    "albumentations", "opencv-python-headless", "numpy",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class FitResult:
    """Result of a training.

    Args:
        best_ckpt: checkpoint of the best epoch.
        history: one row per epoch.
        metrics: of the best epoch, `val/...`, and on the test split, `test/...`, if there is one.
            Empty in all but the first of several processes.
        earlier_seconds: duration of the training before it was resumed.
    """

    best_ckpt: Path
    history: pd.DataFrame
    metrics: dict[str, float]
    earlier_seconds: float = 0.0


def fit(
    module: KeypointModule,
    datamodule: FaceDataModule,
    trainer: L.Trainer,
    monitor: str = "val/mse",
    ckpt_path: str | None = None,
) -> FitResult:
    """Train and validate, then test if the protocol has an annotated test split.

        callbacks = run_callbacks(run_dir, "val/mse")
        trainer = make_trainer(max_epochs=50, callbacks=callbacks, logger=False)
        result = fit(module, datamodule, trainer)

    Args:
        module: the network with its loss and optimizer.
        datamodule: the data, set up.
        trainer: has the callbacks of `run_callbacks`, perhaps others.
        monitor: the metric whose lowest value is best, see `monitorable`.
        ckpt_path: `last.ckpt` of the run to resume; None: start.

    Raises:
        ConfigError: another metric, also for early stopping, missing callbacks, or a batch that
            does not fit into memory.
        FacekpError: no validation took place, the metric was NaN in every epoch, or a loader
            process died.
    """
    choices = monitorable(module.val_metrics)
    if monitor not in choices:
        raise ConfigError(f"monitor={monitor}: choose one of {', '.join(choices)}")
    recorder = _find(trainer, History)
    best = next((c for c in _all(trainer, ModelCheckpoint) if c.monitor == monitor), None)
    if recorder is None or best is None:
        raise ConfigError(f"the trainer needs the callbacks of run_callbacks(run_dir, {monitor!r})")
    accumulate = int(trainer.accumulate_grad_batches)
    if trainer.strategy.root_device.type == "cpu":
        check_memory(module.network, datamodule, trainer.num_devices, accumulate)
    try:
        trainer.fit(module, datamodule=datamodule, ckpt_path=ckpt_path, weights_only=True)
    except (RuntimeError, MemoryError) as error:
        if is_oom(error):
            crop, batch_size = datamodule.crop, datamodule.batch_size
            step = step_memory(module.network, crop.channels, crop.size)
            fits = fitting_batch(step, device_bytes(trainer.strategy.root_device), batch_size)
            available = "more than there is"
            raise out_of_memory_error(batch_size, accumulate, available, fits) from error
        if str(error).startswith("Early stopping conditioned on metric"):  # says which there are
            raise ConfigError(f"monitor of early stopping: {error}") from error
        if "DataLoader worker" not in str(error):
            raise
        raise FacekpError(
            f"a loader process died ({str(error).splitlines()[0]}), perhaps out of memory: "
            "dataset.num_workers=0 needs least; "
            f"resume={trainer.default_root_dir} continues the run"
        ) from error
    history, earlier_seconds = recorder.frame, recorder.earlier_seconds
    best_ckpt = Path(str(best.dirpath)) / f"{best.filename}.ckpt"
    metrics = _best_metrics(history, monitor) if trainer.is_global_zero else {}
    if datamodule.splits.get("test"):
        # Not by `ckpt_path`: averaged weights would be replaced by those that were averaged.
        best_epoch = torch.load(best_ckpt, map_location="cpu", weights_only=True)
        module.load_state_dict(best_epoch["state_dict"])
        tested = trainer.test(module, datamodule=datamodule, verbose=False)
        metrics |= tested[0] if trainer.is_global_zero else {}
    return FitResult(best_ckpt, history, metrics, earlier_seconds)


def run_callbacks(run_dir: str | Path, monitor: str) -> list[Callback]:
    """The callbacks that `fit` needs: best and last checkpoint, and the history.

    Args:
        run_dir: folder that gets `checkpoints/` and `metrics.csv`.
        monitor: the metric whose lowest value is best.
    """
    folder = Path(run_dir)
    make_folder(folder)
    return [
        RunCheckpoint(folder / "checkpoints", "best", monitor),
        RunCheckpoint(folder / "checkpoints", "last"),
        History(folder / "metrics.csv"),
    ]


def monitorable(metrics: KeypointMetrics) -> tuple[str, ...]:
    """Metrics that can choose the best epoch: those that are better when lower."""
    names = metric_names(metrics.threshold, metrics.normalizer, lower_is_better=True)
    return "val/loss", *(f"val/{name}" for name in names)


def describe(
    datamodule: FaceDataModule,
    config: Mapping[str, Any],
    detector_prior: np.ndarray | None = None,
) -> NetworkDescription:
    """Description of a network that is trained on some data.

    Args:
        datamodule: the data, set up.
        config: resolved configuration of the training, plain containers: at least `seed`, `model`
            and `dataset`.
        detector_prior: see `measure_detector_prior`; None: from all points of the scheme.
    """
    if detector_prior is None and datamodule.num_keypoints < datamodule.scheme.count:
        detector_prior = datamodule.box_prior(range(datamodule.scheme.count))
    return NetworkDescription(
        scheme=datamodule.scheme,
        points=tuple(datamodule.points),
        crop=datamodule.crop,
        box_source=datamodule.box_source,
        box_prior=datamodule.box_prior(datamodule.points),
        detector_prior=detector_prior,
        mean_shape=datamodule.mean_shape().numpy().astype(float),
        config=config,
        protocol=datamodule.protocol,
        data_fingerprint=datamodule.fingerprint(),
        seed=int(config.get("seed", 0)),
        version=__version__,
        environment={
            "python": platform.python_version(),
            "machine": platform.platform(),
            "cpus": os.cpu_count(),
            **{name: version(name) for name in _PACKAGES},
        },
    )


def _all(trainer: L.Trainer, base: type[C]) -> list[C]:
    """The trainer's callbacks of some class."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return [callback for callback in callbacks if isinstance(callback, base)]


def _find(trainer: L.Trainer, base: type[C]) -> C | None:
    return next(iter(_all(trainer, base)), None)


def _best_metrics(history: pd.DataFrame, monitor: str) -> dict[str, float]:
    """The row of the best epoch."""
    if monitor not in history:
        raise FacekpError("the run ended before its first validation: give it more time")
    if history[monitor].isna().all():
        raise FacekpError(f"{monitor} was NaN in every epoch: lower model.optimizer.lr")
    best = history.iloc[int(history[monitor].argmin())]
    return {str(name): float(value) for name, value in best.items()}
