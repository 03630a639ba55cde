"""Faces that lack points: trained, evaluated and drawn with those they have."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from facekp.core.errors import ConfigError
from facekp.data.imm import IMMDataModule
from facekp.data.records import FaceRecord, Splits
from facekp.models.convnet import ConvNet
from facekp.training.fit import describe, fit, run_callbacks
from facekp.training.losses import WingLoss
from facekp.training.module import KeypointModule
from facekp.training.trainer import make_trainer

EYES_AND_MOUTH = [13, 21, 39, 43]


class Partial(IMMDataModule):
    """IMM with a third of the labels removed at random, and one face without eye corners."""

    def read_splits(self) -> Splits:
        rng = np.random.default_rng(0)
        return {
            name: [self._without_some(record, rng, at == 0) for at, record in enumerate(records)]
            for name, records in super().read_splits().items()
        }

    def _without_some(self, record: FaceRecord, rng: np.random.Generator, eyes: bool) -> FaceRecord:
        points = np.array(record.keypoints, dtype=float)
        points[rng.random(len(points)) < 1 / 3] = np.nan
        points[39] = 100.0, 100.0
        if eyes:
            points[[13, 21]] = np.nan
        return replace(record, keypoints=points)


def module_for(datamodule: IMMDataModule, loss: torch.nn.Module) -> KeypointModule:
    network = ConvNet(4, (60, 80), 1, [8], 3, 0, [1], "max", 4, [16], True, False)
    network.init_output_bias(datamodule.mean_shape())
    description = describe(datamodule, {"seed": 0, "model": {}, "dataset": {}})
    adam = partial(torch.optim.Adam, lr=1e-3)
    return KeypointModule(network, loss, adam, description=description)


@pytest.mark.parametrize("loss", [torch.nn.MSELoss(), torch.nn.L1Loss(), WingLoss()])
def test_training_uses_the_points_there_are(
    imm_data: Path, tmp_path: Path, loss: torch.nn.Module
) -> None:
    datamodule = Partial(
        data_dir=imm_data, input_size=(60, 80), batch_size=6, points=EYES_AND_MOUTH
    )
    datamodule.prepare_data()
    datamodule.setup()
    assert datamodule.has_missing
    module = module_for(datamodule, loss)
    callbacks = run_callbacks(tmp_path, "val/mse")
    trainer = make_trainer(callbacks=callbacks, max_epochs=2, logger=False, num_sanity_val_steps=0)
    history = fit(module, datamodule, trainer).history
    for name in ("train/loss", "val/loss", "val/mse", "val/mae_px", "val/nme_interocular"):
        assert np.isfinite(history[name]).all(), name
    assert np.isfinite(np.concatenate([p.detach().flatten() for p in module.parameters()])).all()


def test_masking_changes_nothing_where_all_points_are_there() -> None:
    module = KeypointModule(torch.nn.Identity(), torch.nn.MSELoss(), torch.optim.Adam)
    predicted, target = torch.rand(2, 4, 3, 2).unbind()
    torch.testing.assert_close(
        module.loss_of(predicted, target), torch.nn.functional.mse_loss(predicted, target)
    )
    target[0] = torch.nan
    expected = torch.nn.functional.mse_loss(predicted[1:], target[1:])
    torch.testing.assert_close(module.loss_of(predicted, target), expected)
    assert module.loss_of(predicted, torch.full_like(target, torch.nan)) == 0


def test_batches_weigh_as_much_as_they_have_points() -> None:
    module = KeypointModule(torch.nn.Identity(), torch.nn.L1Loss(), torch.optim.Adam)
    target = torch.zeros(3, 4, 2)
    target[1, :3] = target[2] = torch.nan
    assert [module.loss_weight(target[:1]), module.loss_weight(target[1:])] == [4, 1]
    assert module.loss_weight(target[2:]) == 0
    module.has_missing = False
    assert module.loss_weight(target) == 3


def test_a_point_that_no_face_has_is_named(imm_data: Path) -> None:
    class WithoutNose(IMMDataModule):
        def read_splits(self) -> Splits:
            splits = super().read_splits()
            for records in splits.values():
                for record in records:
                    record.keypoints[52] = np.nan
            return splits

    datamodule = WithoutNose(data_dir=imm_data, input_size=(60, 80), batch_size=6, points=[52, 21])
    datamodule.prepare_data()
    datamodule.setup()
    with pytest.raises(ConfigError, match="no training face has the points 52; give dataset"):
        datamodule.mean_shape()


def test_validation_faces_that_lack_all_chosen_points_are_refused(imm_data: Path) -> None:
    class WithoutNose(IMMDataModule):
        def read_splits(self) -> Splits:
            splits = super().read_splits()
            for record in splits["val"]:
                record.keypoints[52] = np.nan
            return splits

    with_mouth = WithoutNose(data_dir=imm_data, input_size=(60, 80), points=[52, 21])
    with_mouth.setup()
    nose = WithoutNose(data_dir=imm_data, input_size=(60, 80), points=[52])
    with pytest.raises(ConfigError, match="no validation face has any of the points"):
        nose.setup()
