"""Validation of a training's settings before anything heavy is imported."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

from omegaconf import DictConfig, ListConfig, OmegaConf

from facekp.cli.config import in_sweep
from facekp.core.description import MAX_INPUT_SIDE
from facekp.core.devices import may_have_gpu, missing_gpu_error, requested_gpus
from facekp.core.errors import ConfigError
from facekp.data.registry import DATASETS
from facekp.data.splits import parse_fold
from facekp.models.bundled import BUNDLED_NAMES, resolve_checkpoint


class _Rule(NamedTuple):
    """What a setting must be: a test of its value, and its description."""

    accepts: Callable[[Any], bool]
    description: str


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_integers(value: object) -> bool:
    return isinstance(value, ListConfig) and all(map(_is_integer, value))


def _are_names(value: object) -> bool:
    return isinstance(value, ListConfig) and all(isinstance(entry, str) for entry in value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _integer_from(least: int) -> _Rule:
    return _Rule(lambda v: _is_integer(v) and v >= least, f"a whole number, at least {least}")


def _integers_like(example: str) -> _Rule:
    return _Rule(_are_integers, f"a list of whole numbers, e.g. {example}")


def _is_fold(value: object) -> bool:
    try:
        parse_fold(value)
    except ConfigError:
        return False
    return True


_ABOVE_0 = _Rule(lambda v: _is_number(v) and v > 0, "a number above 0")
_FROM_0 = _Rule(lambda v: _is_number(v) and v >= 0, "a number at least 0")
_BOOLEAN = _Rule(lambda v: isinstance(v, bool), "true or false")
_ONE_OR_MORE = _Rule(
    lambda v: _is_integer(v) or _are_integers(v), "a whole number, or a list of them"
)
_NAMES = _Rule(_are_names, "a list of packages, e.g. [my_package]")
_RULES = {
    "seed": _integer_from(0),
    "threshold": _ABOVE_0,
    "report": _BOOLEAN,
    "plugins": _NAMES,
    "trainer.max_epochs": _integer_from(1),
    "trainer.cpus": _integer_from(1),
    "trainer.check_val_every_n_epoch": _integer_from(1),
    "trainer.accumulate_grad_batches": _integer_from(1),
    "trainer.compile": _BOOLEAN,
    "dataset.batch_size": _integer_from(1),
    "dataset.num_workers": _integer_from(0),
    "dataset.points": _integers_like("[36,45]"),
    "dataset.val_people": _integers_like("[33,34]"),
    "dataset.val_fraction": _ABOVE_0,
    "dataset.test_fraction": _FROM_0,
    "dataset.split_seed": _integer_from(0),
    "dataset.fold": _Rule(_is_fold, "K/N, e.g. 1/5, the first of five folds"),
    "dataset.box_scale": _ABOVE_0,
    "dataset.square": _BOOLEAN,
    "dataset.file_splits": _BOOLEAN,
    "dataset.download": _BOOLEAN,
    "model.input_size": _Rule(
        lambda v: _are_integers(v) and len(v) == 2 and min(v) > 0,
        "a list of two whole numbers, e.g. [128,128]",
    ),
    "model.widths": _integers_like("[32,64,128,192]"),
    "model.blocks": _integers_like("[2,2,2,2]"),
    "model.channels": _integers_like("[12,24,32]"),
    "model.hidden": _integers_like("[128]"),
    "model.pool_after": _integers_like("[1,2]"),
    "model.head_width": _integer_from(1),
    "model.margin": _integer_from(0),
    "model.kernel_sizes": _ONE_OR_MORE,
    "model.paddings": _ONE_OR_MORE,
    "model.pretrained": _BOOLEAN,
    "model.sigmoid": _BOOLEAN,
    "model.hidden_relu": _BOOLEAN,
    "model.loss.beta": _FROM_0,
    "model.loss.width": _ABOVE_0,
    "model.loss.epsilon": _ABOVE_0,
    "model.optimizer.lr": _FROM_0,
    "model.optimizer.weight_decay": _FROM_0,
    "model.optimizer.momentum": _FROM_0,
    "model.optimizer.nesterov": _BOOLEAN,
    "model.optimizer.fused": _BOOLEAN,
    "model.scheduler.step_size": _integer_from(1),
    "model.scheduler.gamma": _ABOVE_0,
    "model.scheduler.T_max": _integer_from(1),
    "model.scheduler.div_factor": _ABOVE_0,
    "model.scheduler.pct_start": _Rule(
        lambda v: _is_number(v) and 0 <= v <= 1, "a number from 0 to 1"
    ),
}
"""By name of the setting; not all configurations have all settings."""
_MAY_BE_NULL = ("dataset.num_workers", "dataset.points", "dataset.fold", "model.optimizer.fused")
_ABSENT = object()
_SOME_KEYPOINTS = 68
"""Before the data is read; no network of facekp depends on it."""


def validate_config(cfg: DictConfig) -> None:
    """Refuse settings that cannot work, before anything is read or written.

    Raises:
        ConfigError: a setting that cannot work, a missing device or a missing checkpoint.
        DataError: a missing data set.
    """
    check_settings(cfg)
    check_devices(cfg, in_sweep())
    if "train" in cfg.dataset and not cfg.dataset.train:
        raise ConfigError("dataset.train= is missing: give a file or folder of annotations")
    target = str(cfg.dataset.get("_target_"))
    info = DATASETS.get(target.rpartition(".")[2]) if target.startswith("facekp.") else None
    if info and not cfg.dataset.download:
        info.require(cfg.dataset.data_dir)


def check_settings(cfg: DictConfig) -> None:
    """Refuse values that cannot work on any machine, with any data.

    Raises:
        ConfigError: a setting that cannot work, or a missing checkpoint.
    """
    _check_rules(cfg)
    every, epochs = cfg.trainer.check_val_every_n_epoch, cfg.trainer.max_epochs
    if every > epochs:
        raise ConfigError(
            f"trainer.check_val_every_n_epoch={every}: none of trainer.max_epochs={epochs} would "
            "be validated, and none kept as best"
        )
    if not re.fullmatch(r"[^/\\\0]+", str(cfg.name)):
        raise ConfigError(f"name={cfg.name}: it names a folder, so no slash can be in it")
    for of_data, of_model in (("channels", "in_channels"), ("input_size", "input_size")):
        if cfg.dataset[of_data] != cfg.model[of_model]:
            raise ConfigError(
                f"dataset.{of_data}={cfg.dataset[of_data]} but model.{of_model}="
                f"{cfg.model[of_model]}: set the model's, the data set follows"
            )
    precisions = ("auto", "32-true", "bf16-mixed", "16-mixed")
    precision = cfg.trainer.precision
    if str(precision) not in precisions:  # pure 16 bits would round the points
        raise ConfigError(f"trainer.precision={precision}: choose one of {', '.join(precisions)}")
    _check_weights(cfg)


def _check_weights(cfg: DictConfig) -> None:
    """Check that the checkpoints exist that a run is resumed, initialised or distilled from."""
    if cfg.ckpt_path:
        _check_checkpoint(str(cfg.ckpt_path), Path(str(cfg.run_dir)))
    for name in ("init_from", "teacher"):
        if name == "init_from" and cfg.ckpt_path:
            continue  # a resumed run has weights of its own
        value = cfg[name]
        if value and not (isinstance(value, str) and resolve_checkpoint(value).is_file()):
            raise ConfigError(
                f"{name}={value}: there is no such file; or give one of {BUNDLED_NAMES}"
            )
    if cfg.init_from and not cfg.ckpt_path and cfg.model.get("pretrained"):
        raise ConfigError(
            f"init_from={cfg.init_from} and model.pretrained=true: both say which weights the run "
            "starts from; leave one out, or give init_from=null"
        )


def _check_rules(cfg: DictConfig) -> None:
    """Check types and ranges."""
    for part in ("trainer", "dataset", "model", "callbacks"):
        if not isinstance(cfg.get(part), DictConfig):
            raise ConfigError(f"{part}={cfg.get(part)}: a run needs it")
    for name, rule in _RULES.items():
        value = _value(cfg, name)
        if value is not _ABSENT and not rule.accepts(value):
            raise ConfigError(f"{name}={value}: give {rule.description}")
    if cfg.seed >= 2**32:  # NumPy takes no larger one
        raise ConfigError(f"seed={cfg.seed}: give a whole number below 2^32")
    if max(cfg.model.input_size) > MAX_INPUT_SIDE:
        raise ConfigError(
            f"model.input_size={cfg.model.input_size}: at most {MAX_INPUT_SIDE} per side"
        )


def _value(cfg: DictConfig, name: str) -> Any:
    """The value of a setting; absent if the configuration has none, or if null is a valid value."""
    value = OmegaConf.select(cfg, name, default=_ABSENT)
    return _ABSENT if value is None and name in _MAY_BE_NULL else value


def check_network(cfg: DictConfig) -> None:
    """Refuse settings that one of facekp's networks refuses; imports torch, which takes seconds.

    Raises:
        ConfigError: as `build_network`.
    """
    from facekp.models.factory import build_network

    model = cast("dict[str, Any]", OmegaConf.to_container(cfg.model, resolve=True))
    if not str(model.get("_target_")).startswith("facekp."):
        return  # it may depend on the number of points
    build_network(model, _SOME_KEYPOINTS, trusted=True, pretrained=False)


def check_devices(cfg: DictConfig, is_job: bool, on_this_machine: bool = True) -> None:
    """Refuse devices and processes that a run cannot have.

    Args:
        cfg: the configuration.
        is_job: whether the run is a job of a sweep.
        on_this_machine: False if a cluster's nodes run it, whose devices are unknown here.

    Raises:
        ConfigError: several devices in a sweep, a GPU where there is none, or far more processes
            than cores.
    """
    gpus = cfg.trainer.gpus
    wanted = requested_gpus(gpus)
    several = gpus == -1 or len(wanted) > 1
    if (several or cfg.trainer.cpus > 1) and is_job:
        raise ConfigError(
            f"trainer.gpus={gpus}, cpus={cfg.trainer.cpus} in a sweep: a run on several devices "
            "starts its own command again, which a sweeper would take for another job; use one "
            "device per job"
        )
    if not on_this_machine:
        return
    if wanted and not may_have_gpu():
        raise missing_gpu_error(gpus, 0)
    cores = os.cpu_count() or 1
    for name in ("dataset.num_workers", "trainer.cpus"):
        value = OmegaConf.select(cfg, name)
        if value is not None and value > 4 * cores:
            raise ConfigError(f"{name}={value}: there are {cores} cores here")


def _check_checkpoint(ckpt_path: str, run_dir: Path) -> None:
    if not Path(ckpt_path).is_file():
        raise ConfigError(f"ckpt_path={ckpt_path}: there is no such file")
    if Path(ckpt_path).absolute().parent != run_dir.absolute() / "checkpoints":
        raise ConfigError(
            f"ckpt_path={ckpt_path}: a run is resumed in its own folder; give resume=RUN, or "
            "RUN/checkpoints/last.ckpt of a complete run, not in a sweep"
        )
