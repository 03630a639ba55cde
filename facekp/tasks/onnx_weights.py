"""Exported networks with smaller weights: half precision, or 8-bit integers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from facekp.core.crop import Crop
from facekp.core.progress import with_progress
from facekp.data.records import FaceRecord

SMALLEST = 256
"""Numbers from which on an array of weights is stored in half precision."""
CALIBRATION_FACES = 256
INPUT = "views"
"""Name of an exported network's input."""
_BATCH = 16


def halve_weights(model: Any, network: nn.Module) -> None:
    """Store the weights of an exported network in half precision, to be computed in single.

    The exporter folds batch normalisation into the weights, which half precision would round.
    Therefore the unfolded weights are stored, and the factors of the output channels beside them:
    those of a packed checkpoint lose nothing. ONNX Runtime multiplies once, as it opens the file.

    Args:
        model: `onnx.ModelProto`; changed in place.
        network: that was exported.
    """
    from onnx import TensorProto, helper, numpy_helper

    unfolded = {f"network.{name}": value.numpy() for name, value in network.state_dict().items()}
    nodes, factors = [], []
    for weights in model.graph.initializer:
        name, folded = weights.name, numpy_helper.to_array(weights)
        if folded.dtype != np.float32 or folded.size < SMALLEST:
            continue
        half, single = f"{name}_half", f"{name}_single"
        raw = unfolded.get(name, folded)
        scale = _channel_factors(folded, raw)
        if scale is None:
            raw, single = folded, name
        else:
            factors.append(numpy_helper.from_array(scale, f"{name}_factor"))
            nodes.append(helper.make_node("Mul", [single, f"{name}_factor"], [name]))
        weights.CopyFrom(numpy_helper.from_array(raw.astype(np.float16), half))
        nodes.insert(0, helper.make_node("Cast", [half], [single], to=TensorProto.FLOAT))
    model.graph.initializer.extend(factors)
    nodes += list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _channel_factors(folded: np.ndarray, raw: np.ndarray) -> np.ndarray | None:
    """Factors (C, 1, ...) of the output channels that make `raw` the folded weights, if any do."""
    if folded.ndim < 2 or folded.shape != raw.shape or np.array_equal(folded, raw):
        return None
    rest = tuple(range(1, folded.ndim))
    scale = (folded * raw).sum(rest, keepdims=True) / (raw**2).sum(rest, keepdims=True)
    same = np.allclose(raw * scale, folded, rtol=1e-4, atol=1e-6 * np.abs(folded).max())
    return scale if same else None


def quantize(path: Path, records: Sequence[FaceRecord], crop: Crop) -> None:
    """Quantize a file's convolutions to 8-bit integers, in place.

    Static post-training quantization: activations to uint8 by the range that they have on
    training faces, weights to 7 bits by output channel. The softmax and what follows stay float32.

    Args:
        path: the exported network.
        records: training faces; up to `CALIBRATION_FACES`, evenly spaced, are used.
        crop: of the network.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    chosen = np.linspace(0, len(records) - 1, min(CALIBRATION_FACES, len(records))).astype(int)
    shown = with_progress([records[at] for at in chosen], len(chosen), "calibration faces")
    crops = [crop.cut(r.load(crop.channels), crop.transform(r.bbox)) for r in shown]
    batches = iter(range(0, len(crops), _BATCH))

    class Faces(CalibrationDataReader):
        def get_next(self) -> dict[str, np.ndarray] | None:
            at = next(batches, None)
            return None if at is None else {INPUT: np.stack(crops[at : at + _BATCH])}

    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)
    try:
        quant_pre_process(str(path), str(path), skip_symbolic_shape=True)
        quantize_static(
            str(path),
            str(path),
            Faces(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Add", "Relu", "Resize"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=True,  # 8 bits saturate on processors without VNNI
        )
    finally:
        logging.getLogger().setLevel(level)
