"""A checkpoint to be passed on."""

from __future__ import annotations

from pathlib import Path

import torch

from facekp.models.checkpoint import load_network
from facekp.core.errors import ConfigError, FacekpError
from facekp.core.files import written_whole
from facekp.models.base import CHECKPOINT_KEY
from facekp.tasks.common import output_folder
from facekp.models.bundled import located

TOLERANCE = 2e-3
"""Largest difference of any point from the network's, in sides of the input."""

KEPT = ("name", "seed", "model", "dataset", "trainer")
"""Parts of the configuration that are about the network; all others are about the machine."""


def pack(ckpt_path: str, output: str) -> Path:
    """Write `packed.ckpt`: the weights alone, in half precision, and what the network is.

    A quarter of the size or less, and nothing in it about the machine that it was trained on; it
    can be used and started from, not resumed.

    Args:
        ckpt_path: the checkpoint.
        output: folder for the file.

    Returns:
        Path of the file.

    Raises:
        FacekpError: the checkpoint cannot be used, or half precision moves a point by more than
            `TOLERANCE`.
    """
    if located(ckpt_path).suffix.lower() == ".onnx":
        raise ConfigError(f"ckpt_path={ckpt_path}: give the checkpoint that it was exported from")
    network, description = load_network(ckpt_path)
    weights = {
        f"network.{name}": value.half() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    config = {key: description["config"][key] for key in KEPT if key in description["config"]}
    config["dataset"] = {**config["dataset"], "data_dir": "data", "cache_dir": None}
    kept = {**description, "config": config}
    kept.pop("environment", None)

    size, channels = description["view"]["size"], description["view"]["channels"]
    views = torch.rand((16, channels, *size), generator=torch.Generator().manual_seed(0)) - 0.5
    rounded = {name.removeprefix("network."): value.float() for name, value in weights.items()}
    with torch.no_grad():
        before = network.eval()(views)
        network.load_state_dict(rounded)
        difference = float((network(views) - before).abs().max())
    if not difference <= TOLERANCE:
        raise FacekpError(f"{ckpt_path}: half precision moves a point by {difference:.2g} sides")
    path = output_folder(output) / "packed.ckpt"
    with written_whole(path) as stream:
        torch.save({"state_dict": weights, CHECKPOINT_KEY: kept}, stream)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, at most {difference:.1e} from the network")
    return path
