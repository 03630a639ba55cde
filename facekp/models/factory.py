"""Building a network from the `model` part of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from facekp.core.errors import ConfigError
from facekp.core.plugins import resolve_class
from facekp.models.base import KeypointNetwork

TRAINING_KEYS = ("loss", "optimizer", "scheduler")
"""Entries of `model` that configure the training; all others configure the network."""


def build_network(
    model: Mapping[str, Any], num_keypoints: int, trusted: bool = False, pretrained: bool = True
) -> KeypointNetwork:
    """The network that the `model` part of a configuration describes.

    Args:
        model: `_target_`, the network's settings, and the entries of `TRAINING_KEYS`, ignored here.
        num_keypoints: K.
        trusted: the configuration is the user's own, so any `KeypointNetwork` is built; otherwise
            only classes of `facekp.models` and of plugins are.
        pretrained: whether published weights are loaded if the configuration asks for them; they
            need not be where others follow.

    Raises:
        ConfigError: any other class, a setting that is itself to be built, or settings that the
            network refuses.
    """
    target = str(model.get("_target_"))
    settings = {k: v for k, v in model.items() if k != "_target_" and k not in TRAINING_KEYS}
    if "_target_" in repr(settings):
        raise ConfigError(f"model ({target}): its settings must be plain values")
    if settings.get("pretrained") and not pretrained:
        settings["pretrained"] = False
    network = resolve_class(target, KeypointNetwork, "model", "facekp.models", trusted)  # type: ignore[type-abstract]
    try:
        return network(num_keypoints=num_keypoints, **settings)
    except OSError as error:  # no network, for one
        remedy = "give model.pretrained=false, or try where the weights can be downloaded"
        problem = f"its weights cannot be downloaded ({error})"
        raise ConfigError(f"model ({target.rpartition('.')[2]}): {problem}; {remedy}") from error
    except (TypeError, ValueError, RuntimeError) as error:  # torch raises the last
        raise ConfigError(f"model ({target.rpartition('.')[2]}): {error}") from error
