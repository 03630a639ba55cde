"""Errors that a user can act on: each names the place, the problem and the remedy."""

from __future__ import annotations

from pathlib import Path


class FacekpError(Exception):
    """Base class of all errors that facekp raises on purpose; printed by programs as one line."""


class ConfigError(FacekpError):
    """A setting that cannot work; the message names the setting and the remedy."""


class ConflictError(FacekpError):
    """A change that was made to an older state of a photo, e.g. in another tab of the browser."""


class DataError(FacekpError):
    """A problem with a data file.

    Args:
        path: the file.
        problem: what is wrong with it.
        remedy: what the user can do about it.
        line: line in the file, counted from 1, if known.
    """

    def __init__(
        self, path: str | Path, problem: str, remedy: str = "", line: int | None = None
    ) -> None:
        self.path, self.problem, self.remedy, self.line = Path(path), problem, remedy, line
        place = f"{path}:{line}" if line is not None else f"{path}"
        super().__init__(f"{place}: {problem}" + (f"; {remedy}" if remedy else ""))

    def __reduce__(self) -> tuple:  # data loader workers pickle their errors
        return type(self), (self.path, self.problem, self.remedy, self.line)


def skip_or_raise(error: DataError, problems: list[DataError] | None) -> None:
    """Append the error of a skipped entry to `problems`; raise it if `problems` is None."""
    if problems is None:
        raise error
    problems.append(error)
