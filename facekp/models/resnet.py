"""ResNet18 regression (K. He et al., "Deep residual learning for image recognition", CVPR 2016)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights, resnet18
from torchvision.models.resnet import BasicBlock

from facekp.models.base import CoordinateLinear, KeypointNetwork
from facekp.models.pooling import make_pool


class ResNet18(KeypointNetwork):
    """torchvision's ResNet18 with its first and last layer replaced.

    Args:
        num_keypoints: K.
        input_size: (height, width) of the input; any size works.
        in_channels: 1 (grey) or 3 (RGB).
        pretrained: start from ImageNet weights, which torchvision downloads; those of the first
            layer are summed over RGB for a grey input, and the input is scaled as they expect it.
        pool: `max`, or `max_blur` for the published anti-aliased form: the max-pool and every
            strided convolution get stride 1 and are followed by a blur of stride 2 (R. Zhang,
            "Making convolutional networks shift-invariant again", ICML 2019).

    Raises:
        ValueError: another pool.
    """

    def __init__(
        self,
        num_keypoints: int,
        input_size: Sequence[int],
        in_channels: int,
        pretrained: bool,
        pool: str,
    ) -> None:
        super().__init__()
        self.shift: Tensor
        self.scale: Tensor
        if pool not in ("max", "max_blur"):
            raise ValueError(f"pool={pool}: a ResNet takes max or max_blur")
        self.net = resnet18(weights=ResNet18_Weights.IMAGENET1K_V1 if pretrained else None)
        first = self.net.conv1
        if in_channels != 3:
            self.net.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
            if pretrained:
                with torch.no_grad():
                    self.net.conv1.weight.copy_(first.weight.sum(1, keepdim=True))
        self.net.fc = CoordinateLinear(512, 2 * num_keypoints)
        # ImageNet weights expect (x - mean) / std of x in [0, 1]; the input here is x - 0.5.
        mean, std = (0.4565, 0.2255) if pretrained else (0.5, 1.0)
        self.register_buffer("shift", torch.tensor(0.5 - mean))
        self.register_buffer("scale", torch.tensor(1 / std))
        if pool == "max_blur":
            self._blur()

    def _blur(self) -> None:
        self.net.maxpool = make_pool("max_blur", 64)
        for block in self.net.modules():
            if isinstance(block, BasicBlock) and block.stride == 2:
                conv, width = block.conv1, block.conv1.out_channels
                conv.stride = (1, 1)
                block.conv2 = nn.Sequential(make_pool("blur", width), block.conv2)
                shortcut = block.downsample[0]
                shortcut.stride = (1, 1)
                block.downsample = nn.Sequential(
                    make_pool("blur", conv.in_channels), shortcut, block.downsample[1]
                )

    def init_output_bias(self, keypoints: Tensor) -> None:
        """Set the last layer to output a mean shape (K, 2), normalised, for any input."""
        with torch.no_grad():
            # Random weights on 512 features would scatter the points by more than faces differ.
            self.net.fc.weight.zero_()
            self.net.fc.bias.copy_(keypoints.flatten())

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) to normalised keypoints (B, K, 2)."""
        return self.net((images + self.shift) * self.scale).unflatten(1, (-1, 2))
