"""What can be known to be wrong with a configuration before anything heavy is imported."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from facekp.data.sources import SOURCES
from facekp.devices import may_have_gpu
from facekp.errors import ConfigError
from facekp.weights import SHIPPED, located

_WHOLE = {
    "seed": 0,
    "trainer.max_epochs": 1,
    "trainer.cpus": 1,
    "trainer.check_val_every_n_epoch": 1,
    "trainer.accumulate_grad_batches": 1,
    "dataset.batch_size": 1,
    "dataset.num_workers": 0,
    "model.scheduler.step_size": 1,
}
"""Whole numbers, and the least that each may be."""
_ONE_OR_LISTS = ("model.kernel_sizes", "model.paddings")
"""One whole number, or a list of them."""
_BOOLEANS = (
    "report", "dataset.square", "dataset.download", "trainer.compile", "model.pretrained",
    "model.sigmoid", "model.hidden_relu",
)  # fmt: skip
_MAY_BE_NULL = ("dataset.num_workers", "dataset.points")
_NUMBERS = {
    "threshold": "above 0",
    "dataset.box_scale": "above 0",
    "dataset.val_fraction": "above 0",
    "model.optimizer.lr": "at least 0",
}
"""Numbers, and what each must be."""
_NOTHING = object()
_LISTS = {
    "dataset.points": "[36,45]",
    "dataset.val_people": "[33,34]",
    "model.input_size": "[128,128]",
    "model.widths": "[32,64,128,192]",
    "model.blocks": "[2,2,2,2]",
    "model.channels": "[12,24,32]",
    "model.hidden": "[128]",
    "model.pool_after": "[1,2]",
}
"""Lists of whole numbers, with an example each."""


def check(cfg: DictConfig) -> None:
    """Refuse what cannot work, before anything is read or written.

    Raises:
        ConfigError: a setting, or a device or checkpoint that is not there.
        DataError: the data set is not there.
    """
    _check_kinds(cfg)
    every, epochs = cfg.trainer.check_val_every_n_epoch, cfg.trainer.max_epochs
    if every > epochs:
        raise ConfigError(
            f"trainer.check_val_every_n_epoch={every}: none of trainer.max_epochs={epochs} would "
            "be validated, and no best one kept"
        )
    if not re.fullmatch(r"[^/\\\0]+", str(cfg.name)):
        raise ConfigError(f"name={cfg.name}: it names a folder, so no slash can be in it")
    for own, network in (("channels", "in_channels"), ("input_size", "input_size")):
        if cfg.dataset[own] != cfg.model[network]:
            raise ConfigError(
                f"dataset.{own}={cfg.dataset[own]} but model.{network}={cfg.model[network]}: set "
                "the model's, the data set follows"
            )
    precisions = ("32-true", "64-true", "bf16-mixed", "16-mixed")
    if str(cfg.trainer.precision) not in precisions:  # 16 bits alone would round the points
        given = cfg.trainer.precision
        raise ConfigError(f"trainer.precision={given}: choose one of {', '.join(precisions)}")
    _check_devices(cfg)
    if cfg.ckpt_path:
        _check_checkpoint(cfg.ckpt_path, Path(cfg.run_dir))
    for name in ("init_from", "teacher"):
        if name == "init_from" and cfg.ckpt_path:
            continue  # the run has its own weights by now
        if cfg[name] and not located(cfg[name]).is_file():
            there = ", ".join(SHIPPED)
            raise ConfigError(f"{name}={cfg[name]}: there is no such file; or give one of {there}")
    source = SOURCES.get(str(cfg.dataset.get("_target_")).rpartition(".")[2])
    if source and not cfg.dataset.download:
        source.require(cfg.dataset.data_dir)


def _check_kinds(cfg: DictConfig) -> None:
    """Numbers where numbers belong, lists where lists do, and no more than the machine can do."""
    for part in ("trainer", "dataset", "model", "callbacks"):
        if not isinstance(cfg.get(part), DictConfig):
            raise ConfigError(f"{part}={cfg.get(part)}: a run cannot do without")
    for name, least in _WHOLE.items():
        value = _given(cfg, name)
        if value is not _NOTHING and (not _whole(value) or value < least):
            raise ConfigError(f"{name}={value}: give a whole number, at least {least}")
    for name, bound in _NUMBERS.items():
        value = _given(cfg, name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = number and (value >= 0 if bound == "at least 0" else value > 0)
        if value is not _NOTHING and not (fits and math.isfinite(value)):
            raise ConfigError(f"{name}={value}: give a number {bound}")
    for name, example in _LISTS.items():
        value = _given(cfg, name)
        numbers = isinstance(value, ListConfig) and all(_whole(one) for one in value)
        if value is not _NOTHING and not numbers:
            raise ConfigError(f"{name}={value}: give a list of whole numbers, e.g. {example}")
    for name in _ONE_OR_LISTS:
        value = _given(cfg, name)
        numbers = _whole(value) or (isinstance(value, ListConfig) and all(map(_whole, value)))
        if value is not _NOTHING and not numbers:
            raise ConfigError(f"{name}={value}: give a whole number, or a list of them")
    for name in _BOOLEANS:
        value = _given(cfg, name)
        if value is not _NOTHING and not isinstance(value, bool):
            raise ConfigError(f"{name}={value}: give true or false")
    if max(cfg.model.input_size) > 4096:
        raise ConfigError(f"model.input_size={cfg.model.input_size}: at most 4096 a side")
    cores = os.cpu_count() or 1
    for name in ("dataset.num_workers", "trainer.cpus"):
        value = OmegaConf.select(cfg, name)
        if value is not None and value > 4 * cores:
            raise ConfigError(f"{name}={value}: there are {cores} cores here")


def _given(cfg: DictConfig, name: str) -> Any:
    """A setting; nothing where the configuration has none, or null where that is a choice."""
    value = OmegaConf.select(cfg, name, default=_NOTHING)
    return _NOTHING if value is None and name in _MAY_BE_NULL else value


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_devices(cfg: DictConfig) -> None:
    gpus = cfg.trainer.gpus
    wanted = wanted_gpus(gpus)
    several = gpus == -1 or len(wanted) > 1
    if (several or cfg.trainer.cpus > 1) and in_a_sweep():
        raise ConfigError(
            f"trainer.gpus={gpus}, cpus={cfg.trainer.cpus} in a sweep: a run on several devices "
            "starts its own command again, which a sweeper would take for another job; use one "
            "device a job"
        )
    if wanted and not may_have_gpu():
        raise no_gpu(gpus, 0)


def in_a_sweep() -> bool:
    """Whether this is a job of a sweep."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def wanted_gpus(gpus: object) -> Sequence[int]:
    """Indices that `trainer.gpus` asks for; of -1, the first alone, as their number is unknown.

    Raises:
        ConfigError: neither a number nor a list of indices.
    """
    numbers: list[Any] = list(gpus) if isinstance(gpus, list | tuple | ListConfig) else [gpus]
    if not numbers or not all(map(_whole, numbers)) or (isinstance(gpus, int) and gpus < -1):
        raise ConfigError(f"trainer.gpus={gpus}: give a number, -1 for all, or a list of indices")
    if isinstance(gpus, int):
        return range(1 if gpus == -1 else gpus)
    return numbers


def no_gpu(gpus: object, found: int) -> ConfigError:
    """The error for GPUs that are not there."""
    return ConfigError(
        f"trainer.gpus={gpus}: there are {found} CUDA GPUs here; trainer.gpus=0 trains on the CPU"
    )


def _check_checkpoint(ckpt_path: str, run_dir: Path) -> None:
    if not Path(ckpt_path).is_file():
        raise ConfigError(f"ckpt_path={ckpt_path}: there is no such file")
    if Path(ckpt_path).absolute().parent != run_dir.absolute() / "checkpoints":
        raise ConfigError(
            f"ckpt_path={ckpt_path}: a run goes on in its own folder; give resume=RUN, or "
            "RUN/checkpoints/last.ckpt of a whole run, not in a sweep"
        )
