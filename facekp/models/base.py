"""What every network here is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class KeypointNetwork(nn.Module, ABC):
    """Images (B, C, H, W) float in [-0.5, 0.5] in, normalised keypoints (B, K, 2) out.

    A network's constructor takes `num_keypoints` and the settings of its file in `conf/model/`.
    """

    @abstractmethod
    def start_at(self, keypoints: Tensor) -> None:
        """Bias the output to a mean shape (K, 2), normalised, before training.

        From anywhere else the first epochs only learn where faces are on average.
        """
