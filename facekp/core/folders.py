"""Folders that are either whole or not there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facekp.core.errors import DataError


def made_folder(folder: Path) -> Path:
    """A folder, made if need be.

    Raises:
        DataError: it cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _no_place(folder, error) from error
    return folder


def _no_place(folder: Path, error: OSError) -> DataError:
    remedy = "choose another (FACEKP_CACHE_DIR or dataset.cache_dir=, data_dir= of a download)"
    return DataError(folder, f"cannot be written ({error.strerror})", remedy)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Gives an empty folder to fill; without an error it becomes `folder` at the end.

    Of several jobs that fill the same one at once, the first to finish gives it its content.
    """
    made_folder(folder.parent)
    try:
        scratch = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    except OSError as error:
        raise _no_place(folder.parent, error) from error
    try:
        yield scratch
        try:
            scratch.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
