"""One heatmap a point, and its centre of mass as the point."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facekp.models.base import KeypointNetwork
from facekp.models.residual import ResidualBlock, ResidualTrunk

STRIDE = 4
"""Pixels of the input a cell of a heatmap."""
MAX_BLOCKS = 64
"""At each scale: a stranger's checkpoint could ask for a million."""
SPREAD = 0.15
"""Standard deviation of the bells that training starts from, in sides of the input."""


class HeatmapNet(KeypointNetwork):
    """Residual trunk, top-down path to a quarter of the input's size, a heatmap a point.

    A softmax makes each heatmap a distribution, whose mean is the point: no peak is picked, so it
    is as fine as a number can be, and the loss is on the points themselves (X. Sun et al.,
    "Integral human pose regression", ECCV 2018). The top-down path is that of T.-Y. Lin et al.,
    "Feature pyramid networks for object detection", CVPR 2017.

    Args:
        num_keypoints: K.
        input_size: (height, width), each a multiple of 4 * 2 ** (scales - 1).
        in_channels: C.
        widths: channels of the trunk at each scale, the first at a quarter of the input's size.
        blocks: residual blocks at each scale.
        head_width: channels of the top-down path.
        margin: cells of each heatmap beyond each side of the input: a point may lie outside it.

    Raises:
        ValueError: an input size that the scales do not divide, or lists of different lengths.
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
    ) -> None:
        super().__init__()
        if len(widths) != len(blocks) or not 1 <= min(blocks) <= max(blocks) <= MAX_BLOCKS:
            raise ValueError(
                f"widths={list(widths)}, blocks={list(blocks)}: a number each a scale, of blocks "
                f"at most {MAX_BLOCKS}"
            )
        if widths[0] < 16:  # below, oneDNN crashes in the backward pass of the stem
            raise ValueError(f"widths={list(widths)}: the first must be at least 16")
        coarsest = STRIDE * 2 ** (len(widths) - 1)
        if any(side % coarsest for side in input_size):
            size = "x".join(map(str, input_size))
            raise ValueError(
                f"input_size={size}: {len(widths)} scales need multiples of {coarsest}"
            )
        self.trunk = ResidualTrunk(in_channels, widths, blocks)
        self.lateral = nn.ModuleList(nn.Conv2d(width, head_width, 1) for width in widths)
        self.merge = nn.ModuleList(ResidualBlock(head_width, head_width) for _ in widths[:-1])
        self.heatmaps = nn.Conv2d(head_width, num_keypoints, 3, padding=1)
        for parameter in self.heatmaps.parameters():
            nn.init.zeros_(parameter)  # the prior alone decides at first
        self.margin = margin
        rows, columns = (side // STRIDE for side in input_size)
        self.x: Tensor
        self.y: Tensor
        for name, count in (("x", columns), ("y", rows)):
            cells = torch.arange(-margin, count + margin) + 0.5
            self.register_buffer(name, cells / count, persistent=False)
        self.prior = nn.Parameter(torch.zeros(num_keypoints, len(self.y), len(self.x)))

    def start_at(self, keypoints: Tensor) -> None:
        """Set the prior to broad bells around a mean shape (K, 2), normalised."""
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
