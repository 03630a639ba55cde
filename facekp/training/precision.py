"""`trainer.precision=auto`: float32 or mixed bfloat16, whichever is quicker on this machine."""

from __future__ import annotations

import copy
import logging
from time import perf_counter

import torch
from torch import Tensor, nn

from facekp.core.crop import Crop

log = logging.getLogger(__name__)

FLOAT32, BFLOAT16 = "32-true", "bf16-mixed"
MARGIN = 1.1
"""How much quicker bfloat16 must be, as float32 is the more exact."""
EMULATED = 3.0
"""Slower than float32 by this, bfloat16 is not tried on a whole batch."""
BATCH = 16
"""Most images of a batch on the CPU, where a large one is not quicker."""


def quicker_precision(network: nn.Module, crop: Crop, batch_size: int, device: torch.device) -> str:
    """Time training steps in float32 and in bfloat16, and say which is taken.

    Processors differ: with instructions for bfloat16 a step can be twice as quick, without them a
    hundred times slower.

    Args:
        network: is copied, and left as it is.
        crop: gives size and channels of the images.
        batch_size: of the training.
        device: on which it is trained.

    Returns:
        `32-true` or `bf16-mixed`.
    """
    lacks_it = device.type == "cuda" and not _gpu_has_bfloat16()
    if lacks_it or device.type not in ("cpu", "cuda"):
        log.info(f"trainer.precision={FLOAT32}: this device has no bfloat16")
        return FLOAT32
    if device.type == "cpu":
        batch_size = min(batch_size, BATCH)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch_size, crop.channels, *crop.size, generator=generator) - 0.5
    images = images.to(device, memory_format=torch.channels_last)
    twin = copy.deepcopy(network).train().to(device).to(memory_format=torch.channels_last)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        single, half = _step_seconds(twin, images[:2])
        if half < EMULATED * single:
            single, half = _step_seconds(twin, images)
    chosen = BFLOAT16 if single > MARGIN * half else FLOAT32
    times = f"{1000 * single:.0f} ms in float32, {1000 * half:.0f} ms in bfloat16"
    log.info(f"trainer.precision={chosen}: a step takes {times}")
    return chosen


def common_precision(on_gpus: bool) -> str:
    """The precision on several devices, whose processes must agree: nothing is timed."""
    return BFLOAT16 if on_gpus and _gpu_has_bfloat16() else FLOAT32


def _gpu_has_bfloat16() -> bool:
    return torch.cuda.is_bf16_supported(including_emulation=False)


def _step_seconds(network: nn.Module, images: Tensor) -> tuple[float, float]:
    """Duration of a forward and backward step in float32 and in bfloat16, each the best of three.

    The two alternate, as the speed of a shared machine changes; the first of each is slower.
    """
    seconds: tuple[list[float], list[float]] = ([], [])
    device = images.device.type
    for _ in range(4):
        for bfloat16, times in enumerate(seconds):
            start = perf_counter()
            with torch.autocast(device, torch.bfloat16, enabled=bool(bfloat16)):
                points = network(images)
            points.float().square().sum().backward()
            if device == "cuda":
                torch.cuda.synchronize()
            times.append(perf_counter() - start)
    return min(seconds[0][1:]), min(seconds[1][1:])
