"""Residual trunk with feature maps at several scales, for dense heads."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut.

    K. He et al., "Deep residual learning for image recognition", CVPR 2016.

    Args:
        width: channels in.
        out: channels out.
        stride: of the first convolution.
    """

    def __init__(self, width: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(out)
        self.shortcut: nn.Module = nn.Identity()
        if width != out or stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(width, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, maps: Tensor) -> Tensor:
        """Feature maps (B, C, H, W) to (B, C', H / stride, W / stride)."""
        out = F.relu(self.norm1(self.conv1(maps)), inplace=True)
        return F.relu(self.norm2(self.conv2(out)) + self.shortcut(maps), inplace=True)


class ResidualTrunk(nn.Module):
    """Images to feature maps at 1/4, 1/8, 1/16, ... of their size.

    Args:
        in_channels: C.
        widths: channels at each scale.
        blocks: residual blocks at each scale.
    """

    def __init__(self, in_channels: int, widths: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        first = widths[0]
        self.stem = nn.Sequential(
            *_convolution(in_channels, first // 2), *_convolution(first // 2, first)
        )
        self.stages = nn.ModuleList()
        width = first
        for number, (out, count) in enumerate(zip(widths, blocks, strict=True)):
            stride = 2 if number else 1
            self.stages.append(
                nn.Sequential(
                    ResidualBlock(width, out, stride),
                    *(ResidualBlock(out, out) for _ in range(count - 1)),
                )
            )
            width = out

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (B, C, H, W) to feature maps of each scale, the finest first."""
        maps, scales = self.stem(images), []
        for stage in self.stages:
            maps = stage(maps)
            scales.append(maps)
        return scales


def _convolution(width: int, out: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(width, out, 3, 2, 1, bias=False)
    return convolution, nn.BatchNorm2d(out), nn.ReLU(inplace=True)
