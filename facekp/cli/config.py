"""The resolvers that `conf/` uses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from facekp.cli.resume import SEARCH, last_values, program
from facekp.core.conf import files_of_group
from facekp.core.devices import gpu_count
from facekp.core.run_folder import new_run_dir

NOT_SEARCHED = ("trainer.gpus=", "runs_dir=", "report=", "data_dir=", SEARCH)
"""Overrides that change where and how a search runs, not what it finds."""


def register_resolvers() -> None:
    """Register `${facekp.run_dir:...}` and the like with OmegaConf."""
    for resolver in (run_dir, new_dir, gpu_count, output_dir, in_sweep, study, options, program):
        name = f"facekp.{resolver.__name__}"
        OmegaConf.register_new_resolver(name, resolver, use_cache=True, replace=True)


def study(name: str, overrides: Sequence[str], params: Mapping[str, str]) -> str:
    """Name of a search's study: another space, or other fixed settings, make another study.

    Args:
        name: of the search.
        overrides: of the command line.
        params: the space.
    """
    last = last_values(overrides)
    fixed = sorted(text for text in last if not text.startswith(NOT_SEARCHED))
    key = json.dumps([fixed, {key: str(params[key]) for key in sorted(params)}])
    return f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def options(*groups: str) -> str:
    """The files of groups of `conf/`, a line per group, for `--help`."""
    return "\n".join(f"{group}: {', '.join(files_of_group(group))}" for group in groups)


def output_dir() -> str | None:
    """Hydra's output folder of this job; None outside of a program."""
    return HydraConfig.get().runtime.output_dir if HydraConfig.initialized() else None


def in_sweep() -> bool:
    """Whether this is a job of a sweep."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def new_dir(parent: str) -> str:
    """A new folder named by the time inside `parent`, see `new_run_dir`."""
    try:
        return str(new_run_dir(parent))
    except OSError as error:
        # Hydra would show a traceback.
        reason = f"{error.filename or parent} cannot be created ({error.strerror})"
        raise SystemExit(f"error: {reason}: choose another runs_dir=") from None


def run_dir(parent: str, ckpt_path: str | None) -> str:
    """Folder of a run: that of the checkpoint it resumes, else a new one inside `parent`."""
    if ckpt_path and Path(ckpt_path).parent.name == "checkpoints" and Path(ckpt_path).is_file():
        return str(Path(ckpt_path).absolute().parent.parent)
    return new_dir(parent)
