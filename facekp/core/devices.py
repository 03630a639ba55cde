"""GPUs: how many there are, and one for each job of a sweep."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from facekp.core.errors import ConfigError

_claims: dict[str, IO[str]] = {}


def may_have_gpu() -> bool:
    """False where there is certainly no GPU, without asking torch (which takes seconds)."""
    # Linux with NVIDIA, in Windows (WSL), on a Jetson, with AMD; elsewhere torch is to say.
    names = ("nvidia[0-9]*", "dxg", "nvhost-gpu", "kfd")
    return os.name != "posix" or any(any(Path("/dev").glob(name)) for name in names)


def gpu_count() -> int:
    """CUDA GPUs that this process may use, at least 1, without asking torch (which takes seconds).

    Where there is none, the job itself says so.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return max(1, len([entry for entry in visible.split(",") if entry.strip()]))
    return max(1, len(list(Path("/dev").glob("nvidia[0-9]*"))))


def claim_gpu(names: Sequence[str]) -> int:
    """Index of a GPU that no other job of a sweep on this machine uses.

    It stays this process's own until the process ends; asked again, the answer is the same.

    Args:
        names: what identifies each GPU to every process, e.g. its UUID.

    Raises:
        ConfigError: all are taken.
    """
    import fcntl  # not on Windows, nor do several jobs run there at once

    for index, name in enumerate(names):
        if name in _claims:
            return index
    for index, name in enumerate(names):
        lock = (Path(tempfile.gettempdir()) / f"facekp-{name}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        _claims[name] = lock
        return index
    raise ConfigError(
        f"all {len(names)} GPUs are taken by other jobs of a sweep: run fewer at a time "
        "(hydra.launcher.n_jobs)"
    )
