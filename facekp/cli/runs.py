"""Runs: what lies where in their folders, what ran them, and going on with them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import yaml
from hydra.core.hydra_config import HydraConfig

from facekp.core.errors import ConfigError, DataError

RESULTS = "results.json"
"""What the run came to; its presence means that the run is whole."""
ERROR = "error.txt"
"""Why a job of a sweep failed; the last line says it."""
HISTORY = "metrics.csv"
"""A row an epoch."""
LAST = "checkpoints/last.ckpt"
"""State after the last whole epoch."""
STARTED = ".hydra"
"""Where Hydra writes what a run was started with."""
RESUMED = ".hydra/resumed"
"""Likewise when it goes on, until that is known to be possible."""


def command() -> str:
    """What to type to have this run again."""
    if not HydraConfig.initialized():
        return ""
    overrides = _once(HydraConfig.get().overrides.task)
    return " ".join(["python train.py", *map(shlex.quote, overrides)])


def _once(overrides: Sequence[str]) -> list[str]:
    """The last word on each setting; where a run went on from is not one."""
    last = {override.partition("=")[0]: override for override in overrides}
    last.pop("ckpt_path", None)
    return list(last.values())


def accept_resume(run_dir: Path) -> None:
    """From now on a run is one that was started as it was resumed."""
    for file in (run_dir / RESUMED).glob("*"):
        file.replace(run_dir / STARTED / file.name)
    if (run_dir / RESUMED).is_dir():
        (run_dir / RESUMED).rmdir()


def _written(path: Path, *keys: str) -> list[str]:
    """The overrides in one of Hydra's files."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key in keys:
            found = found[key]
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise ValueError(found)
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        problem, remedy = "does not say what was started", "start the run again by its own command"
        raise DataError(path, problem, remedy) from error
    return found


def expand_resume(arguments: Sequence[str]) -> list[str]:
    """Command-line arguments in which `resume=FOLDER` became what FOLDER was started with.

    A run goes on from its last checkpoint in its folder, or starts again there if it had none. A
    sweep starts again in its folder, where jobs that are done are not repeated, and others go on.

    Raises:
        ConfigError: not the folder of a run or a sweep.
        DataError: what it was started with cannot be read.
    """
    given = [argument for argument in arguments if argument.startswith("resume=")]
    if not given:
        return list(arguments)
    folder = Path(given[-1].partition("=")[2]).expanduser()
    rest = [a for a in arguments if a not in given and a not in ("-m", "--multirun")]
    sweep, run = folder / "multirun.yaml", folder / STARTED / "overrides.yaml"
    here = str(folder.absolute()).replace("'", "\\'")
    if sweep.is_file():
        before = _written(sweep, "hydra", "overrides", "hydra")
        before = _once([*before, *_written(sweep, "hydra", "overrides", "task")])
        before = [override for override in before if not override.startswith("hydra.mode=")]
        return ["-m", *before, f"hydra.sweep.dir='{here}'", *rest]
    if run.is_file():
        before = _once(_written(run))
        last = [f"ckpt_path='{here}/{LAST}'"] if (folder / LAST).is_file() else []
        there = [f"hydra.run.dir='{here}'", f"hydra.output_subdir={RESUMED}"]
        return [*before, *there, *last, *rest]
    raise ConfigError(
        f"resume={folder}: this is not the folder of a run or a sweep; a search goes on when its "
        "own command is given again"
    )
