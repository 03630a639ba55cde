"""The networks are exactly those of the course."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from facekp.models.factory import build_network
from tests.conftest import composed
from tests.helpers import network


def parameters(convolutions: list[tuple[int, int, int]], dense: list[int]) -> int:
    """Count by hand: (in, out, kernel) of each convolution and widths of the dense layers."""
    total = sum(out * (inp * kernel**2 + 1) for inp, out, kernel in convolutions)
    return total + sum(b * (a + 1) for a, b in pairwise(dense))


BIG = [(1, 18, 3), (18, 24, 3), (24, 30, 3), (30, 30, 3), (30, 25, 3)]


@pytest.mark.parametrize(
    ("name", "overrides", "keypoints", "convolutions", "dense"),
    [
        ("nose_net", [], 1, [(1, 12, 3), (12, 18, 5), (18, 28, 5)], [980, 84, 2]),
        ("nose_net_240x320", [], 1, [(1, 24, 3), (24, 30, 3), (30, 20, 3)], [1400, 128, 2]),
        (
            "face_net", [], 58,
            [(1, 12, 5), (12, 24, 3), (24, 32, 3), (32, 48, 3), (48, 64, 1)], [134784, 24, 116],
        ),
        ("face_net_240x320", [], 58, BIG, [15750, 128, 116]),
        ("face_net_240x320", ["model.pool=blur"], 58, BIG, [99900, 128, 116]),
    ],
)  # fmt: skip
def test_parameters_of_the_small_networks(
    name: str, overrides: list[str], keypoints: int, convolutions: list, dense: list[int]
) -> None:
    net = network(name, keypoints, *overrides)
    assert sum(p.numel() for p in net.parameters()) == parameters(convolutions, dense)


@pytest.mark.parametrize("name", ["nose_net", "face_net_240x320", "resnet18", "heatmap_net"])
def test_training_starts_at_the_mean_shape(name: str) -> None:
    cfg = composed(f"model={name}")
    net = build_network(cfg.model, 5).eval()
    mean = torch.rand(5, 2) * 0.6 + 0.2
    net.init_output_bias(mean)
    out = net(torch.rand(3, 1, *cfg.model.input_size) - 0.5)
    assert (out - mean).abs().mean() < 0.05


@pytest.mark.parametrize(
    ("name", "keypoints"), [("face_net", 58), ("resnet18", 68), ("heatmap_net", 68)]
)
def test_bfloat16_does_not_round_the_points(name: str, keypoints: int) -> None:
    torch.manual_seed(0)
    net = network(name, keypoints, *(["model.input_size=[64,64]"] if name == "resnet18" else []))
    for parameter in net.parameters():
        parameter.data.add_(0.01)
    images = torch.rand(2, 1, *composed(f"model={name}").model.input_size) - 0.5
    with torch.autocast("cpu", torch.bfloat16):
        points = net(images)
    assert points.dtype == torch.float32
    assert (points != points.bfloat16()).float().mean() > 0.9


@pytest.mark.parametrize("name", ["nose_net", "face_net_240x320"])
def test_pool_before_relu_is_the_published_network(name: str) -> None:
    torch.manual_seed(0)
    net = network(name, 1)
    size = composed(f"model={name}").model.input_size
    images = torch.rand(2, 1, *size) - 0.5
    layers = list(net.features)
    for at in [at for at, layer in enumerate(layers) if isinstance(layer, torch.nn.MaxPool2d)]:
        layers[at], layers[at + 1] = layers[at + 1], layers[at]
    order = [type(layer).__name__ for layer in layers[:3]]
    assert order == ["Conv2d", "ReLU", "MaxPool2d"]
    with torch.no_grad():
        assert torch.equal(torch.nn.Sequential(*layers)(images), net.features(images))
