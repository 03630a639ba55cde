"""Pooling layers."""

from __future__ import annotations

import pytest
import torch

from facekp.core.errors import ConfigError
from facekp.models.factory import build_network
from tests.conftest import composed
from tests.helpers import network


@pytest.mark.parametrize(
    ("name", "keypoints"),
    [("nose_net", 1), ("nose_net_240x320", 1), ("face_net", 58), ("face_net_240x320", 58), ("resnet18", 68)],
)  # fmt: skip
@pytest.mark.parametrize("pool", ["max", "blur", "max_blur"])
def test_every_pool_gives_keypoints_and_gradients(name: str, keypoints: int, pool: str) -> None:
    if name == "resnet18" and pool == "blur":
        with pytest.raises(ConfigError, match="max_blur"):
            network(name, keypoints, f"model.pool={pool}")
        return
    cfg = composed(f"model={name}", f"model.pool={pool}")
    net = build_network(cfg.model, keypoints)
    out = net(torch.rand(2, 1, *cfg.model.input_size) - 0.5)
    assert out.shape == (2, keypoints, 2)
    out.sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_blur_is_the_binomial_of_stride_two() -> None:
    from facekp.models.pooling import make_pool

    image = torch.zeros(1, 1, 9, 9)
    image[0, 0, 4, 4] = 1.0
    kernel = torch.tensor([1.0, 2.0, 1.0]) / 4
    blurred = make_pool("blur", 1)(image)
    assert blurred.shape[-2:] == (5, 5)
    assert blurred[0, 0, 2, 2] == kernel[1] ** 2
    assert blurred.sum() == kernel[1] ** 2
    # the anti-aliased form is dense max-pool first: the maximum is seen, then blurred
    dense = make_pool("max_blur", 1, size=3)(image)
    assert dense[0, 0, 1:3, 1:3].max() > blurred.max()


def test_max_blur_resnet_has_no_strided_max_pool() -> None:
    net = network("resnet18", 68, "model.pool=max_blur")
    strides = [m.stride for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
    assert strides.count((2, 2)) == 1  # the first layer alone
