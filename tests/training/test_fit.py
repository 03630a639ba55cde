"""Fitting from Python, and errors while it runs."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from facekp.core.errors import ConfigError, FacekpError
from facekp.data.imm import IMMDataModule
from facekp.data.records import annotated_points
from facekp.inference.tta import box_from_points
from facekp.models.convnet import ConvNet
from facekp.training.fit import describe, fit, run_callbacks
from facekp.training.module import KeypointModule
from facekp.training.trainer import make_trainer
from tests.helpers import Run, assert_same_end, ibug


def test_a_lost_loader_process_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from facekp.data.dataset import KeypointDataset

    here, load = os.getpid(), KeypointDataset.__getitems__

    def dies_in_a_worker(self: KeypointDataset, keys: list) -> dict:
        if os.getpid() != here and keys[0][0] == 1:  # in the second epoch
            os.kill(os.getpid(), signal.SIGKILL)
        return load(self, keys)

    with monkeypatch.context() as patch:
        patch.setattr(KeypointDataset, "__getitems__", dies_in_a_worker)
        with pytest.raises(
            FacekpError, match=r"a loader process died .* resume=.*/r continues the run"
        ):
            run("r", "dataset.num_workers=1")
    folder = run("whole")[1]
    last = folder.parent / "r/checkpoints/last.ckpt"
    assert_same_end(folder, run("r", f"ckpt_path={last}")[1])


def test_boxes_of_a_part_of_the_points_are_those_of_the_training(ibug_data: Path) -> None:
    datamodule = ibug(ibug_data, points=list(range(36, 68)))
    description = describe(datamodule, {"seed": 0, "model": {}, "dataset": {}})
    whole = describe(ibug(ibug_data), {"seed": 0, "model": {}, "dataset": {}})
    assert description.detector_prior is not None
    np.testing.assert_array_equal(description.detector_prior, whole.box_prior)
    sides = []
    for record in datamodule.splits["train"]:
        points = annotated_points(record)[36:]
        box = box_from_points(points, description.box_prior, record.bbox)
        sides.append((box[2] - box[0]) / (record.bbox[2] - record.bbox[0]))
    assert np.median(sides) == pytest.approx(1, abs=0.05)


def test_fit_from_python_without_hydra(
    imm_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    datamodule = IMMDataModule(data_dir=imm_data, input_size=(60, 80), batch_size=6, points=[52])
    datamodule.prepare_data()
    datamodule.setup()
    network = ConvNet(1, (60, 80), 1, [8], 3, 0, [1], "max", 4, [16], True, False)
    network.init_output_bias(datamodule.mean_shape())
    description = describe(datamodule, {"seed": 0, "model": {}, "dataset": {}})
    module = KeypointModule(
        network, nn.MSELoss(), partial(torch.optim.Adam, lr=1e-3), description=description
    )
    callbacks = run_callbacks(tmp_path, "val/mse")
    trainer = make_trainer(callbacks=callbacks, max_epochs=2, logger=False, num_sanity_val_steps=0)
    result = fit(module, datamodule, trainer)
    assert result.best_ckpt == tmp_path / "checkpoints/best.ckpt"
    assert result.best_ckpt.is_file()
    assert list(result.history["epoch"]) == [0, 1]
    assert result.metrics["val/mse"] == result.history["val/mse"].min()
    assert capsys.readouterr().out.strip() == ""
    with pytest.raises(ConfigError, match="needs the callbacks of run_callbacks"):
        fit(module, datamodule, make_trainer(max_epochs=1, logger=False))


def test_a_network_without_a_description_is_tested(ibug_data: Path, tmp_path: Path) -> None:
    datamodule = ibug(ibug_data, split="300w", batch_size=8)
    network = ConvNet(68, (96, 96), 1, [8], 3, 0, [1], "max", 4, [16], True, False)
    module = KeypointModule(network, nn.MSELoss(), partial(torch.optim.Adam, lr=1e-3))
    callbacks = run_callbacks(tmp_path, "val/mse")
    trainer = make_trainer(callbacks=callbacks, max_epochs=1, logger=False, num_sanity_val_steps=0)
    assert np.isfinite(fit(module, datamodule, trainer).metrics["test/mse"])
