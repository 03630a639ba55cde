"""How a training on the CPU holds its memory."""

from __future__ import annotations

import copy
import ctypes
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from facekp.core.geometry import Size

if TYPE_CHECKING:  # torch itself would be most of the memory of a process that does without
    import torch
    from torch import Tensor, nn

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_freed_memory(needed: int) -> None:
    """Tell glibc to keep what is freed for the next tensor, where there is plenty.

    By itself it gives every large tensor back to the system and takes it anew, zeroed, page by
    page, at each step: more work than many a convolution. Kept memory falls into pieces of other
    sizes than are asked for next, up to twice what is in use. Does nothing where malloc is another.

    Args:
        needed: bytes that a step holds, see `step_bytes`.
    """
    if sys.platform != "linux" or 4 * needed > available():
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, -1)


def step_bytes(network: nn.Module, channels: int, size: Size, batch_size: int) -> int:
    """Bytes that a training step holds, as measured on two images of `size` (height, width)."""
    import torch

    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # itself would be a cycle that is never freed

    with torch.random.fork_rng(devices=[]), torch.autograd.graph.saved_tensors_hooks(keep, keep):
        copy.deepcopy(network).train()(torch.zeros(2, channels, *size))
    weights = sum(weight.nbytes for weight in network.parameters())
    activations = max(0, sum(kept.values()) - weights)
    return activations * batch_size // 2 + 4 * weights  # with gradients and Adam's two moments


def too_much(error: BaseException) -> bool:
    """Whether an error says that memory ran out, the processor's or a GPU's."""
    known = "out of memory", "can't allocate memory"
    return isinstance(error, MemoryError) or any(part in str(error) for part in known)


def peak(device: torch.device) -> int:
    """The most bytes held so far: of a CUDA device, else by this process; 0: not known."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_reserved(device)
    return process_peak()


def process_peak() -> int:
    """The most bytes that this process has held (`getrusage` counts its parent's); 0: not known."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def available() -> int:
    """Bytes that this process may still take, of the machine or its control group; 0: not known."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        numbers = {
            name: int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines)
        }
        free = 1024 * numbers["MemAvailable"]
    except (OSError, KeyError, ValueError):
        return 0
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),  # version 1
    ):
        try:
            group = [int(Path("/sys/fs/cgroup", name).read_text()) for name in (limit, used)]
            free = min(free, group[0] - group[1])
        except (OSError, ValueError):  # no such group, or "max": no limit
            continue
    return free
