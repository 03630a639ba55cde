"""A checkpoint as ONNX."""

from __future__ import annotations

import json
import logging
import re
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from facekp.models.checkpoint import load_network
from facekp.core.errors import ConfigError, FacekpError
from facekp.models.base import CHECKPOINT_KEY, KeypointNetwork, to_network
from facekp.inference.predictor import Predictor
from facekp.tasks.common import output_folder
from facekp.models.bundled import located

TOLERANCE = 1e-4
"""Largest difference between onnxruntime and torch, in sides of the input."""


class _Exported(nn.Module):
    def __init__(self, network: KeypointNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, views: Tensor) -> Tensor:
        return self.network(to_network(views))


def export(ckpt_path: str, output: str) -> Path:
    """Write `<experiment>.onnx` and compare it with the network.

    The exported network takes `views` (B, C, H, W) uint8, as `facekp.core.image.warp` makes them, and
    gives `keypoints` (B, K, 2) normalised. Its metadata entry `facekp` is the checkpoint's
    description as JSON: scheme, points, view (size, channels, box_scale, square), framing.

    Args:
        ckpt_path: the checkpoint.
        output: folder for the file.

    Returns:
        Path of the file.

    Raises:
        FacekpError: the checkpoint cannot be used, the export extra is missing, or the exported
            network differs by more than `TOLERANCE`.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401  # the comparison needs it
        import onnxscript  # noqa: F401  # torch's exporter needs it
    except ImportError as error:
        raise ConfigError(f"{error.name} is missing: pip install 'facekp[export]'") from error
    if located(ckpt_path).suffix.lower() == ".onnx":
        raise ConfigError(f"ckpt_path={ckpt_path}: this is exported already")
    network, description = load_network(ckpt_path)
    # The name is the file's word: nothing in it may lead out of the folder.
    name = re.sub(r"[^A-Za-z0-9_-]", "_", str(description["config"].get("name", "network")))
    path = output_folder(output) / f"{name}.onnx"
    height, width = description["view"]["size"]
    channels = description["view"]["channels"]
    views = torch.randint(0, 256, (2, channels, height, width), dtype=torch.uint8)
    for chatty in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Exported(network.eval()),
            (views,),
            str(path),
            input_names=["views"],
            output_names=["keypoints"],
            dynamic_shapes={"views": {0: torch.export.Dim("batch", min=1)}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    model = onnx.load(path)
    entry = model.metadata_props.add()
    entry.key, entry.value = CHECKPOINT_KEY, json.dumps(description)
    onnx.save(model, path)
    difference = compare(ckpt_path, path)
    if difference > TOLERANCE:
        raise FacekpError(
            f"{path}: differs from the network by {difference:.2g} of the input's side"
        )
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, at most {difference:.1e} from the network")
    return path


def compare(ckpt_path: str | Path, onnx_path: str | Path) -> float:
    """Largest difference of a checkpoint's and an exported network's points, in input sides."""
    torch_side, onnx_side = Predictor.load(ckpt_path), Predictor.load(onnx_path)
    shape = (torch_side.view.channels, *torch_side.view.size)
    rng = np.random.default_rng(0)
    return max(
        float(np.abs(torch_side.forward(views) - onnx_side.forward(views)).max())
        for views in (rng.integers(0, 256, (n, *shape), dtype=np.uint8) for n in (1, 3, 8))
    )
