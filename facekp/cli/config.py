"""Between the configuration and the objects it describes."""

from __future__ import annotations

import functools
import gc
import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from facekp.cli import hydra_errors as explain
from facekp.core.devices import gpu_count
from facekp.core.errors import ConfigError, FacekpError

if TYPE_CHECKING:
    from facekp.data.datamodule import FaceDataModule
    from facekp.models.base import KeypointNetwork

T = TypeVar("T")

TRAINING_KEYS = ("loss", "optimizer", "scheduler")
"""Entries of `model` that are about training; all others are the network's own."""

_DATAMODULE = re.compile(r"facekp\.data\.[a-z0-9_]+\.[A-Z][A-Za-z0-9_]*")
_NETWORK = re.compile(r"facekp\.models\.[a-z0-9_]+\.[A-Z][A-Za-z0-9_]*")


def register_resolvers() -> None:
    """Make `${facekp.run_dir:...}` and the like known to OmegaConf."""
    for resolver in (run_dir, new_dir, gpu_count):
        name = f"facekp.{resolver.__name__}"
        OmegaConf.register_new_resolver(name, resolver, use_cache=True, replace=True)


def new_dir(parent: str) -> str:
    """A new folder named by the time inside `parent`; no two callers ever get the same."""
    time = f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    for number in count(1):
        folder = Path(parent) / (time if number == 1 else f"{time}_{number}")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
        except OSError as error:
            if folder.is_dir():  # another's
                continue
            # Hydra would show a traceback.
            reason = f"{folder} cannot be made ({error.strerror})"
            raise SystemExit(f"error: {reason}: choose another runs_dir=") from None
        break
    return str(folder)


def run_dir(parent: str, ckpt_path: str | None) -> str:
    """Folder of a run: that of the checkpoint it resumes, else a new one inside `parent`."""
    if ckpt_path and Path(ckpt_path).parent.name == "checkpoints" and Path(ckpt_path).is_file():
        return str(Path(ckpt_path).absolute().parent.parent)
    return new_dir(parent)


def build(config: DictConfig, **extra: Any) -> Any:
    """`hydra.utils.instantiate`, with our errors as themselves and all others as a ConfigError."""
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        return instantiate(config, **extra)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, FacekpError):
            raise cause from None
        place = re.search(r"full_key: (\S+)", str(error))
        what = " ".join(str(cause or error).split())
        raise ConfigError(f"{place[1] if place else config.get('_target_')}: {what}") from error


def build_datamodule(dataset: Mapping[str, Any], **changes: Any) -> FaceDataModule:
    """The data module that the `dataset` part of a checkpoint's configuration describes.

    Args:
        dataset: `_target_` and settings; its augmentation is left out.
        **changes: settings that differ here.

    Raises:
        ConfigError: a class that is not a data module of `facekp.data`, or refused settings.
    """
    from facekp.data.datamodule import FaceDataModule

    target = str(dataset.get("_target_"))
    settings = {k: v for k, v in dataset.items() if k not in ("_target_", "augmentation")}
    datamodule = _named_class("dataset", target, _DATAMODULE, FaceDataModule)
    try:
        return datamodule(**settings | changes)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"dataset ({target}): {error}") from error


def _named_class(place: str, target: str, allowed: re.Pattern[str], base: type) -> Any:
    """A class of this project by its full name; nothing else can be named."""
    wrong = f"{place}._target_={target}"
    if not allowed.fullmatch(target):
        raise ConfigError(f"{wrong}: only facekp's own can be built from a file")
    module_name, _, class_name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{wrong}: there is no such class") from error
    fits = isinstance(found, type) and issubclass(found, base) and found.__module__ == module_name
    if not fits:
        raise ConfigError(f"{wrong}: this is no {base.__name__} of facekp")
    return found


def build_network(model: Mapping[str, Any], num_keypoints: int) -> KeypointNetwork:
    """The network that the `model` part of a configuration describes.

    Only classes of `facekp.models` are built, from plain values, also when the configuration comes
    out of a file from a stranger.

    Args:
        model: `_target_`, the network's settings, and the entries of `TRAINING_KEYS`, left aside.
        num_keypoints: K.

    Raises:
        ConfigError: any other class, a value that is itself to be built, or settings that the
            network refuses.
    """
    from facekp.models.base import KeypointNetwork

    target = str(model.get("_target_"))
    settings = {k: v for k, v in model.items() if k != "_target_" and k not in TRAINING_KEYS}
    if "_target_" in repr(settings):
        raise ConfigError(f"model ({target}): its settings must be plain values")
    network = _named_class("model", target, _NETWORK, KeypointNetwork)
    try:
        return network(num_keypoints=num_keypoints, **settings)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model ({target.rpartition('.')[2]}): {error}") from error


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import within it what is large: the garbage collector waits.

    It would go through the modules of torch and Lightning again and again as they grow: a third of
    the time that they take.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def one_line_errors() -> Iterator[None]:
    """An error made for people ends the program as one line, not as a traceback."""
    try:
        yield
    except FacekpError as error:
        raise SystemExit(f"error: {error}") from None
    except OmegaConfBaseException as error:  # e.g. ${a name} that is none
        place = f"{error.full_key}: " if error.full_key else ""
        raise SystemExit(f"error: {place}{str(error).splitlines()[0]}") from None


def readable_errors(function: Callable[[DictConfig], T]) -> Callable[[DictConfig], T]:
    """Decorate a program's main function, see `one_line_errors`."""

    @functools.wraps(function)
    def wrapped(config: DictConfig) -> T:
        explain.begun = True
        with one_line_errors():
            return function(config)

    return wrapped
