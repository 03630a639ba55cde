"""Files that are whole or not there, whenever a process dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from facekp.core.errors import DataError, FacekpError

MAX_TEXT = 1_000_000


@contextmanager
def written_whole(path: str | Path) -> Iterator[IO[bytes]]:
    """A stream whose content becomes the file `path` when all of it is on the disk.

    Until then, and when anything fails, the file is what it was.

    Raises:
        FacekpError: it cannot be written, e.g. because the disk is full.
    """
    path = Path(path)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with scratch.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        scratch.replace(path)
    except OSError as error:
        raise FacekpError(
            f"{path} cannot be written ({error.strerror or error}); what was saved before is whole:"
            " make room, or choose another runs_dir=, and resume"
        ) from error
    finally:
        scratch.unlink(missing_ok=True)


def read_text(path: Path) -> str:
    """A small text file of ASCII; what is none becomes a question mark.

    Raises:
        DataError: it cannot be read, or is far too large for a face's points.
    """
    try:
        if path.stat().st_size > MAX_TEXT:
            raise DataError(path, f"more than {MAX_TEXT:,} bytes for one face", "restore the file")
        return path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})", "check the path") from error


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole, see `written_whole`."""
    with written_whole(path) as stream:
        stream.write(text.encode("utf-8"))
