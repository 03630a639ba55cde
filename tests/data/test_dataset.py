"""Batches: points and pixels agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from facekp.core.landmarks import IBUG68
from facekp.data.augmentation import Augmentation
from facekp.metrics import to_photo_pixels
from tests.helpers import ibug, imm


@pytest.mark.parametrize("square", [False, True])
@pytest.mark.parametrize("box_scale", [0.6, 1.4])
def test_batch_brings_its_points_back_to_the_photo(
    ibug_data: Path, square: bool, box_scale: float
) -> None:
    module = ibug(ibug_data, square=square, box_scale=box_scale, channels=3)
    for split in ("train", "val"):
        dataset = module.dataset(split)
        batch = dataset.__getitems__([(0, i) for i in range(5)])
        assert batch["image"].shape == (5, 3, 96, 96)
        back = to_photo_pixels(batch["keypoints"].double(), batch["to_photo"].double(), (96, 96))
        for row in range(5):
            truth = dataset.records[row].keypoints
            np.testing.assert_allclose(back[row], truth, atol=2e-2)
            expected = np.linalg.norm(truth[36] - truth[45])
            assert batch["normalizer"][row].item() == pytest.approx(expected, rel=1e-5)


def test_chosen_points_come_out(imm_data: Path) -> None:
    nose = imm(imm_data, points=[52]).dataset("val").__getitems__([(0, 0)])
    every = imm(imm_data).dataset("val").__getitems__([(0, 0)])
    assert nose["keypoints"].shape == (1, 1, 2)
    torch.testing.assert_close(nose["keypoints"][:, 0], every["keypoints"][:, 52])
    assert nose["normalizer"] == every["normalizer"]


def test_points_land_on_the_same_spot_whatever_the_augmentation(ibug_data: Path) -> None:
    import albumentations as A

    plain = ibug(ibug_data).dataset("train")
    turn = Augmentation([A.HorizontalFlip(p=1), A.Affine(rotate=(20, 20), p=1)])
    turned = ibug(ibug_data, augmentation=turn).dataset("train")
    a, b = (dataset.__getitems__([(0, 3)]) for dataset in (plain, turned))
    maps = [batch["to_photo"].double() for batch in (a, b)]
    photo = [
        to_photo_pixels(x["keypoints"].double(), m, (96, 96))[0]
        for x, m in zip((a, b), maps, strict=True)
    ]
    # mirrored: each point is where its partner was
    np.testing.assert_allclose(photo[1], photo[0][IBUG68.flip_indices.copy()], atol=1e-2)
