"""Resuming runs and sweeps: the command that repeats a run, and `resume=FOLDER`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig

from facekp.cli.quoting import quote
from facekp.core.errors import ConfigError, DataError
from facekp.core.run_folder import LAST, RESUMED, STARTED

SEARCH = "+search="
"""Beginning of the override that chooses a search, see `conf/search/`."""


def program() -> str:
    """How the running program is called: `python train.py`, or the name of a console command."""
    file = Path(sys.argv[0])
    if file.name == "_submit.py":  # submitit's, in a job on a cluster
        return "python train.py"
    if file.suffix != ".py":
        return file.name
    here = file.absolute().parent == Path.cwd()
    return f"python {shlex.quote(file.name if here else str(file))}"


def command() -> str:
    """The command that repeats this run."""
    if not HydraConfig.initialized():
        return ""
    hydra = HydraConfig.get()
    overrides = [*_config_dir(hydra.runtime.config_sources), *_of_single_run(hydra.overrides.task)]
    return " ".join([program(), *map(shlex.quote, overrides)])


def is_repeated_by(recorded: str) -> bool:
    """Whether a recorded command repeats this run, however the program was called."""
    words = [word for word in shlex.split(recorded) if not word.startswith("--")]
    overrides = words[2 if words[:1] == ["python"] else 1 :]
    return overrides == _of_single_run(HydraConfig.get().overrides.task)


def _config_dir(sources: Iterable[Any]) -> list[str]:
    """The option that names a folder of one's own configuration, if there is one."""
    return [
        f"--config-dir={source['path']}"
        for source in sources
        if source["provider"] == "command-line"
    ]


def last_values(overrides: Sequence[str]) -> list[str]:
    """The last override of each setting, without the checkpoint that a run was resumed from."""
    last = {override.partition("=")[0]: override for override in overrides}
    last.pop("ckpt_path", None)
    return list(last.values())


def _of_single_run(overrides: Sequence[str]) -> list[str]:
    """`last_values` without the search: a job's other overrides hold the values drawn from it."""
    return [o for o in last_values(overrides) if not o.startswith(SEARCH)]


def _recorded_options(path: Path) -> list[str]:
    """The options in a record of Hydra's settings; none if there is no such record."""
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))["hydra"]
        return _config_dir(settings["runtime"]["config_sources"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return []


def _recorded_overrides(path: Path, *keys: str) -> list[str]:
    """The overrides in one of Hydra's files."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key in keys:
            found = found[key]
        if not isinstance(found, list) or not all(isinstance(x, str) for x in found):
            raise ValueError(found)
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        remedy = "start the run again by its own command"
        raise DataError(path, "does not record the command line", remedy) from error
    return found


def expand_resume(arguments: Sequence[str]) -> list[str]:
    """Replace `resume=FOLDER` by the arguments that FOLDER was started with.

    A run continues in its folder from its last checkpoint, or starts again there if it has none. A
    sweep starts again in its folder: finished jobs are not repeated, others continue.

    Raises:
        ConfigError: not the folder of a run or a sweep.
        DataError: its records cannot be read.
    """
    resumes = [argument for argument in arguments if argument.startswith("resume=")]
    if not resumes:
        return list(arguments)
    folder = Path(resumes[-1].partition("=")[2]).expanduser()
    others = [a for a in arguments if a not in resumes and a not in ("-m", "--multirun")]
    # Hydra takes options only before the settings.
    options = [argument for argument in others if argument.startswith("--")]
    rest = [argument for argument in others if argument not in options]
    sweep, run = folder / "multirun.yaml", folder / STARTED / "overrides.yaml"
    if sweep.is_file():
        before = _recorded_overrides(sweep, "hydra", "overrides", "hydra")
        before = last_values([*before, *_recorded_overrides(sweep, "hydra", "overrides", "task")])
        before = [override for override in before if not override.startswith("hydra.mode=")]
        options = options or _recorded_options(sweep)
        return [*options, "-m", *before, f"hydra.sweep.dir={quote(str(folder.absolute()))}", *rest]
    if run.is_file():
        before = _of_single_run(_recorded_overrides(run))
        last_file = folder.absolute() / LAST
        last = [f"ckpt_path={quote(str(last_file))}"] if last_file.is_file() else []
        run_dir = f"hydra.run.dir={quote(str(folder.absolute()))}"
        same_folder = [run_dir, f"hydra.output_subdir={RESUMED}"]
        options = options or _recorded_options(folder / STARTED / "hydra.yaml")
        return [*options, *before, *same_folder, *last, *rest]
    raise ConfigError(
        f"resume={folder}: this is not the folder of a run or a sweep; a search continues when its "
        "own command is given again"
    )
