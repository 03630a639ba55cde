"""Exporting a checkpoint to ONNX."""

from __future__ import annotations

import json
import logging
import re
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from facekp.core.description import DESCRIPTION_KEY, NetworkDescription
from facekp.core.errors import ConfigError, FacekpError
from facekp.inference.backends import load_backend
from facekp.models.base import KeypointNetwork, normalize_images
from facekp.models.bundled import resolve_checkpoint
from facekp.models.checkpoint import load_network
from facekp.tasks.common import output_folder

TOLERANCE = 1e-4
"""Largest difference between ONNX Runtime and torch, in sides of the input."""


class _Exported(nn.Module):
    def __init__(self, network: KeypointNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> Tensor:
        return self.network(normalize_images(crops))


def export(ckpt_path: str, output: str) -> Path:
    """Write `<experiment>.onnx`, and compare it with the network.

    The exported network takes `views` (B, C, H, W) uint8, as `facekp.core.image.warp` makes them,
    and gives `keypoints` (B, K, 2), normalised. Its metadata entry `facekp` is the checkpoint's
    description as JSON, see `NetworkDescription.to_dict`.

    Args:
        ckpt_path: the checkpoint, or the name of a bundled network.
        output: folder of the file.

    Returns:
        Path of the file.

    Raises:
        FacekpError: the checkpoint cannot be used, the export extra is missing, or the exported
            network differs by more than `TOLERANCE`.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401  # needed for the comparison
        import onnxscript  # noqa: F401  # needed by torch's exporter
    except ImportError as error:
        raise ConfigError(f"{error.name} is missing: pip install 'facekp[export]'") from error
    if resolve_checkpoint(ckpt_path).suffix.lower() == ".onnx":
        raise ConfigError(f"ckpt_path={ckpt_path}: this is an exported network already")
    network, description = load_network(ckpt_path)
    # The name comes from the file: nothing in it may lead out of the folder.
    name = re.sub(r"[^A-Za-z0-9_-]", "_", str(description.config.get("name", "network")))
    path = output_folder(output) / f"{name}.onnx"
    _write_onnx(network, description, path)
    model = onnx.load(path)
    entry = model.metadata_props.add()
    entry.key, entry.value = DESCRIPTION_KEY, json.dumps(description.to_dict())
    onnx.save(model, path)
    difference = compare(ckpt_path, path)
    if difference > TOLERANCE:
        raise FacekpError(
            f"{path}: differs from the network by {difference:.2g} of the input's side"
        )
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, at most {difference:.1e} from the network")
    return path


def _write_onnx(network: KeypointNetwork, description: NetworkDescription, path: Path) -> None:
    shape = (2, description.crop.channels, *description.crop.size)
    crops = torch.randint(0, 256, shape, dtype=torch.uint8)
    for verbose in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(verbose).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Exported(network.eval()),
            (crops,),
            str(path),
            input_names=["views"],
            output_names=["keypoints"],
            dynamic_shapes={"crops": {0: torch.export.Dim("batch", min=1)}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def compare(ckpt_path: str | Path, onnx_path: str | Path) -> float:
    """Largest difference of a checkpoint's and an exported network's points, in input sides."""
    (in_torch, description), (in_onnx, _) = load_backend(ckpt_path), load_backend(onnx_path)
    shape = (description.crop.channels, *description.crop.size)
    rng = np.random.default_rng(0)
    return max(
        float(np.abs(in_torch(crops) - in_onnx(crops)).max())
        for crops in (rng.integers(0, 256, (n, *shape), dtype=np.uint8) for n in (1, 3, 8))
    )
