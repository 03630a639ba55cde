"""Reading checkpoints safely, also untrusted ones: nothing is built before it is validated."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from facekp.core.description import DESCRIPTION_KEY, MAX_INPUT_SIDE, NetworkDescription
from facekp.core.errors import ConfigError, DataError
from facekp.models.base import KeypointNetwork
from facekp.models.bundled import BUNDLED_NAMES, resolve_checkpoint
from facekp.models.factory import build_network

MAX_NODES = 100_000
"""Of a description: nested lists can be far larger than the file that holds them."""
_NUMBERS = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64)
_PLUGIN_NUMBERS = (*_NUMBERS, torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32)
_NOT_OURS = "a checkpoint, but not one of facekp"
_REMEDY = "give a best.ckpt or last.ckpt that train.py wrote"


def read_checkpoint(path: str | Path) -> tuple[dict[str, Any], NetworkDescription]:
    """Contents and description of a checkpoint; nothing in it is built.

    Args:
        path: the file, or the name of a bundled network.

    Raises:
        DataError: a missing file, not a checkpoint of facekp, an invalid description, or weights
            that contain NaN or infinite values (masks of a plugin's network may be infinite).
    """
    path = resolve_checkpoint(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("torch does not compress")  # a compressed one may hold gigabytes
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        remedy = f"{_REMEDY}, or one of {BUNDLED_NAMES}"
        raise DataError(path, "no such checkpoint", remedy) from error
    except Exception as error:  # a broken pickle can raise anything
        raise DataError(path, "not a checkpoint, or a broken one", _REMEDY) from error
    entry: Any = checkpoint.get(DESCRIPTION_KEY) if isinstance(checkpoint, dict) else None
    config = entry.get("config") if isinstance(entry, dict) else None
    parts = [config.get(part) for part in ("model", "dataset")] if isinstance(config, dict) else []
    weights: Any = checkpoint.get("state_dict") if isinstance(checkpoint, dict) else None
    has_parts = parts and all(isinstance(part, dict) for part in (*parts, weights))
    if not has_parts or not _is_plain(entry):
        raise DataError(path, _NOT_OURS, _REMEDY)
    _check_weights(path, weights, _is_of_plugin(entry["config"]["model"]))
    try:
        return checkpoint, NetworkDescription.from_dict(entry)
    except ValueError as error:
        raise DataError(path, f"its description is not valid: {error}", _REMEDY) from error


def load_network(path: str | Path) -> tuple[KeypointNetwork, NetworkDescription]:
    """Network and description of a checkpoint.

    Only networks of facekp and of plugins are built, from plain values.

    Args:
        path: the file, or the name of a bundled network.

    Raises:
        DataError: see `read_checkpoint`; weights that do not match the description.
        ConfigError: a configuration that may not be built.
    """
    path = resolve_checkpoint(path)
    checkpoint, description = read_checkpoint(path)
    try:
        model = dict(description.config["model"])
        weights = {
            name.removeprefix("network."): value
            for name, value in checkpoint["state_dict"].items()
            if name.startswith("network.")
        }
        if model["in_channels"] not in (1, 3) or max(model["input_size"]) > MAX_INPUT_SIDE:
            raise RuntimeError(
                f"an input of {model['input_size']}, {model['in_channels']} channels"
            )
        # A small file can describe a network beyond all memory: build it without memory first. A
        # plugin's class is trusted, and may compute with numbers that are not there.
        if not _is_of_plugin(model):
            with torch.device("meta"):
                empty = build_network(model, len(description.points), pretrained=False)
            empty.load_state_dict({name: value.to("meta") for name, value in weights.items()})
        network = build_network(model, len(description.points), pretrained=False)
        network.load_state_dict(weights)
        crop = description.crop
        if crop.channels != int(model["in_channels"]):
            raise RuntimeError("the network takes other channels than the crop has")
        if list(crop.size) != list(model["input_size"]):
            size = list(crop.size)
            raise RuntimeError(f"a crop of {size} for an input of {model['input_size']}")
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        problem = f"weights and description do not match: {str(error).splitlines()[0]}"
        raise DataError(path, problem, _REMEDY) from error
    return network, description


def _is_of_plugin(model: Mapping[str, Any]) -> bool:
    return not str(model.get("_target_")).startswith("facekp.")


def _check_weights(path: Path, weights: Mapping[str, Any], plugin: bool) -> None:
    """Check a checkpoint's weights; a plugin's network may also have masks and tied weights."""
    dtypes = _PLUGIN_NUMBERS if plugin else _NUMBERS
    if not all(_is_weight(value, dtypes) for value in weights.values()):
        raise DataError(path, _NOT_OURS, _REMEDY)
    if _bytes_to_build(weights, plugin) > path.stat().st_size:
        raise DataError(path, "more weights than the file holds", _REMEDY)
    if any((w.isnan() if plugin else ~w.isfinite()).any() for w in weights.values()):
        remedy = "take an earlier one, or train again with a lower model.optimizer.lr"
        raise DataError(path, "its weights contain NaN or infinite values", remedy)


def _bytes_to_build(weights: Mapping[str, torch.Tensor], plugin: bool) -> int:
    """Memory of the weights. Tied ones count once, but only plugins have them."""
    if not plugin:
        return sum(value.nbytes for value in weights.values())
    return sum({value.data_ptr(): value.nbytes for value in weights.values()}.values())


def _is_weight(value: object, dtypes: Sequence[torch.dtype]) -> bool:
    """Whether it is an ordinary tensor of numbers, or of counts."""
    return (
        isinstance(value, torch.Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and value.dtype in dtypes
    )


def _is_plain(value: Any) -> bool:
    """Whether it consists of plain containers and values only, and is not endless."""
    todo, count = [value], 0
    while todo:
        node = todo.pop()
        count += 1
        if isinstance(node, dict):
            todo += [*node, *node.values()]
        elif isinstance(node, list):
            todo += node
        elif not (node is None or isinstance(node, bool | int | float | str)):
            return False
        if count > MAX_NODES:
            return False
    return True
