"""Hydra's errors about a command line, as one line each."""

from __future__ import annotations

import difflib
import functools
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from facekp.core.conf import CONF, files_of_group
from facekp.core.errors import FacekpError
from facekp.core.run_folder import STARTED, discard, is_new

T = TypeVar("T")

_SHOW_ALL = "HYDRA_FULL_ERROR"
_state = {
    "composed": False,  # whether a configuration exists: later errors are not Hydra's
    "full": False,  # whether the user wants tracebacks
}

RENAMED = {
    "mirror": "flip_test",
    "looks": "tta_passes",
    "task=photos": "task=predict",
}
"""Settings of earlier versions, and their names today."""


@contextmanager
def report_hydra_errors(config_name: str) -> Iterator[None]:
    """End the program with one line if Hydra cannot compose a configuration from its arguments.

    Args:
        config_name: of the program's primary configuration.
    """
    _state.update(composed=False, full=bool(os.environ.get(_SHOW_ALL)))
    if _state["full"]:
        yield
        return
    os.environ[_SHOW_ALL] = "1"  # Hydra then raises its errors and prints nothing
    try:
        yield
    except Exception as error:
        if _state["composed"]:
            raise
        message = one_line_message(error, config_name, sys.argv[1:])
        raise SystemExit(f"error: {message}") from None
    finally:
        del os.environ[_SHOW_ALL]


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with one line, not a traceback, on an error that a user can act on."""
    try:
        yield
    except FacekpError as error:
        if _state["full"]:
            raise
        raise SystemExit(f"error: {error}") from None
    except OmegaConfBaseException as error:  # e.g. an interpolation of a missing setting
        place = f"{error.full_key}: " if error.full_key else ""
        raise SystemExit(f"error: {place}{str(error).splitlines()[0]}") from None


def readable_errors(function: Callable[[DictConfig], T]) -> Callable[[DictConfig], T]:
    """Decorate a program's main function, see `one_line_errors`."""

    @functools.wraps(function)
    def wrapped(config: DictConfig) -> T:
        _state["composed"] = True
        try:
            with one_line_errors():
                return function(config)
        except SystemExit:
            remove_unused_folder()
            raise

    return wrapped


def remove_unused_folder() -> None:
    """Remove the folder of a start that has written nothing."""
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    if hydra.mode == RunMode.MULTIRUN or not is_new(folder):
        return  # a sweep keeps its jobs' errors; another folder may hold what is not this start's
    if {path.name for path in folder.iterdir()} <= {STARTED, f"{hydra.job.name}.log"}:
        discard(folder)


def one_line_message(error: Exception, config_name: str, arguments: Sequence[str]) -> str:
    """What is wrong with a command line, and the remedy.

    Args:
        error: Hydra's, or what was raised while it worked.
        config_name: of the primary configuration.
        arguments: of the program.
    """
    text = str(error)
    if isinstance(error, OverrideParseException):
        if "=" not in error.override:
            if config_name == "predict":
                is_camera = error.override.isdigit() and "task=camera" not in arguments
                camera = "; for a camera use task=camera" if is_camera else ""
                return f"{error.override}: no such file, and no setting (name=value){camera}"
            return f"{error.override}: settings are given as name=value, e.g. experiment=part1"
        reason = text.splitlines()[0]
        return f"{error.override}: cannot be read ({reason}); quote what the shell or Hydra takes"
    if option := re.search(r"Could not (?:find|load) '(.+)/([^/']*)'", text):
        return _no_such_file(text, *option.groups())
    if setting := re.search(r"Could not override '(.+)'", text):
        return _no_such_setting(setting[1], config_name, arguments)
    if twice := re.search(r"An item is already at '([^']+)'", text):
        return f"{twice[1]}: exists already, write it without +; ++ takes either"
    if several := re.match(r"Ambiguous value for argument '([\w.]+)=", text):
        name = several[1]
        return (
            f"{name}: several values; a list is {name}=[A,B], a text with a comma is in quotes "
            f"(\"{name}='A,B'\"), and a sweep needs -m"
        )
    if wrong := re.match(r"Error merging override (\S+)", text):
        cause = str(error.__cause__ or "it cannot be used")
        return f"{wrong[1]}: {cause.splitlines()[0]}"
    message = " ".join(f"{text} {error.__cause__ or ''}".split())
    return f"{message} ({' '.join(arguments)})"


