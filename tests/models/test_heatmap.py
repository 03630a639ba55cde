"""The heatmap network."""

from __future__ import annotations

import pytest
import torch

from facekp.core.errors import ConfigError
from tests.helpers import network


def test_heatmaps_reach_beyond_the_input_and_follow_the_image() -> None:
    torch.manual_seed(0)
    net = network("heatmap_net", 2, "model.input_size=[64,64]").eval()
    net.init_output_bias(torch.tensor([[0.2, 0.3], [0.8, 0.6]]))
    images = torch.zeros(1, 1, 64, 64)
    with torch.no_grad():
        net.prior[0, 0, 0] = 100.0  # the first cell lies in the margin
        points = net(images)[0]
    assert points[0].tolist() == pytest.approx([(-2 + 0.5) / 16] * 2)
    assert points[1].tolist() == pytest.approx([0.8, 0.6], abs=0.05)


def test_heatmap_net_refuses_a_size_that_its_scales_do_not_divide() -> None:
    with pytest.raises(ConfigError, match="100x128: 4 scales need multiples of 32"):
        network("heatmap_net", 68, "model.input_size=[100,128]")


@pytest.mark.parametrize("trunk", ["resnet18", "tf_efficientnet_lite0"])
def test_any_timm_backbone_is_a_trunk(trunk: str) -> None:
    settings = [f"model.trunk={trunk}", "model.input_size=[64,64]", "model.in_channels=1"]
    net = network("heatmap_net_small", 5, *settings)
    mean = torch.rand(5, 2) * 0.6 + 0.2
    net.init_output_bias(mean)
    out = net(torch.rand(2, 1, 64, 64) - 0.5)
    assert (out - mean).abs().mean() < 0.05
    out.sum().backward()
    assert all(p.grad is not None for p in net.trunk.parameters())


@pytest.mark.parametrize(
    ("trunk", "message"),
    [
        ("resnet_of_mine", "not a backbone of timm"),
        ("hf-hub:someone/something", "not a backbone of timm"),
        ("vit_tiny_patch16_224", "not 4, 8, 16"),
        ("swin_tiny_patch4_window7_224", "swin_tiny_patch4_window7_224: "),
    ],
)
def test_other_trunks_are_refused(trunk: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        network("heatmap_net", 5, f"model.trunk={trunk!r}")
