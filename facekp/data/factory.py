"""Building a data module from the `dataset` part of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from facekp.core.description import NetworkDescription
from facekp.core.errors import ConfigError
from facekp.core.plugins import resolve_class
from facekp.data.datamodule import FaceDataModule


def build_datamodule(dataset: Mapping[str, Any], **changes: Any) -> FaceDataModule:
    """The data module that the `dataset` part of a checkpoint's configuration describes.

    Only classes of `facekp.data` and of plugins are built, from plain values.

    Args:
        dataset: `_target_` and settings; its augmentation is ignored.
        **changes: settings that replace those.

    Raises:
        ConfigError: any other class, or settings that the class refuses.
    """
    target = str(dataset.get("_target_"))
    settings = {k: v for k, v in dataset.items() if k not in ("_target_", "augmentation")}
    datamodule = resolve_class(target, FaceDataModule, "dataset", "facekp.data", trusted=False)  # type: ignore[type-abstract]
    try:
        return datamodule(**settings | changes)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"dataset ({target}): {error}") from error


def training_data(description: NetworkDescription, data_dir: str | None) -> FaceDataModule:
    """The data module that a network was trained with, not yet set up.

    Args:
        description: of the network.
        data_dir: where the data is now; None: where it was in training.

    Raises:
        ConfigError: the description names no data module that may be built.
    """
    settings = dict(description.config["dataset"])
    changes: dict[str, Any] = {
        name: value
        for name, value in (("cache_dir", None), ("download", False))
        if name in settings
    }
    if settings.get("landmarks"):  # its file may not be here
        changes["landmarks"] = description.scheme
    if data_dir is not None:  # ignored by drawn faces, which know their own folder
        changes["data_dir"] = data_dir
    return build_datamodule(settings, **changes)
