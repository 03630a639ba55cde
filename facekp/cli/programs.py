"""The two programs, `train.py` and `predict.py`, and training from Python."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig, open_dict

from facekp.cli.compose import with_default_experiment
from facekp.cli.config import register_resolvers
from facekp.cli.hydra_errors import (
    one_line_errors,
    readable_errors,
    remove_unused_folder,
    report_hydra_errors,
)
from facekp.cli.interrupts import resumable, started
from facekp.cli.quoting import inputs_by_name, quote_paths
from facekp.cli.resume import command, expand_resume
from facekp.cli.sweeps import check_multirun, sweep_job
from facekp.cli.validation import validate_config
from facekp.core.conf import CONF
from facekp.core.errors import ConfigError
from facekp.core.plugins import register_plugins
from facekp.core.run_folder import new_run_dir

if TYPE_CHECKING:
    from facekp.tasks.train import TrainingResult

register_resolvers()


def train(cfg: DictConfig, command: str = "") -> TrainingResult:
    """Train a network.

        cfg = facekp.compose("experiment=part1", "trainer.max_epochs=3")
        result = facekp.train(cfg)
        print(result.metrics, result.run_dir)

    Args:
        cfg: the configuration, see `facekp.compose`. Without `run_dir` the run gets a new folder
            in `runs_dir`.
        command: that repeats the run, for its records.

    Returns:
        Figures, history and paths.

    Raises:
        FacekpError: a setting or a data file that cannot work.
    """
    if not (isinstance(cfg, DictConfig) and {"run_dir", "ckpt_path", "runs_dir"} <= set(cfg)):
        raise ConfigError("cfg: give a configuration that facekp.compose(...) returns")
    if cfg.run_dir is None and cfg.ckpt_path:
        cfg = _with_run_dir(cfg, Path(str(cfg.ckpt_path)).absolute().parent.parent)
    validate_config(cfg)
    with gc_paused():
        from facekp.tasks.train import train as run  # takes seconds
    try:
        folder = cfg.run_dir or new_run_dir(Path(cfg.runs_dir) / cfg.name)
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        setting = "run_dir" if cfg.run_dir else "runs_dir"
        problem = f"{cfg[setting]} cannot be created ({error.strerror})"
        raise ConfigError(f"{setting}: {problem}: choose another") from error
    return run(_with_run_dir(cfg, Path(folder)), command)


def _with_run_dir(cfg: DictConfig, folder: Path) -> DictConfig:
    cfg = cfg.copy()
    with open_dict(cfg):
        cfg.run_dir = str(folder)
    return cfg


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
@readable_errors
@sweep_job
def _train(cfg: DictConfig) -> float:
    """Train as configured, and return the monitored metric's best value."""
    started(cfg.run_dir)
    return train(cfg, command()).best


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="predict")
@readable_errors
def _predict(cfg: DictConfig) -> None:
    """Run one task."""
    with gc_paused():
        from facekp.tasks.common import build  # takes seconds
    register_plugins(cfg.plugins)
    try:
        build(cfg.task)
    except KeyboardInterrupt:
        remove_unused_folder()
        raise


def train_main() -> None:
    """Entry point of `train.py` and `facekp-train`."""
    _find_plugins_here()
    # It announces its set-up in five lines.
    logging.getLogger("hydra_plugins.hydra_optuna_sweeper._impl").setLevel(logging.WARNING)
    with one_line_errors():
        if not any(argument.startswith("resume=") for argument in sys.argv[1:]):
            check_multirun(sys.argv[1:])  # a job of a search is resumed as a single run
        sys.argv[1:] = with_default_experiment(expand_resume(quote_paths(sys.argv[1:])))
    with resumable(), report_hydra_errors("config"):
        _train()


def predict_main() -> None:
    """Entry point of `predict.py` and `facekp-predict`."""
    _find_plugins_here()
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # file names
    with one_line_errors():
        sys.argv[1:] = inputs_by_name(quote_paths(sys.argv[1:]))
    with resumable(), report_hydra_errors("predict"):
        _predict()


def _find_plugins_here() -> None:
    """Let a user's own package in the working folder be imported, after all installed ones."""
    if os.getcwd() not in sys.path:  # noqa: PTH109
        sys.path.append(os.getcwd())  # noqa: PTH109


@contextmanager
def gc_paused() -> Iterator[None]:
    """Pause the garbage collector while large packages are imported.

    It would traverse the modules of torch and Lightning again and again as they grow, which is a
    third of the time that the import takes.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
