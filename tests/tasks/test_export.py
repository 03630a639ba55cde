"""Exported networks."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch
from PIL import Image

from facekp.data.synthetic import draw_ibug_face
from facekp.tasks.export import compare, export
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
    assert compare(checkpoints["imm"], path) < 1e-4
    Image.fromarray(draw_ibug_face(1, 0)[0]).save(tmp_path / "a.jpg")
    a, b = (
        run_photos(checkpoint, tmp_path / f"out{n}", str(tmp_path / "a.jpg"))
        for n, checkpoint in enumerate((checkpoints["imm"], path))
    )
    pd.testing.assert_frame_equal(a, b, atol=0.05)
