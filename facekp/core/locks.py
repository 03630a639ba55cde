"""Locks between processes; they end with the process, however it ends."""

from __future__ import annotations

from contextlib import suppress
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
        False if another process holds it. Where nothing can be locked (on Windows, on some network
        file systems, in another user's private file) the answer is True.
    """
    if file in _held:
        return True
    try:
        import fcntl
    except ImportError:
        return True
    try:
        stream = _opened(file)
    except PermissionError:
        return True
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        return False
    except OSError:
        stream.close()
        return True
    _held[file] = stream
    return True


def _opened(file: Path) -> IO[str]:
    try:
        stream = file.open("a")
    except PermissionError:  # of another user
        return file.open()
    with suppress(OSError):
        file.chmod(0o644)  # others shall see the lock, whatever this user's umask is
    return stream
