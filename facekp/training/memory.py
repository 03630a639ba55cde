"""Memory of a training: what a step needs, what is available, the peak."""

from __future__ import annotations

import copy
import ctypes
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from facekp.core.errors import ConfigError
from facekp.core.geometry import Size

if TYPE_CHECKING:  # importing torch would be most of the memory of a process without it
    import torch
    from torch import Tensor, nn

    from facekp.data.datamodule import FaceDataModule

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def retain_freed_memory(needed: int) -> None:
    """Tell glibc to keep freed memory for the next tensor, if there is plenty of it.

    By default it returns every large tensor to the system and requests it again, zeroed page by
    page, at each step, which costs more than many convolutions. Kept memory fragments, up to twice
    what is in use. Does nothing with another malloc.

    Args:
        needed: bytes that a step holds, see `StepMemory`.
    """
    if sys.platform != "linux" or 4 * needed > available_bytes():
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, -1)


class StepMemory(NamedTuple):
    """Bytes that a training step holds.

    Args:
        fixed: weights, gradients and Adam's two moments.
        per_image: activations that are kept for the backward pass.
    """

    fixed: int
    per_image: int

    def of(self, batch_size: int) -> int:
        """Bytes with a batch of this size."""
        return self.fixed + self.per_image * batch_size


def step_memory(network: nn.Module, channels: int, size: Size) -> StepMemory:
    """Measure a float32 step on the CPU with two images of `size` (height, width)."""
    import torch

    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # the tensor itself would be a cycle that is never freed

    twin = copy.deepcopy(network).cpu().train()
    with torch.random.fork_rng(devices=[]), torch.autograd.graph.saved_tensors_hooks(keep, keep):
        twin(torch.zeros(2, channels, *size))
    weights = sum(weight.nbytes for weight in network.parameters())
    return StepMemory(4 * weights, max(0, sum(kept.values()) - weights) // 2)


def check_memory(
    network: nn.Module, datamodule: FaceDataModule, processes: int, accumulate: int
) -> None:
    """Check that a step on the CPU fits into memory, and let malloc keep what it frees.

    Args:
        network: the network.
        datamodule: gives input and batch size.
        processes: on this machine.
        accumulate: batches per step, for the advice.

    Raises:
        ConfigError: it does not fit; the system would end the process without a message.
    """
    crop, batch_size = datamodule.crop, datamodule.batch_size
    step = step_memory(network, crop.channels, crop.size)
    needed, free = processes * step.of(batch_size), available_bytes()
    if 0 < free < needed:
        sizes = f"{needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free"
        fits = fitting_batch(step, free // processes, batch_size)
        raise out_of_memory_error(batch_size, accumulate, sizes, fits)
    retain_freed_memory(needed)


def fitting_batch(step: StepMemory, free: int, batch_size: int) -> int:
    """The largest batch of a half, a quarter, ... that fits, also if the whole should; 0: none."""
    fits = batch_size // 2
    while fits and step.of(fits) > free:
        fits //= 2
    return fits


def out_of_memory_error(batch_size: int, accumulate: int, needed: str, fits: int) -> ConfigError:
    """The error for a batch that does not fit, with one that does (0: none)."""
    if not fits:
        return ConfigError(
            f"dataset.batch_size={batch_size} needs {needed}: lower model.input_size"
        )
    parts = accumulate * (batch_size // fits)
    same = "the same" if batch_size % fits == 0 else "nearly the same"
    return ConfigError(
        f"dataset.batch_size={batch_size} needs {needed}: try dataset.batch_size={fits} "
        f"trainer.accumulate_grad_batches={parts}, {same} step in smaller parts"
    )


def is_oom(error: BaseException) -> bool:
    """Whether an error means out of memory, of the CPU or of a GPU."""
    known = "out of memory", "can't allocate memory"
    return isinstance(error, MemoryError) or any(part in str(error) for part in known)


def peak_bytes(device: torch.device) -> int:
    """Peak memory in bytes, of a CUDA device or else of this process; 0: unknown."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_reserved(device)
    return process_peak_bytes()


def process_peak_bytes() -> int:
    """Peak memory of this process in bytes (`getrusage` counts its parent's); 0: unknown."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def device_bytes(device: torch.device) -> int:
    """Memory that this process may use, of a CUDA device or else of the machine; 0: unknown."""
    if device.type != "cuda":
        return available_bytes()
    import torch

    return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)


def available_bytes() -> int:
    """Memory that this process may still use, of the machine or its control group; 0: unknown."""
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
