"""What all networks share: the base class, and the scaling of their input."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


def normalize_images(images: Tensor) -> Tensor:
    """uint8 images (B, C, H, W) to floats in [-0.5, 0.5], as every network expects them."""
    return images.to(torch.float32).div_(255).sub_(0.5)


class KeypointNetwork(nn.Module, ABC):
    """Images (B, C, H, W) float in [-0.5, 0.5] in, normalised keypoints (B, K, 2) out.

    A network's constructor takes `num_keypoints` and the settings in its file in `conf/model/`.
    """

    @abstractmethod
    def init_output_bias(self, keypoints: Tensor) -> None:
        """Bias the output to a mean shape (K, 2), normalised, before training.

        Otherwise the first epochs only learn where faces are on average.
        """


class CoordinateLinear(nn.Linear):
    """A linear layer that stays in float32 where the rest runs in a lower precision.

    The 8 bits of bfloat16 would round points to a grid of 1/256 of the image.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, F) to coordinates (B, 2 * K), both of any precision, float32 out."""
        device = features.device.type
        if not torch.is_autocast_enabled(device):
            return super().forward(features)
        with torch.autocast(device, enabled=False):
            return super().forward(features.float())
