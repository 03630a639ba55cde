"""Packing a checkpoint for distribution."""

from __future__ import annotations

from pathlib import Path

import torch

from facekp.core.description import DESCRIPTION_KEY
from facekp.core.errors import ConfigError, FacekpError
from facekp.core.files import atomic_write
from facekp.models.bundled import resolve_checkpoint
from facekp.models.checkpoint import load_network
from facekp.tasks.common import output_folder

TOLERANCE = 2e-3
"""Largest difference of any point from the network's, in sides of the input."""

KEPT = ("name", "seed", "model", "dataset", "trainer")
"""Parts of the configuration that describe the network; all others describe the machine."""


def pack(ckpt_path: str, output: str) -> Path:
    """Write `packed.ckpt`: the weights in half precision, and the description of the network.

    Half the size of `best.ckpt`. Versions, and where data sets lie, are left out; the names of a
    user's own annotation files, as they were given, are kept. It can be used and initialised from,
    but not resumed.

    Args:
        ckpt_path: the checkpoint, or the name of a bundled network.
        output: folder of the file.

    Returns:
        Path of the file.

    Raises:
        FacekpError: the checkpoint cannot be used, or half precision moves a point by more than
            `TOLERANCE`.
    """
    if resolve_checkpoint(ckpt_path).suffix.lower() == ".onnx":
        raise ConfigError(f"ckpt_path={ckpt_path}: give the checkpoint that it was exported from")
    network, description = load_network(ckpt_path)
    weights = {
        f"network.{name}": value.half() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    entry = description.to_dict()
    config = {key: entry["config"][key] for key in KEPT if key in entry["config"]}
    config["dataset"] = {**config["dataset"], "data_dir": "data", "cache_dir": None}
    entry |= {"config": config, "environment": {}}

    shape = (16, description.crop.channels, *description.crop.size)
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0)) - 0.5
    rounded = {name.removeprefix("network."): value.float() for name, value in weights.items()}
    with torch.no_grad():
        before = network.eval()(images)
        network.load_state_dict(rounded)
        difference = float((network(images) - before).abs().max())
    if not difference <= TOLERANCE:
        raise FacekpError(f"{ckpt_path}: half precision moves a point by {difference:.2g} sides")
    path = output_folder(output) / "packed.ckpt"
    with atomic_write(path) as stream:
        torch.save({"state_dict": weights, DESCRIPTION_KEY: entry}, stream)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, at most {difference:.1e} from the network")
    return path
