"""The networks are exactly those of the course."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from facekp.core.errors import ConfigError
from facekp.models.factory import build_network

from .conftest import composed


def network(name: str, keypoints: int, *overrides: str) -> torch.nn.Module:
    return build_network(composed(f"model={name}", *overrides).model, keypoints)


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


def test_parameters_of_resnet18() -> None:
    # torchvision's 11,689,512, a grey first layer, 136 outputs in place of 1000
    expected = 11_689_512 - 2 * 64 * 49 - 513 * 1000 + 513 * 136
    for overrides in ([], ["model.pool=max_blur"]):
        net = network("resnet18", 68, *overrides)
        assert sum(p.numel() for p in net.parameters()) == expected
    assert network("resnet18", 68, "model.in_channels=3").net.conv1.in_channels == 3


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


def test_pretrained_network_keeps_its_input_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    from facekp.models import resnet

    monkeypatch.setattr(resnet, "resnet18", lambda weights, make=resnet.resnet18: make())
    trained = network("resnet18", 68, "model.pretrained=true").eval()
    loaded = network("resnet18", 68).eval()
    loaded.load_state_dict(trained.state_dict())
    image = torch.rand(1, 1, 64, 64) - 0.5
    assert trained.scale != 1
    torch.testing.assert_close(trained(image), loaded(image))


@pytest.mark.parametrize("name", ["nose_net", "face_net_240x320", "resnet18", "heatmap_net"])
def test_training_starts_at_the_mean_shape(name: str) -> None:
    cfg = composed(f"model={name}")
    net = build_network(cfg.model, 5).eval()
    mean = torch.rand(5, 2) * 0.6 + 0.2
    net.init_output_bias(mean)
    out = net(torch.rand(3, 1, *cfg.model.input_size) - 0.5)
    assert (out - mean).abs().mean() < 0.05


@pytest.mark.parametrize(
    "target",
    ["os.system", "torch.hub.load", "facekp.models.pooling.make_pool", "facekp.models.resnet.Tensor",
     "facekp.models.resnet.BasicBlock", "facekp.models.convnet.Nothing", "facekp.training.module.KeypointModule"],
)  # fmt: skip
def test_only_networks_are_built(target: str) -> None:
    with pytest.raises(ConfigError, match=r"model\._target_"):
        build_network({"_target_": target, "input_size": [8, 8]}, 1)


def test_nothing_nested_is_built() -> None:
    model = dict(composed("model=resnet18").model) | {"pool": {"_target_": "os.system"}}
    with pytest.raises(ConfigError, match="plain values"):
        build_network(model, 68)


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
