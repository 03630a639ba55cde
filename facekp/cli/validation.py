"""What can be known to be wrong with a configuration before anything heavy is imported."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from facekp.data.registry import SOURCES
from facekp.core.devices import may_have_gpu
from facekp.core.errors import ConfigError
from facekp.models.bundled import NAMES, located


class _Kind(NamedTuple):
    """What a setting must be: a test of its value, and the words for it."""

    fits: Callable[[Any], bool]
    wanted: str


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _wholes(value: object) -> bool:
    return isinstance(value, ListConfig) and all(map(_whole, value))


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole_from(least: int) -> _Kind:
    return _Kind(lambda v: _whole(v) and v >= least, f"a whole number, at least {least}")


def _wholes_like(example: str) -> _Kind:
    return _Kind(_wholes, f"a list of whole numbers, e.g. {example}")


_ABOVE_0 = _Kind(lambda v: _number(v) and v > 0, "a number above 0")
_FROM_0 = _Kind(lambda v: _number(v) and v >= 0, "a number at least 0")
_BOOLEAN = _Kind(lambda v: isinstance(v, bool), "true or false")
_ONE_OR_MORE = _Kind(lambda v: _whole(v) or _wholes(v), "a whole number, or a list of them")
_KINDS = {
    "seed": _whole_from(0),
    "threshold": _ABOVE_0,
    "report": _BOOLEAN,
    "trainer.max_epochs": _whole_from(1),
    "trainer.cpus": _whole_from(1),
    "trainer.check_val_every_n_epoch": _whole_from(1),
    "trainer.accumulate_grad_batches": _whole_from(1),
    "trainer.compile": _BOOLEAN,
    "dataset.batch_size": _whole_from(1),
    "dataset.num_workers": _whole_from(0),
    "dataset.points": _wholes_like("[36,45]"),
    "dataset.val_people": _wholes_like("[33,34]"),
    "dataset.val_fraction": _ABOVE_0,
    "dataset.box_scale": _ABOVE_0,
    "dataset.square": _BOOLEAN,
    "dataset.download": _BOOLEAN,
    "model.input_size": _wholes_like("[128,128]"),
    "model.widths": _wholes_like("[32,64,128,192]"),
    "model.blocks": _wholes_like("[2,2,2,2]"),
    "model.channels": _wholes_like("[12,24,32]"),
    "model.hidden": _wholes_like("[128]"),
    "model.pool_after": _wholes_like("[1,2]"),
    "model.kernel_sizes": _ONE_OR_MORE,
    "model.paddings": _ONE_OR_MORE,
    "model.pretrained": _BOOLEAN,
    "model.sigmoid": _BOOLEAN,
    "model.hidden_relu": _BOOLEAN,
    "model.optimizer.lr": _FROM_0,
    "model.scheduler.step_size": _whole_from(1),
}
"""Settings by name, where a configuration has them."""
_MAY_BE_NULL = ("dataset.num_workers", "dataset.points")
_NOTHING = object()


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
        given = cfg[name]
        if given and not (isinstance(given, str) and located(given).is_file()):
            raise ConfigError(f"{name}={given}: there is no such file; or give one of {NAMES}")
    source = SOURCES.get(str(cfg.dataset.get("_target_")).rpartition(".")[2])
    if source and not cfg.dataset.download:
        source.require(cfg.dataset.data_dir)


def _check_kinds(cfg: DictConfig) -> None:
    """Numbers where numbers belong, lists where lists do, and no more than the machine can do."""
    for part in ("trainer", "dataset", "model", "callbacks"):
        if not isinstance(cfg.get(part), DictConfig):
            raise ConfigError(f"{part}={cfg.get(part)}: a run cannot do without")
    for name, kind in _KINDS.items():
        value = _given(cfg, name)
        if value is not _NOTHING and not kind.fits(value):
            raise ConfigError(f"{name}={value}: give {kind.wanted}")
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
