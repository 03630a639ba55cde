"""Locks between processes; they end with the process, however it ends."""

from __future__ import annotations

from pathlib import Path
from typing import IO

_held: dict[Path, IO[str]] = {}


def is_held(file: Path) -> bool:
    """Whether this process holds the lock."""
    return file in _held


def lock(file: Path) -> bool:
    """Take a lock for the rest of this process.

    Args:
        file: that stands for it; made if it does not exist, and left.

    Returns:
        False if another process holds it. On Windows nothing is locked, and the answer is True.
    """
    if file in _held:
        return True
    try:
        import fcntl
    except ImportError:
        return True
    try:
        stream = file.open("a")
    except PermissionError:  # of another user
        stream = file.open()
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        return False
    _held[file] = stream
    return True
