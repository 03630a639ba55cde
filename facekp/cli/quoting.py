"""Quoting values for Hydra, so that on the command line the shell's own quoting is enough."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from os.path import exists

from facekp.core.errors import ConfigError
from facekp.tasks.inputs import ADDRESS

PATHS = frozenset(
    {
        "input", "boxes", "points", "runs", "data_dir", "ckpt_path", "init_from", "teacher",
        "dataset.train", "dataset.val", "dataset.test", "dataset.images", "dataset.landmarks",
        "dataset.cache_dir", "detector.model",
    }
)  # fmt: skip
"""Settings whose value is a file or folder, or several in a list or a sweep."""
LITERAL = frozenset(
    {"output", "runs_dir", "run_dir", "hydra.run.dir", "hydra.sweep.dir", "dataset.group"}
)
"""Settings that are never a list: folders to be written, a regular expression."""
_PLAIN = re.compile(r"[A-Za-z0-9_./+-]*")
"""What Hydra takes as it stands."""
_LISTS = frozenset("[],")
_WITH_VALUE = frozenset(
    {"--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd", "--package", "-p"}
)
"""Options of Hydra that are followed by a value."""


def quote(value: str) -> str:
    """A text as a quoted string of Hydra's grammar, which gives the text again."""
    # In the grammar backslashes count only before a quote, and at the end.
    body = re.sub(r"(\\*)'", r"\1\1\'", value)
    body = re.sub(r"(\\+)$", r"\1\1", body)
    return "'" + body.replace("${", "\\${") + "'"


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """Arguments in which values are quoted that Hydra would not take as they stand.

    A name with commas or brackets, which could also be a list, is quoted if there is such a file;
    otherwise the names in the list are.
    """
    return [_quoted(argument) for argument in arguments]


def inputs_by_name(arguments: Sequence[str]) -> list[str]:
    """Arguments of `predict.py` in which photos, folders and globs without `input=` get one.

    An address is a name, too: the task says why it cannot be read. With `task=compare` folders are
    those of runs, `runs=`.

    Raises:
        ConfigError: names are given with and without the setting.
    """
    tasks = [argument for argument in arguments if argument.startswith("task=")]
    setting = "runs" if tasks[-1:] == ["task=compare"] else "input"
    rest: list[str] = []
    inputs: list[str] = []
    for argument in arguments:
        follows = bool(rest) and rest[-1] in _WITH_VALUE
        is_name = exists(argument) or bool(ADDRESS.match(argument))  # noqa: PTH110
        is_name |= "=" not in argument and bool(glob.glob(argument))  # noqa: PTH207
        if is_name and not follows and not argument.startswith("-"):
            inputs.append(argument)
        else:
            rest.append(argument)
    if not inputs:
        return rest
    if setting == "input":
        inputs = [_without_interpolation(name) for name in inputs]
    if any(argument.startswith(f"{setting}=") for argument in rest):
        raise ConfigError(
            f"{setting}= is given, and {inputs[0]} beside it; give all without {setting}="
        )
    return [*rest, f"{setting}=[{','.join(map(quote, inputs))}]"]


def _quoted(argument: str) -> str:
    key, equals, value = argument.partition("=")
    name = key.lstrip("+")
    if not equals or name not in PATHS | LITERAL or _PLAIN.fullmatch(value):
        return argument
    is_path = name in PATHS
    if is_path and exists(value):  # noqa: PTH110
        return f"{key}={quote(_without_interpolation(value) if name == 'input' else value)}"
    quoted_already = len(value) > 1 and value[0] in "'\"" and value[-1] == value[0]
    if "${" in value or quoted_already:
        return argument
    if is_path and _LISTS & set(value):
        return f"{key}={_quoted_list(value)}"
    return f"{key}={quote(value)}"


def _without_interpolation(name: str) -> str:
    """A file name as a glob without `${`, which a configuration would replace wherever it goes."""
    return glob.escape(name).replace("${", "[$]{") if "${" in name else name


def _quoted_list(value: str) -> str:
    """A list, or values of a sweep, with quoted names if all of them exist."""
    opening, closing = ("[", "]") if value[0] == "[" and value[-1] == "]" else ("", "")
    names = value[len(opening) : len(value) - len(closing)].split(",")
    if not all(exists(name) for name in names):  # noqa: PTH110
        return value
    return opening + ",".join(map(quote, names)) + closing
