"""Errors that a user can act on: each says where, what, and what to do about it."""

from __future__ import annotations

from pathlib import Path


class FacekpError(Exception):
    """Base of every error that facekp raises on purpose; `train.py` prints it as one line."""


class ConfigError(FacekpError):
    """A setting that cannot work: the message names it and the remedy."""


class DataError(FacekpError):
    """Something is wrong with a data file.

    Args:
        path: the file.
        problem: what is wrong with it.
        remedy: what the reader of the message can do.
        line: line in the file, counted from 1, where there is one.
    """

    def __init__(
        self, path: str | Path, problem: str, remedy: str = "", line: int | None = None
    ) -> None:
        self.path, self.problem, self.remedy, self.line = Path(path), problem, remedy, line
        place = f"{path}:{line}" if line is not None else f"{path}"
        super().__init__(f"{place}: {problem}" + (f"; {remedy}" if remedy else ""))

    def __reduce__(self) -> tuple:  # data loader workers send their errors through pickle
        return type(self), (self.path, self.problem, self.remedy, self.line)


def leave_out(error: DataError, problems: list[DataError] | None) -> None:
    """Add what is wrong with an entry, which is then left out; where none are kept, raise it."""
    if problems is None:
        raise error
    problems.append(error)
