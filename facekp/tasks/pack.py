"""A checkpoint to be passed on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from facekp.errors import FacekpError
from facekp.files import written_whole
from facekp.models.base import CHECKPOINT_KEY
from facekp.predictor import Predictor, read_checkpoint
from facekp.tasks.common import output_folder

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
    checkpoint, description = read_checkpoint(ckpt_path)
    config = {key: description["config"][key] for key in KEPT if key in description["config"]}
    config["dataset"] = {**config["dataset"], "data_dir": "data", "cache_dir": None}
    weights = {
        name: value.half() if value.is_floating_point() else value
        for name, value in checkpoint["state_dict"].items()
        if name.startswith("network.")
    }
    path = output_folder(output) / "packed.ckpt"
    kept = {"state_dict": weights, CHECKPOINT_KEY: {**description, "config": config}}
    with written_whole(path) as stream:
        torch.save(kept, stream)
    before, after = Predictor.load(ckpt_path), Predictor.load(path)
    shape = (16, before.view.channels, *before.view.size)
    views = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    difference = float(np.abs(before.forward(views) - after.forward(views)).max())
    if not difference <= TOLERANCE:
        raise FacekpError(f"{path}: half precision moves a point by {difference:.2g} of the input")
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, at most {difference:.1e} from the network")
    return path
