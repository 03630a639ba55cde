"""Hydra's errors about a command line, as one line each."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import CompactHydraException, OverrideParseException
from omegaconf import OmegaConf

CONF = Path(__file__).parents[2] / "conf"
_SHOW_ALL = "HYDRA_FULL_ERROR"
begun = False
"""Whether there is a configuration: errors from then on are not about the command line."""


@contextmanager
def explained(config_name: str) -> Iterator[None]:
    """End the program with one line where Hydra cannot make a configuration of its arguments.

    Args:
        config_name: of the program's primary configuration.
    """
    global begun
    begun = False
    if os.environ.get(_SHOW_ALL):
        yield
        return
    os.environ[_SHOW_ALL] = "1"  # it then hands its errors on and prints nothing
    try:
        yield
    except Exception as error:
        if begun:
            raise
        raise SystemExit(f"error: {in_one_line(error, config_name, sys.argv[1:])}") from None
    finally:
        del os.environ[_SHOW_ALL]


def in_one_line(error: Exception, config_name: str, arguments: Sequence[str]) -> str:
    """What is wrong and what to do about it.

    Args:
        error: Hydra's, or what came up as it worked.
        config_name: of the primary configuration.
        arguments: of the program.
    """
    text = str(error)
    if isinstance(error, OverrideParseException):
        if "=" not in error.override:
            example = "input=photo.jpg" if config_name == "predict" else "experiment=part1"
            return f"{error.override}: settings are given as name=value, e.g. {example}"
        reason = text.splitlines()[0]
        return f"{error.override}: cannot be read ({reason}); quote what the shell or Hydra takes"
    if option := re.search(r"Could not find '(.+)/(.*)'", text):
        group, name = option.groups()
        there = re.findall(r"^\t(\S+)$", text.partition("Config search path")[0], re.MULTILINE)
        return f"{group}={name}: there is no such file in conf/; choose one of {', '.join(there)}"
    if setting := re.search(r"Could not override '(.+)'", text):
        name = setting[1]
        near = difflib.get_close_matches(name, _settings(config_name, arguments), n=2, cutoff=0.7)
        advice = f"did you mean {' or '.join(near)}?" if near else f"+{name}=... would add it"
        return f"{name}: there is no such setting here; {advice}"
    said = " ".join(f"{text} {error.__cause__ or ''}".split())
    return f"{said} ({' '.join(arguments)})"


def _settings(config_name: str, arguments: Sequence[str]) -> list[str]:
    """Names of all settings where the arguments choose the files; none where they cannot."""
    choices = [
        argument.partition(",")[0]
        for argument in arguments
        if re.fullmatch(r"[a-z_/]+=[^=]+", argument)
    ]
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            known = compose(config_name, [c for c in choices if (CONF / c.split("=")[0]).is_dir()])
    except CompactHydraException:
        return []
    return list(_names(OmegaConf.to_container(known)))


def _names(node: Any, prefix: str = "") -> Iterator[str]:
    for key, value in node.items() if isinstance(node, dict) else ():
        yield f"{prefix}{key}"
        yield from _names(value, f"{prefix}{key}.")
