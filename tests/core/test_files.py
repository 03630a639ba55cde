"""Atomic writes."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from facekp.core.errors import DataError, FacekpError
from facekp.core.files import atomic_folder, atomic_write_text


def test_files_are_whole_or_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    atomic_write_text(path, "first")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(FacekpError, match=r"a\.txt cannot be written \(No space left"):
            atomic_write_text(path, "second")
    assert path.read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_name_of_the_greatest_length_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 255)
    atomic_write_text(path, "all")
    assert path.read_text() == "all"
    with pytest.raises(FacekpError, match="cannot be written"):
        atomic_write_text(tmp_path / "missing" / "a.txt", "nothing")


def test_a_folder_is_whole_and_readable_by_others(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with atomic_folder(tmp_path / "made") as scratch:
        (scratch / "a").touch()
        assert not (tmp_path / "made").exists()
    assert (tmp_path / "made").stat().st_mode == (tmp_path / "plain").stat().st_mode
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(DataError, match=r"other: cannot be written \(No space left"):  # noqa: SIM117
        with atomic_folder(tmp_path / "other"):
            raise full
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "plain"]
