"""Pooling layers, chosen by name."""

from __future__ import annotations

from torch import nn

POOLS = ("max", "blur", "max_blur")


def make_pool(pool: str, channels: int, size: int = 2) -> nn.Module:
    """A layer that downsamples feature maps.

    Args:
        pool: `max`: max-pool of `size`, stride `size`. `blur`: a 3x3 binomial blur of stride 2 in
            place of it. `max_blur`: the published anti-aliased form, a max-pool of stride 1
            followed by that blur (R. Zhang, "Making convolutional networks shift-invariant again",
            ICML 2019).
        channels: of the feature maps.
        size: of the max-pool.

    Raises:
        ValueError: another pool.
    """
    if pool == "max":
        return nn.MaxPool2d(size)
    if pool not in POOLS:
        raise ValueError(f"pool={pool}: choose one of {', '.join(POOLS)}")
    # timm imports much of torch, which networks without a blur should not wait for.
    from timm.layers import BlurPool2d

    blur = BlurPool2d(channels, filt_size=3, stride=2)
    return blur if pool == "blur" else nn.Sequential(nn.MaxPool2d(size, stride=1), blur)
