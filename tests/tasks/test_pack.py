"""Packed checkpoints."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import pytest
import torch

from facekp.core.errors import ConfigError, FacekpError
from facekp.inference.predictor import Predictor
from facekp.models.checkpoint import read_checkpoint
from facekp.tasks.pack import pack
from facekp.training.resume import check_resume
from tests.helpers import Run


def test_packed_network_is_the_same_and_names_nothing_of_the_machine(
    run: Run, tmp_path: Path
) -> None:
    best = run("whole")[1] / "checkpoints/best.ckpt"
    packed = pack(str(best), str(tmp_path / "packed"))
    assert packed.stat().st_size < best.with_name("last.ckpt").stat().st_size / 4
    before, after = Predictor.load(best), Predictor.load(packed)
    views = np.random.default_rng(1).integers(0, 256, (4, 1, 60, 80), dtype=np.uint8)
    np.testing.assert_allclose(before.backend(views), after.backend(views), atol=2e-3)
    description = read_checkpoint(packed)[1].to_dict()
    assert str(tmp_path) not in repr(description)
    assert platform.platform() not in repr(description)
    with pytest.raises(ConfigError, match="packed weights can be used, but not resumed"):
        check_resume(read_checkpoint(best)[1], str(packed))
    # Weights that half precision cannot hold are refused, and the file is not touched.
    checkpoint = read_checkpoint(best)[0]
    checkpoint["state_dict"]["network.head.0.weight"][0, 0] = 1e6
    torch.save(checkpoint, best)
    content = packed.read_bytes()
    with pytest.raises(FacekpError, match="half precision"):
        pack(str(best), str(packed.parent))
    assert packed.read_bytes() == content
