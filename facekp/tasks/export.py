"""Exporting a checkpoint to ONNX."""

from __future__ import annotations

import json
import logging
import re
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from facekp.core.description import DESCRIPTION_KEY, NetworkDescription
from facekp.core.errors import ConfigError, FacekpError
from facekp.core.files import atomic_write
from facekp.core.progress import with_progress
from facekp.data.datamodule import FaceDataModule
from facekp.inference.backends import load_backend
from facekp.inference.predictor import Predictor
from facekp.metrics import face_errors, nme_column
from facekp.models.base import KeypointNetwork, normalize_images
from facekp.models.bundled import resolve_checkpoint
from facekp.models.checkpoint import load_network
from facekp.tasks.common import output_folder
from facekp.tasks.onnx_weights import INPUT, halve_weights, quantize
from facekp.tasks.training_data import load_training_data

WEIGHTS = ("float32", "float16", "int8")
TOLERANCES = {"float32": 1e-4, "float16": 2e-3}
"""Largest difference between ONNX Runtime and torch, in sides of the input."""
MAX_NME = 0.06
"""Points of NME (%) by which 8-bit integers may be behind on validation faces."""


class _Exported(nn.Module):
    def __init__(self, network: KeypointNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> Tensor:
        return self.network(normalize_images(crops))


def export(
    ckpt_path: str, output: str, weights: str = "float32", data_dir: str | None = None
) -> Path:
    """Write `<experiment>.onnx`, and compare it with the network.

    The exported network takes `views` (B, C, H, W) uint8, as `facekp.core.image.warp` makes them,
    and gives `keypoints` (B, K, 2), normalised. Its metadata entry `facekp` is the checkpoint's
    description as JSON, see `NetworkDescription.to_dict`.

    Args:
        ckpt_path: the checkpoint, or the name of a bundled network.
        output: folder of the file.
        weights: `float32`; `float16`, half the file, computed in float32; or `int8`, a quarter of
            the file and computed in 8-bit integers, which takes less than half the time. Its
            ranges are measured on training faces, its error is compared on validation faces.
        data_dir: for `int8`: where the training data is; None: where it was in training.

    Returns:
        Path of the file.

    Raises:
        FacekpError: the checkpoint cannot be used, the export extra is missing, the exported
            network differs by more than its `TOLERANCES`, or int8 loses more than `MAX_NME`.
    """
    if weights not in WEIGHTS:
        raise ConfigError(f"weights={weights}: choose one of {', '.join(WEIGHTS)}")
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
    suffix = "" if weights == "float32" else f"_{weights}"
    path = output_folder(output) / f"{name}{suffix}.onnx"
    data = load_training_data(description, data_dir) if weights == "int8" else None
    with TemporaryDirectory() as scratch:  # a refused network does not replace an earlier one
        made = Path(scratch) / path.name
        _write_onnx(network, description, made)
        if data is not None:
            quantize(made, data.splits["train"], description.crop)
        model = onnx.load(made)
        if weights == "float16":
            halve_weights(model, network)
        _remove_traces(model)
        entry = model.metadata_props.add()
        entry.key, entry.value = DESCRIPTION_KEY, json.dumps(description.to_dict())
        onnx.save(model, made)
        loss = _checked_loss(ckpt_path, made, weights, data)
        content = made.read_bytes()
    with atomic_write(path) as stream:
        stream.write(content)
    print(f"{path}: {len(content) / 1e6:.1f} MB, {loss}")
    return path


def _checked_loss(ckpt_path: str, made: Path, weights: str, data: FaceDataModule | None) -> str:
    """What an exported network loses, in words.

    Raises:
        FacekpError: too much.
    """
    if data is not None:
        before, after = (_validation_nme(file, data) for file in (ckpt_path, made))
        if not after - before <= MAX_NME:
            raise FacekpError(
                f"{ckpt_path}: loses {after - before:.2f} points of NME by weights={weights}; use "
                "weights=float16"
            )
        return f"NME on the validation faces {after:.3f} %, of the network {before:.3f} %"
    difference = largest_difference(ckpt_path, made)
    if difference > TOLERANCES[weights]:
        raise FacekpError(
            f"{ckpt_path}: the exported network differs by {difference:.2g} of the input's side"
        )
    return f"at most {difference:.1e} from the network"


def _remove_traces(model: Any) -> None:
    """Remove what the exporter records of its own source, with paths of this machine."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""


def _validation_nme(path: str | Path, data: FaceDataModule) -> float:
    """Mean NME in % on the validation faces, on a checkpoint's or an exported network's points."""
    predictor = Predictor.load(resolve_checkpoint(path))
    records = [record for record in data.splits["val"] if record.keypoints is not None]
    shown = with_progress(records, len(records), "validation faces")
    found = np.stack(predictor.predict_boxes((r.load(3), r.bbox) for r in shown))
    errors = face_errors(records, found, predictor.points, predictor.scheme)
    return 100 * float(errors[nme_column(errors)].mean())


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
            input_names=[INPUT],
            output_names=["keypoints"],
            dynamic_shapes={"crops": {0: torch.export.Dim("batch", min=1)}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def largest_difference(ckpt_path: str | Path, onnx_path: str | Path) -> float:
    """Largest difference of a checkpoint's and an exported network's points, in input sides."""
    in_torch, description = load_backend(resolve_checkpoint(ckpt_path))
    in_onnx, _ = load_backend(onnx_path)
    shape = (description.crop.channels, *description.crop.size)
    rng = np.random.default_rng(0)
    return max(
        float(np.abs(in_torch(crops) - in_onnx(crops)).max())
        for crops in (rng.integers(0, 256, (n, *shape), dtype=np.uint8) for n in (1, 3, 8))
    )
