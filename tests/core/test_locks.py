"""Locks between processes."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from facekp.core.locks import lock

fcntl = pytest.importorskip("fcntl")


def test_a_lock_is_held_by_one_process(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    code = f"from pathlib import Path; from facekp.core.locks import lock; print(lock(Path({str(file)!r})))"

    def other() -> str:
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout

    assert other() == "True\n"
    assert lock(file)
    assert lock(file)
    assert other() == "False\n"


def test_where_nothing_can_be_locked_it_is_not_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_locks(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", without_locks)
    assert lock(tmp_path / "lock")
