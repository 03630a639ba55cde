"""Starting a training from the weights of another one."""

from __future__ import annotations

import logging

from torch import nn

from facekp.core.description import NetworkDescription
from facekp.core.errors import ConfigError
from facekp.models.checkpoint import read_checkpoint

log = logging.getLogger(__name__)


def load_matching_weights(network: nn.Module, path: str) -> NetworkDescription:
    """Load the weights of a checkpoint wherever name and shape match.

    Args:
        network: it is changed.
        path: a checkpoint; its data set, points and input size may differ.

    Returns:
        The checkpoint's description.

    Raises:
        DataError: see `read_checkpoint`.
        ConfigError: the checkpoint matches less than half of the network's weights.
    """
    checkpoint, description = read_checkpoint(path)
    stored = checkpoint["state_dict"]
    matching = {
        name: stored[f"network.{name}"].to(weight.dtype)
        for name, weight in network.state_dict().items()
        if getattr(stored.get(f"network.{name}"), "shape", None) == weight.shape
    }
    sizes = {name: weight.numel() for name, weight in network.named_parameters()}
    loaded, count = sum(sizes[name] for name in sizes.keys() & matching.keys()), sum(sizes.values())
    if loaded < count / 2:
        raise ConfigError(
            f"init_from={path}: {loaded:,} of the network's {count:,} weights are in it; choose "
            "the model that it was trained with"
        )
    network.load_state_dict(matching, strict=False)
    log.info(f"{loaded:,} of {count:,} weights are initialised from {path}")
    return description


def warn_of_differences(
    setting: str, before: NetworkDescription, description: NetworkDescription
) -> None:
    """Warn of what makes another network's figures too good, or its weights unfit.

    It may have been trained on the same kind of data, but on another split; or have as many points,
    but others, or in another order.

    Args:
        setting: that names the other network, for the message.
        before: its description.
        description: of the network to be trained.
    """
    same_kind = len({str(d.config["dataset"].get("_target_")) for d in (before, description)}) == 1
    same_kind &= before.scheme.name == description.scheme.name
    if same_kind and before.data_fingerprint != description.data_fingerprint:
        shifts = {d.config["dataset"].get("label_shift", 0.0) for d in (before, description)}
        or_shift = ", or only with another dataset.label_shift" if len(shifts) > 1 else ""
        log.warning(
            f"{setting} was trained on other faces, or on another split{or_shift}: validation "
            "faces can be among the faces that it has seen, which makes the figures too good"
        )
    first, second = (d.scheme.subset(d.points).point_names for d in (before, description))
    if len(first) == len(second) and first != second:
        log.warning(
            f"{setting} has as many points, but others, or in another order "
            f"({', '.join(first[:3])}, ...; here {', '.join(second[:3])}, ...)"
        )
