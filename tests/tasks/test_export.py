"""Exported networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from facekp.core.errors import ConfigError
from facekp.core.geometry import bounding_box
from facekp.core.image import warp
from facekp.data.synthetic import draw_ibug_face
from facekp.inference.backends import load_backend
from facekp.models.bundled import EXPORTED
from facekp.tasks.export import export, largest_difference
from tests.helpers import run_photos


def test_name_in_a_checkpoint_leads_nowhere(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    state = torch.load(checkpoints["imm"], weights_only=True)
    state["facekp"]["config"]["name"] = f"../{tmp_path.name}-evil"
    torch.save(state, tmp_path / "a.ckpt")
    (tmp_path / "out").mkdir()
    path = export(str(tmp_path / "a.ckpt"), str(tmp_path / "out"))
    assert path.parent == tmp_path / "out"


def test_export_agrees_and_photos_run_on_it(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    path = export(str(checkpoints["imm"]), str(tmp_path))
    assert largest_difference(checkpoints["imm"], path) < 1e-4
    Image.fromarray(draw_ibug_face(1, 0)[0]).save(tmp_path / "a.jpg")
    a, b = (
        run_photos(checkpoint, tmp_path / f"out{n}", str(tmp_path / "a.jpg"))
        for n, checkpoint in enumerate((checkpoints["imm"], path))
    )
    pd.testing.assert_frame_equal(a, b, atol=0.05)


def test_weights_in_half_precision_lose_nothing_of_a_packed_network(tmp_path: Path) -> None:
    path = export("ibug68", str(tmp_path), "float16")
    assert path.name == "part3_small_float16.onnx"
    assert path.stat().st_size < 0.55 * export("ibug68", str(tmp_path)).stat().st_size
    assert largest_difference("ibug68", path) < 1e-6
    assert largest_difference("ibug68", EXPORTED["ibug68"]) < 1e-6
    for file in (path, *EXPORTED.values()):  # torch would record its own stack with paths
        assert b"site-packages" not in file.read_bytes()


def test_8_bit_integers(checkpoints: dict[str, Path], tmp_path: Path, ibug_data: Path) -> None:
    path = export(str(checkpoints["ibug"]), str(tmp_path), "int8", str(ibug_data))
    assert 0 < largest_difference(checkpoints["ibug"], path) < 0.05
    small, large = (EXPORTED[name].stat().st_size for name in ("ibug68_int8", "ibug68"))
    assert small < 0.6 * large
    run, description = load_backend("ibug68_int8")
    faces = [draw_ibug_face(number, 0) for number in range(4)]
    parts = [
        warp(p, description.crop.transform(bounding_box(q)), (128, 128), 1) for p, q, _ in faces
    ]
    crops = np.stack(parts)[:, None]
    assert 0 < np.abs(run(crops) - load_backend("ibug68")[0](crops)).max() < 0.02
    with pytest.raises(ConfigError, match="weights=int4"):
        export("ibug68", str(tmp_path), "int4")
