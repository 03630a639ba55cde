"""Locks between the processes of one machine; they end with the process, however it ends."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO

_held: dict[str, IO[str]] = {}


def is_held(name: str) -> bool:
    """Whether this process holds the lock."""
    return name in _held


def lock(name: str) -> bool:
    """Take a lock for the rest of this process.

    Args:
        name: part of a file's name.

    Returns:
        False if another process holds it. On Windows nothing is locked, and the answer is True.
    """
    if name in _held:
        return True
    try:
        import fcntl
    except ImportError:
        return True
    file = (Path(tempfile.gettempdir()) / f"facekp-{name}.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return False
    _held[name] = file
    return True
