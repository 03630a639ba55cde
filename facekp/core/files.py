"""Atomic writes of files and folders, and bounded reads of small text files."""

from __future__ import annotations

import os
import shutil
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from facekp.core.errors import DataError, FacekpError

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm",
    ".pgm", ".heic", ".heif", ".avif", ".jp2",
)  # fmt: skip
"""By which the files in a folder are recognised as images."""
MAX_TEXT = 1_000_000
"""Bytes of a text file with the points of one face."""


@contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """A binary stream that replaces the file `path` once all of it is on the disk.

    Until then, and on any failure, the file keeps its previous content.

    Raises:
        FacekpError: the file cannot be written, e.g. because the disk is full.
    """
    path = Path(path)
    # Of fixed length, as the file's name may be as long as names can be.
    scratch = path.with_name(f".{zlib.crc32(os.fsencode(path.name)):08x}.{os.getpid()}.tmp")
    try:
        with scratch.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        scratch.replace(path)
    except OSError as error:
        raise FacekpError(
            f"{path} cannot be written ({error.strerror or error}); what was saved before is"
            " intact: free some space, or choose another folder (runs_dir=, output=)"
        ) from error
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)


def atomic_write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file atomically, see `atomic_write`."""
    with atomic_write(path) as stream:
        stream.write(text.encode("utf-8"))


def read_small_text(path: Path) -> str:
    """A small ASCII text file; other characters become question marks.

    Raises:
        DataError: the file cannot be read, or has more than `MAX_TEXT` bytes.
    """
    try:
        if path.stat().st_size > MAX_TEXT:
            raise DataError(path, f"more than {MAX_TEXT:,} bytes for one face", "restore the file")
        return path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})", "check the path") from error


def exists(path: Path) -> bool:
    """Whether there is a file or folder; False also for a name that none can have."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_file(path: Path) -> bool:
    """Whether there is a file; False also for a name that none can have."""
    return exists(path) and path.is_file()


def make_folder(folder: Path) -> Path:
    """Create a folder and its parents if missing.

    Raises:
        DataError: it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(folder, error) from error
    return folder


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """An empty scratch folder to fill, which becomes `folder` when the block ends without an error.

    If several jobs fill the same folder at once, the first one to finish provides it.

    Raises:
        DataError: no folder can be created there, or it cannot be filled, e.g. as the disk is full.
    """
    make_folder(folder.parent)
    try:
        scratch = folder.with_name(f".building-{uuid.uuid4().hex}")
        scratch.mkdir()  # readable by others, as mkdtemp's is not
    except OSError as error:
        raise _not_writable(folder.parent, error) from error
    try:
        yield scratch
        try:
            scratch.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    except OSError as error:
        raise _not_writable(folder, error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _not_writable(folder: Path, error: OSError) -> DataError:
    remedy = "choose another (FACEKP_CACHE_DIR or dataset.cache_dir=, data_dir= of a download)"
    return DataError(folder, f"cannot be written ({error.strerror or error})", remedy)
