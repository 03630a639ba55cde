"""Weights that are passed on: packed, started from, and those that facekp brings along."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from facekp.errors import ConfigError, DataError, FacekpError
from facekp.evaluation import image_errors, summary
from facekp.landmarks import IBUG68
from facekp.models.base import CHECKPOINT_KEY
from facekp.predictor import Predictor, load_network, read_checkpoint
from facekp.tasks.common import trained_on
from facekp.tasks.pack import pack
from facekp.training import check_resumed
from facekp.weights import SHIPPED

from .conftest import ROOT

FIGURES = {"ibug68": (0.0323, 2.25), "ibug68_large": (0.0315, 2.20)}
"""NME and MAE in px of the networks that come along, on their validation faces."""
Run = Callable[..., tuple[float, Path]]


def test_packed_network_is_the_same_and_names_nothing_of_the_machine(
    run: Run, tmp_path: Path
) -> None:
    best = run("whole")[1] / "checkpoints/best.ckpt"
    packed = pack(str(best), str(tmp_path / "packed"))
    assert packed.stat().st_size < best.stat().st_size / 4
    before, after = Predictor.load(best), Predictor.load(packed)
    views = np.random.default_rng(1).integers(0, 256, (4, 1, 60, 80), dtype=np.uint8)
    np.testing.assert_allclose(before.forward(views), after.forward(views), atol=2e-3)
    description = read_checkpoint(packed)[1]
    assert str(tmp_path) not in repr(description)
    assert platform.platform() not in repr(description)
    with pytest.raises(ConfigError, match="packed weights can be used, not gone on with"):
        check_resumed(read_checkpoint(best)[1], str(packed))
    # Weights that half precision cannot hold are refused, and the file is not touched.
    checkpoint = read_checkpoint(best)[0]
    checkpoint["state_dict"]["network.head.0.weight"][0, 0] = 1e6
    torch.save(checkpoint, best)
    content = packed.read_bytes()
    with pytest.raises(FacekpError, match="half precision"):
        pack(str(best), str(packed.parent))
    assert packed.read_bytes() == content


def test_a_run_starts_from_another_ones_weights(run: Run) -> None:
    best = run("first")[1] / "checkpoints/best.ckpt"
    still = ["trainer.max_epochs=1", "model.optimizer.lr=0", f"init_from={best}"]
    _, folder = run("second", *still, "dataset.points=[52,0]")
    old, new = (load_network(p)[0].state_dict() for p in (best, folder / "checkpoints/best.ckpt"))
    same = {name for name in new if torch.equal(old[name], new[name])}
    assert new.keys() - same == {"head.2.weight", "head.2.bias"}  # of one point, and of two


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [("nothing.ckpt", DataError, "no such checkpoint"), ("broken.ckpt", DataError, "not one of facekp"),
     ("other.ckpt", ConfigError, "init_from=.*: 0 of the network's")],
)  # fmt: skip
def test_weights_that_cannot_be_started_from(
    run: Run, tmp_path: Path, name: str, error: type[Exception], message: str
) -> None:
    other = {"state_dict": {}, CHECKPOINT_KEY: {"config": {"model": {}, "dataset": {}}}}
    torch.save(other, tmp_path / "other.ckpt")
    torch.save({CHECKPOINT_KEY: {"config": {}}}, tmp_path / "broken.ckpt")
    with pytest.raises(error, match=message):
        run("start", f"init_from={tmp_path / name}")


@pytest.mark.parametrize("name", FIGURES)
def test_networks_that_come_along_need_nothing_else(name: str) -> None:
    assert SHIPPED[name].stat().st_size <= 8e6
    box = np.array([[60.0, 50.0, 190.0, 180.0]])
    (face,) = Predictor.load(name)(ROOT / "docs/astronaut.webp", box)
    regions = {name: face.keypoints[list(at)] for name, at in IBUG68.groups.items()}
    assert regions["right_eye"][:, 0].max() < regions["left_eye"][:, 0].min()
    assert regions["left_eye"][:, 1].max() < regions["outer_mouth"][:, 1].min()


@pytest.mark.parametrize(("name", "nme", "mae_px"), [(n, *f) for n, f in FIGURES.items()])
def test_figures_of_the_networks_that_come_along(
    real_data: Path, name: str, nme: float, mae_px: float
) -> None:
    predictor = Predictor.load(name)
    datamodule = trained_on(predictor.description, str(real_data))
    assert datamodule.fingerprint() == predictor.description["data_fingerprint"]
    faces = datamodule.splits["val"]
    found = np.stack(predictor.locate((face.load(3), face.bbox) for face in faces))
    figures = summary(image_errors(faces, found, predictor.points, IBUG68), 0.08).iloc[0]
    assert figures["nme_interocular"] == pytest.approx(nme, abs=1e-4)
    assert figures["mae_px"] == pytest.approx(mae_px, abs=0.01)
