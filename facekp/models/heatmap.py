"""Heatmap network: one heatmap per point, whose centre of mass is the point."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facekp.models.base import KeypointNetwork
from facekp.models.residual import ResidualBlock, ResidualTrunk

STRIDE = 4
"""Pixels of the input per heatmap cell."""
MAX_BLOCKS = 64
"""At each scale; an untrusted checkpoint could ask for a million."""
SPREAD = 0.15
"""Standard deviation of the initial heatmaps' Gaussians, in sides of the input."""


class HeatmapNet(KeypointNetwork):
    """A trunk, a top-down path to a quarter of the input's size, and one heatmap per point.

    A softmax makes each heatmap a distribution, whose mean is the point: no peak is picked, so the
    result is not quantised, and the loss is on the points themselves (X. Sun et al., "Integral
    human pose regression", ECCV 2018). The top-down path is that of T.-Y. Lin et al., "Feature
    pyramid networks for object detection", CVPR 2017.

    Args:
        num_keypoints: K.
        input_size: (height, width), each a multiple of the trunk's coarsest stride.
        in_channels: C.
        widths: channels of the residual trunk at each scale, the first at 1/4 of the input's size.
        blocks: residual blocks at each scale.
        head_width: channels of the top-down path.
        margin: heatmap cells beyond each side of the input: a point may lie outside it.
        trunk: name of a timm backbone in place of the residual trunk, which then needs no `widths`
            and `blocks`; None: the residual trunk.
        pretrained: start the timm backbone from its published weights, see `TimmTrunk`.

    Raises:
        ValueError: an input size that the scales do not divide, lists of different lengths, an
            unknown backbone, or weights without one.
    """

    def __init__(
        self,
        num_keypoints: int,
        input_size: Sequence[int],
        in_channels: int,
        widths: Sequence[int],
        blocks: Sequence[int],
        head_width: int,
        margin: int,
        trunk: str | None = None,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        self.trunk: nn.Module
        if trunk is None and pretrained:
            raise ValueError("pretrained=true needs trunk=, a backbone of timm")
        if trunk is None:
            self.trunk, channels = _residual_trunk(in_channels, widths, blocks), list(widths)
        else:
            from facekp.models.timm_trunk import TimmTrunk  # timm takes a second to import

            self.trunk = TimmTrunk(trunk, in_channels, input_size, pretrained)
            channels = self.trunk.channels
        coarsest = STRIDE * 2 ** (len(channels) - 1)
        if any(side % coarsest for side in input_size):
            size = "x".join(map(str, input_size))
            raise ValueError(
                f"input_size={size}: {len(channels)} scales need multiples of {coarsest}"
            )
        self.lateral = nn.ModuleList(nn.Conv2d(width, head_width, 1) for width in channels)
        self.merge = nn.ModuleList(ResidualBlock(head_width, head_width) for _ in channels[:-1])
        self.heatmaps = nn.Conv2d(head_width, num_keypoints, 3, padding=1)
        for parameter in self.heatmaps.parameters():
            nn.init.zeros_(parameter)  # at first the prior decides alone
        self.margin = margin
        rows, columns = (side // STRIDE for side in input_size)
        self.x: Tensor
        self.y: Tensor
        for name, count in (("x", columns), ("y", rows)):
            cells = torch.arange(-margin, count + margin) + 0.5
            self.register_buffer(name, cells / count, persistent=False)
        self.prior = nn.Parameter(torch.zeros(num_keypoints, len(self.y), len(self.x)))

    def init_output_bias(self, keypoints: Tensor) -> None:
        """Set the prior to broad Gaussians around a mean shape (K, 2), normalised."""
        x, y = keypoints[:, :1], keypoints[:, 1:]
        across, down = (self.x - x) ** 2, (self.y - y) ** 2
        with torch.no_grad():
            self.prior.copy_(-(across[:, None] + down[:, :, None]) / (2 * SPREAD**2))

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) to normalised keypoints (B, K, 2)."""
        *finer, coarsest = self.trunk(images)
        maps = self.lateral[-1](coarsest)
        for scale in reversed(range(len(finer))):
            maps = F.interpolate(maps, scale_factor=2.0) + self.lateral[scale](finer[scale])
            maps = self.merge[scale](maps)
        logits = self.heatmaps(F.pad(maps, [self.margin] * 4)).float() + self.prior
        share = logits.flatten(2).softmax(-1).unflatten(2, logits.shape[2:])
        return torch.stack(
            [(share.sum(2) * self.x).sum(-1), (share.sum(3) * self.y).sum(-1)], dim=-1
        )


def _residual_trunk(
    in_channels: int, widths: Sequence[int], blocks: Sequence[int]
) -> ResidualTrunk:
    if len(widths) != len(blocks) or not 1 <= min(blocks) <= max(blocks) <= MAX_BLOCKS:
        raise ValueError(
            f"widths={list(widths)}, blocks={list(blocks)}: give one number per scale, of blocks "
            f"at most {MAX_BLOCKS}"
        )
    if widths[0] < 16:  # below, oneDNN crashes in the backward pass of the stem
        raise ValueError(f"widths={list(widths)}: the first must be at least 16")
    return ResidualTrunk(in_channels, widths, blocks)
