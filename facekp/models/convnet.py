"""The small convolutional networks of parts 1 and 2."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from facekp.models.base import CoordinateLinear, KeypointNetwork
from facekp.models.pooling import make_pool

MAX_LAYERS = 64
"""Convolutional or fully connected; an untrusted checkpoint could ask for a million."""


class ConvNet(KeypointNetwork):
    """Convolutions with ReLU and pooling, then fully connected layers.

    Args:
        num_keypoints: K.
        input_size: (height, width).
        in_channels: C.
        channels: output channels of each convolution.
        kernel_sizes: of each convolution, or one number for all.
        paddings: of each convolution, or one number for all.
        pool_after: numbers, from 1, of the convolutions that are followed by a pool.
        pool: `max`, `blur` or `max_blur`, see `make_pool`.
        pool_size: of the max-pool.
        hidden: widths of the fully connected layers before the last.
        hidden_relu: follow these with a ReLU; a narrow layer without it is a linear shape model.
        sigmoid: squash the output into (0, 1); it then cannot reach a point outside the crop.

    Raises:
        ValueError: lists of different lengths, or an input too small for the layers.
    """

    def __init__(
        self,
        num_keypoints: int,
        input_size: Sequence[int],
        in_channels: int,
        channels: Sequence[int],
        kernel_sizes: Sequence[int] | int,
        paddings: Sequence[int] | int,
        pool_after: Sequence[int],
        pool: str,
        pool_size: int,
        hidden: Sequence[int],
        hidden_relu: bool,
        sigmoid: bool,
    ) -> None:
        super().__init__()
        if max(len(channels), len(hidden)) > MAX_LAYERS:
            raise ValueError(f"more than {MAX_LAYERS} layers")
        kernel_sizes = _for_each(kernel_sizes, len(channels), "kernel_sizes")
        paddings = _for_each(paddings, len(channels), "paddings")
        unknown = [number for number in pool_after if not 1 <= number <= len(channels)]
        if unknown:
            raise ValueError(
                f"pool_after={list(pool_after)}: there are {len(channels)} convolutions"
            )
        layers: list[nn.Module] = []
        width = in_channels
        for number, (out, kernel, padding) in enumerate(
            zip(channels, kernel_sizes, paddings, strict=True), 1
        ):
            layers.append(nn.Conv2d(width, out, kernel, padding=padding))
            pools = [make_pool(pool, out, pool_size)] if number in pool_after else []
            # Max-pool and ReLU commute; the ReLU is cheaper after the pool.
            relu = nn.ReLU(inplace=True)
            layers += [*pools, relu] if pool == "max" else [relu, *pools]
            width = out
        self.features = nn.Sequential(*layers)
        widths = [self._flat_size(input_size, in_channels), *hidden]
        head: list[nn.Module] = []
        for before, after in pairwise(widths):
            head += [nn.Linear(before, after), *([nn.ReLU()] if hidden_relu else [])]
        head.append(CoordinateLinear(widths[-1], 2 * num_keypoints))
        if sigmoid:
            head.append(nn.Sigmoid())
        self.head = nn.Sequential(*head)

    def _flat_size(self, input_size: Sequence[int], in_channels: int) -> int:
        try:  # shapes only, without memory for a large input
            features = copy.deepcopy(self.features).to("meta")
            return features(torch.zeros(1, in_channels, *input_size, device="meta")).numel()
        except RuntimeError as error:
            size = "x".join(map(str, input_size))
            raise ValueError(
                f"an input of {size} is too small for these layers: use fewer pools, smaller "
                "kernels or more padding"
            ) from error

    def init_output_bias(self, keypoints: Tensor) -> None:
        """Set the last layer's bias to a mean shape (K, 2), normalised."""
        squashed = isinstance(self.head[-1], nn.Sigmoid)
        last = self.head[-2] if squashed else self.head[-1]
        assert isinstance(last, nn.Linear)
        bias = keypoints.logit(eps=1e-3) if squashed else keypoints
        with torch.no_grad():
            last.bias.copy_(bias.flatten())

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) to normalised keypoints (B, K, 2)."""
        return self.head(self.features(images).flatten(1)).unflatten(1, (-1, 2))


def _for_each(value: Sequence[int] | int, count: int, name: str) -> list[int]:
    values = [value] * count if isinstance(value, int) else list(value)
    if len(values) != count:
        raise ValueError(
            f"{name}={values}: {count} convolutions need {count} numbers, or one for all"
        )
    return values
