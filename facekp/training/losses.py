"""Losses on normalised keypoints, (B, K, 2) prediction and target to a scalar.

MSE, L1 and smooth L1 are torch's own (`torch.nn.MSELoss`, `L1Loss`, `SmoothL1Loss`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class WingLoss(nn.Module):
    """Wing loss: logarithmic near zero, so that small errors keep their gradient.

    `w ln(1 + |x| / epsilon)` below `w`, `|x| - C` above, C making it continuous (Z.-H. Feng et al.,
    "Wing loss for robust facial landmark localisation with convolutional neural networks", CVPR
    2018).

    Args:
        width: w, in normalised coordinates (the paper's 10 px of a 256 px input are 0.04).
        epsilon: curvature, likewise (2 px of 256).
    """

    def __init__(self, width: float = 0.04, epsilon: float = 0.008) -> None:
        super().__init__()
        self.width, self.epsilon = width, epsilon
        self.offset = width - width * math.log1p(width / epsilon)

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Mean over all coordinates."""
        error = (predicted - target).abs()
        near = self.width * torch.log1p(error / self.epsilon)
        return torch.where(error < self.width, near, error - self.offset).mean()
