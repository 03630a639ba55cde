"""GPUs: parsing `trainer.gpus`, counting them without torch, one GPU per job of a sweep."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from facekp.core.errors import ConfigError
from facekp.core.locks import is_held, lock


def requested_gpus(gpus: object) -> Sequence[int]:
    """Indices that `trainer.gpus` asks for; for -1 only the first, as the number is unknown here.

    Raises:
        ConfigError: neither a number nor a list of indices.
    """
    several = isinstance(gpus, Sequence) and not isinstance(gpus, str)
    numbers: list[Any] = list(gpus) if several else [gpus]  # type: ignore[call-overload]
    integers = all(isinstance(n, int) and not isinstance(n, bool) for n in numbers)
    if not numbers or not integers or (isinstance(gpus, int) and gpus < -1):
        raise ConfigError(f"trainer.gpus={gpus}: give a number, -1 for all, or a list of indices")
    if len(set(numbers)) < len(numbers):
        raise ConfigError(f"trainer.gpus={gpus}: give each index once")
    if isinstance(gpus, int):
        return range(1 if gpus == -1 else gpus)
    return numbers


def missing_gpu_error(gpus: object, found: int) -> ConfigError:
    """The error for GPUs that are requested but not there."""
    return ConfigError(
        f"trainer.gpus={gpus}: there are {found} CUDA GPUs here; trainer.gpus=0 trains on the CPU"
    )


def may_have_gpu() -> bool:
    """False where there is certainly no GPU; does not import torch, which takes seconds."""
    # Linux with NVIDIA, in Windows (WSL), on a Jetson, with AMD; elsewhere torch decides.
    names = ("nvidia[0-9]*", "dxg", "nvhost-gpu", "kfd")
    elsewhere = os.name != "posix" or sys.platform == "darwin"
    return elsewhere or any(any(Path("/dev").glob(name)) for name in names)


def gpu_count() -> int:
    """CUDA GPUs visible to this process, at least 1; does not import torch, which takes seconds.

    Where there is none, the job itself reports it.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return max(1, len([entry for entry in visible.split(",") if entry.strip()]))
    return max(1, len(list(Path("/dev").glob("nvidia[0-9]*"))))


def claim_gpu(names: Sequence[str]) -> int:
    """Index of a GPU that no other job of a sweep on this machine uses.

    The claim lasts until the process ends; a second call returns the same index.

    Args:
        names: what identifies each GPU to every process, e.g. its UUID.

    Raises:
        ConfigError: all are taken.
    """
    files = [Path(tempfile.gettempdir()) / f"facekp-{name}.lock" for name in names]
    for file in sorted(files, key=is_held, reverse=True):
        if lock(file):
            return files.index(file)
    raise ConfigError(
        f"all {len(names)} GPUs are taken by other jobs of a sweep: run fewer at a time "
        "(hydra.launcher.n_jobs)"
    )
