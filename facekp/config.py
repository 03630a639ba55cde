"""Between the configuration and the objects it describes."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from facekp.errors import ConfigError, FacekpError

if TYPE_CHECKING:
    from facekp.models.base import KeypointNetwork

TRAINING_KEYS = ("loss", "optimizer", "scheduler")
"""Entries of `model` that are about training; all others are the network's own."""

_NETWORK = re.compile(r"facekp\.models\.[a-z0-9_]+\.[A-Z][A-Za-z0-9_]*")


def register_resolvers() -> None:
    """Make `${facekp.run_dir:...}` and `${facekp.new_dir:...}` known to OmegaConf."""
    for resolver in (run_dir, new_dir):
        name = f"facekp.{resolver.__name__}"
        OmegaConf.register_new_resolver(name, resolver, use_cache=True, replace=True)


def new_dir(parent: str) -> str:
    """A new folder named by the time inside `parent`; no two callers ever get the same."""
    time = f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    for number in count(1):
        folder = Path(parent) / (time if number == 1 else f"{time}_{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
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
        what = str(cause or error).splitlines()[0]
        raise ConfigError(f"{place[1] if place else config.get('_target_')}: {what}") from error


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
    if not _NETWORK.fullmatch(target) or "_target_" in repr(settings):
        raise ConfigError(f"model._target_={target}: only networks of facekp.models can be built")
    module_name, _, class_name = target.rpartition(".")
    try:
        network = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"model._target_={target}: there is no such network") from error
    if not (isinstance(network, type) and issubclass(network, KeypointNetwork)):
        raise ConfigError(f"model._target_={target}: this is not a network")
    if network.__module__ != module_name:
        raise ConfigError(f"model._target_={target}: this is not a network of facekp.models")
    try:
        return network(num_keypoints=num_keypoints, **settings)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model ({class_name}): {error}") from error
