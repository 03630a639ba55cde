"""Losses against values worked out by hand."""

from __future__ import annotations

import pytest
import torch

from facekp.training.losses import WingLoss


def test_wing_loss_by_hand() -> None:
    loss = WingLoss(width=0.04, epsilon=0.008)
    zero = torch.zeros(1, 1, 2)
    near, far = torch.tensor([[[0.008, 0.008]]]), torch.tensor([[[0.5, 0.5]]])
    assert loss(near, zero).item() == pytest.approx(0.04 * 0.693147, rel=1e-4)
    assert loss(far, zero).item() == pytest.approx(0.5 - (0.04 - 0.04 * 1.791759), rel=1e-4)
    edge = torch.tensor([[[0.04 - 1e-6, 0.04 + 1e-6]]])
    below, above = (loss(edge[..., i : i + 1], zero[..., :1]).item() for i in (0, 1))
    assert below == pytest.approx(above, abs=1e-5)
