"""The ResNet18."""

from __future__ import annotations

import pytest
import torch

from tests.helpers import network


def test_parameters_of_resnet18() -> None:
    # torchvision's 11,689,512, a grey first layer, 136 outputs in place of 1000
    expected = 11_689_512 - 2 * 64 * 49 - 513 * 1000 + 513 * 136
    for overrides in ([], ["model.pool=max_blur"]):
        net = network("resnet18", 68, *overrides)
        assert sum(p.numel() for p in net.parameters()) == expected
    assert network("resnet18", 68, "model.in_channels=3").net.conv1.in_channels == 3


def test_pretrained_network_keeps_its_input_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    from facekp.models import resnet

    monkeypatch.setattr(resnet, "resnet18", lambda weights, make=resnet.resnet18: make())
    trained = network("resnet18", 68, "model.pretrained=true").eval()
    loaded = network("resnet18", 68).eval()
    loaded.load_state_dict(trained.state_dict())
    image = torch.rand(1, 1, 64, 64) - 0.5
    assert trained.scale != 1
    torch.testing.assert_close(trained(image), loaded(image))