def _no_such_file(text: str, group: str, name: str) -> str:
    if new := RENAMED.get(f"{group}={name}"):
        return f"{group}={name}: was renamed to {new}"
    listing = text.partition("Config search path")[0]
    # For an entry of a list Hydra lists no choices.
    choices = re.findall(r"^\t(\S+)$", listing, re.MULTILINE) or files_of_group(group)
    remedy = f"; choose one of {', '.join(choices)}" if choices else ""
    return f"{group}={name}: there is no such file in conf/{remedy}"


def _no_such_setting(name: str, config_name: str, arguments: Sequence[str]) -> str:
    if new := RENAMED.get(name):
        return f"{name}: was renamed to {new}"
    if name.startswith("hydra."):
        search = name.startswith("hydra.sweeper.") and "hydra/sweeper=optuna" not in arguments
        advice = (
            "a search has hydra/sweeper=optuna" if search else "--cfg hydra shows those of Hydra"
        )
        return f"{name}: there is no such setting here; {advice}"
    if elsewhere := _where_it_is(name, config_name, arguments):
        return f"{name}: {elsewhere}"
    near = difflib.get_close_matches(name, _settings(config_name, arguments), n=2, cutoff=0.7)
    advice = f"did you mean {' or '.join(near)}?" if near else f"+{name}=... would add it"
    return f"{name}: there is no such setting here; {advice}"


def _where_it_is(name: str, config_name: str, arguments: Sequence[str]) -> str:
    """Which task, program or other file of its group has a setting that is not here."""
    group, _, key = name.partition(".")
    if config_name == "predict":
        is_chosen = any(argument.startswith(f"{group}=") for argument in arguments)
        line = r"  - /any_dataset$" if group == "dataset" else f"{re.escape(name)}:"
        tasks = _files_with("task", line)
        if group == "dataset" and key and not is_chosen and set(tasks) & set(arguments):
            files = _files_with(group, f"{re.escape(key)}:")
            return f"no dataset= is chosen; {_have_it(files)}" if files else ""
        if tasks and not (group == "dataset" and key and is_chosen):
            return f"this task has no such setting; {_have_it(tasks)}"
    if config_name == "predict" and group != "dataset" and _has_group("config", group):
        return "there is no such setting here; train.py has it"
    if config_name == "config" and _has_group("predict", group):
        return "there is no such setting here; predict.py has it"
    if key and (files := _files_with(group, f"{re.escape(key)}:")):
        return f"there is no such setting here; {_have_it(files)}"
    return ""


def _has_group(config_name: str, group: str) -> bool:
    """Whether a program's primary configuration chooses a file of a group."""
    text = (CONF / f"{config_name}.yaml").read_text(encoding="utf-8")
    return re.search(rf"^  - {re.escape(group)}:", text, re.MULTILINE) is not None


def _files_with(group: str, line: str) -> list[str]:
    """The files of a group with a line that begins so (a regular expression), as `group=...`."""
    files = sorted((CONF / group).glob("*.yaml"))
    begins = re.compile(f"^{line}", re.MULTILINE)
    return [f"{group}={f.stem}" for f in files if begins.search(f.read_text(encoding="utf-8"))]


def _have_it(choices: Sequence[str]) -> str:
    return f"{' and '.join(choices)} {'has' if len(choices) == 1 else 'have'} it"


def _settings(config_name: str, arguments: Sequence[str]) -> list[str]:
    """Names of all settings with the files that the arguments choose; none if they cannot be."""
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
