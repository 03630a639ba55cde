"""Reading checkpoints, also those of strangers: nothing is built before it was looked at."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, cast

import torch

from facekp.cli.config import build_network
from facekp.core.errors import ConfigError, DataError
from facekp.models.base import CHECKPOINT_KEY, KeypointNetwork
from facekp.models.bundled import NAMES, located

MAX_SIDE = 4096
"""Of a network's input: a stranger's file could ask for all memory."""
MAX_NODES = 100_000
"""Of a description: lists in lists can be far more than the file that holds them."""
_NUMBERS = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64)
_REMEDY = "give a best.ckpt or last.ckpt that train.py wrote"


def read_checkpoint(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Contents and description of a checkpoint; nothing in it is built.

    Raises:
        DataError: no such file, not a checkpoint of facekp, or weights that are not numbers.
    """
    path = located(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("torch does not compress")  # what does may unpack to gigabytes
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise DataError(path, "no such checkpoint", f"{_REMEDY}, or one of {NAMES}") from error
    except Exception as error:  # a broken pickle can raise anything
        raise DataError(path, "not a checkpoint, or a broken one", _REMEDY) from error
    description = checkpoint.get(CHECKPOINT_KEY) if isinstance(checkpoint, dict) else None
    config = description.get("config") if isinstance(description, dict) else None
    parts = [config.get(part) for part in ("model", "dataset")] if isinstance(config, dict) else []
    weights: Any = checkpoint.get("state_dict") if isinstance(checkpoint, dict) else None
    whole = parts and all(isinstance(part, dict) for part in (*parts, weights))
    if not whole or not _plain(description) or not all(map(_weight, weights.values())):
        raise DataError(path, "a checkpoint, but not one of facekp", _REMEDY)
    if sum(value.nbytes for value in weights.values()) > path.stat().st_size:
        raise DataError(path, "more weights than the file holds", _REMEDY)
    if not all(value.isfinite().all() for value in weights.values()):
        remedy = "take an earlier one, or train again with a lower model.optimizer.lr"
        raise DataError(path, "some of its weights are not numbers", remedy)
    return checkpoint, cast("dict[str, Any]", description)


def load_network(path: str | Path) -> tuple[KeypointNetwork, dict[str, Any]]:
    """Network and description of a checkpoint; nothing but facekp's and torch's own is built.

    Raises:
        DataError: see `read_checkpoint`.
        ConfigError: a configuration that facekp does not build.
    """
    path = located(path)
    checkpoint, description = read_checkpoint(path)
    try:
        model = dict(description["config"]["model"])
        if "pretrained" in model:
            model["pretrained"] = False  # the weights are in the file
        weights = {
            name.removeprefix("network."): value
            for name, value in checkpoint["state_dict"].items()
            if name.startswith("network.")
        }
        if model["in_channels"] not in (1, 3) or max(model["input_size"]) > MAX_SIDE:
            raise RuntimeError(
                f"an input of {model['input_size']}, {model['in_channels']} channels"
            )
        # A small file can describe a network beyond all memory: first without any.
        with torch.device("meta"):
            empty = build_network(model, len(description["points"]))
        empty.load_state_dict({name: value.to("meta") for name, value in weights.items()})
        network = build_network(model, len(description["points"]))
        network.load_state_dict(weights)
        view = description["view"]
        if int(view["channels"]) != int(model["in_channels"]):
            raise RuntimeError("the network takes other channels than the view has")
        if list(view["size"]) != list(model["input_size"]):
            raise RuntimeError(f"a view of {view['size']} for an input of {model['input_size']}")
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        problem = f"weights and description do not fit: {str(error).splitlines()[0]}"
        raise DataError(path, problem, _REMEDY) from error
    return network, description


def _weight(value: object) -> bool:
    """Whether it is an ordinary tensor of numbers, or of counts."""
    return (
        isinstance(value, torch.Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and value.dtype in _NUMBERS
    )


def _plain(value: Any) -> bool:
    """Whether it is made of plain containers and values alone, and not without end."""
    todo, count = [value], 0
    while todo:
        one = todo.pop()
        count += 1
        if isinstance(one, dict):
            todo += [*one, *one.values()]
        elif isinstance(one, list):
            todo += one
        elif not (one is None or isinstance(one, bool | int | float | str)):
            return False
        if count > MAX_NODES:
            return False
    return True
