"""Quoting values for Hydra, so that on the command line the shell's own quoting is enough."""

from __future__ import annotations

import os
from collections.abc import Sequence

PATHS = frozenset(
    {
        "input", "boxes", "points", "output", "data_dir", "runs_dir", "ckpt_path", "init_from",
        "teacher", "dataset.train", "dataset.val", "dataset.test", "dataset.images",
        "dataset.landmarks", "dataset.cache_dir", "detector.model",
    }
)  # fmt: skip
"""Settings whose value is a file or folder."""
LITERAL = frozenset({"dataset.group"})
"""Settings that are never a list: a regular expression."""
_SPECIAL = frozenset("(){}[],:='\"\\ \t#&!?*~@^%;|<>`")
_LISTS = frozenset("[],")


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """Arguments in which values are quoted that Hydra would not take as they stand.

    A name with commas or brackets, which could also be a list, is quoted if there is such a file.
    """
    return [_quoted(argument) for argument in arguments]


def _quoted(argument: str) -> str:
    key, equals, value = argument.partition("=")
    if not equals or key not in PATHS | LITERAL or not _SPECIAL & set(value) or value[0] in "'\"":
        return argument
    may_be_list = key in PATHS and _LISTS & set(value) and not os.path.exists(value)  # noqa: PTH110
    if "${" in value or may_be_list:
        return argument
    # In Hydra's grammar backslashes count only before a quote, and at the end.
    body = value.replace("'", "\\'")
    return f"{key}='{body}'" if not body.endswith("\\") else f"{key}='{body}\\'"
