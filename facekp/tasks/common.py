"""What all tasks share: building configured objects, output folders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig

from facekp.core.errors import ConfigError, FacekpError


def build(config: DictConfig, **extra: Any) -> Any:
    """`hydra.utils.instantiate`; facekp's errors are raised as they are, others as ConfigError.

    Args:
        config: with a `_target_`.
        **extra: further arguments.

    Raises:
        FacekpError: of the object itself, or naming the setting that it refuses.
    """
    if isinstance(config, str):  # model.loss=l1 for model/loss=l1
        raise ConfigError(
            f"{config}: choices of a group are written with a slash, e.g. model/loss={config}"
        )
    try:
        return instantiate(config, **extra)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, FacekpError):
            raise cause from None
        place = re.search(r"full_key: (\S+)", str(error))
        what = " ".join(str(cause or error).split())
        raise ConfigError(f"{place[1] if place else config.get('_target_')}: {what}") from error


def is_on(setting: str, value: bool | str) -> bool:
    """Whether a setting that is `on` or `off`, or a bool, is on.

    Raises:
        ConfigError: neither.
    """
    if value not in (True, False, "on", "off"):
        raise ConfigError(f"{setting}={value}: give on or off")
    return value in (True, "on")


def output_folder(output: str) -> Path:
    """The folder of a task's files, created if missing.

    Raises:
        ConfigError: it cannot be created.
    """
    folder = Path(output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output={output}: {error.strerror}; choose another folder") from error
    return folder
