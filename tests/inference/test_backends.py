"""Exported networks of strangers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facekp.core.errors import FacekpError
from facekp.core.landmarks import IMM58
from facekp.inference.predictor import Predictor
from facekp.tasks.export import export


def test_hostile_onnx(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    whole = export(str(checkpoints["ibug"]), str(tmp_path / "whole"))
    path = tmp_path / "a.onnx"
    face = (np.zeros((64, 64, 3), dtype=np.uint8), np.array([8.0, 8, 56, 56]))

    def refused(change: Callable[[Any, dict], object]) -> str:
        model = onnx.load(whole)
        (entry,) = model.metadata_props
        description = json.loads(entry.value)
        change(model, description)
        entry.value = json.dumps(description)
        path.write_bytes(model.SerializeToString())
        with pytest.raises(FacekpError) as error:
            Predictor.load(path).predict_boxes([face])
        return str(error.value)

    def outside(model: Any, _: dict) -> None:
        tensor = next(t for t in model.graph.initializer if len(t.raw_data) > 64)
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../../../etc/passwd")

    assert "not a network that facekp exported" in refused(outside)
    assert "not a network" in refused(lambda m, _: m.metadata_props.pop())
    assert "not a network" in refused(lambda m, _: m.graph.node[0].ClearField("op_type"))
    assert "not valid" in refused(lambda _, d: d["crop"].update(size=[10**6, 10**6]))
    assert "not valid" in refused(lambda _, d: d["crop"].update(box_scale=1e12))
    assert "not valid" in refused(lambda _, d: d.update(scheme=IMM58.to_dict()))
    assert "does not run" in refused(lambda _, d: d["crop"].update(size=[32, 32]))
    fewer = {"points": list(range(60)), "mean_shape": [[0.5, 0.5]] * 60}
    assert "output is not the points" in refused(lambda _, d: d.update(fewer))
