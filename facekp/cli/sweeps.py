"""Jobs of a sweep: a failing job does not stop the others, and all appear in one report."""

from __future__ import annotations

import functools
import json
import logging
import math
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import CompactHydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from facekp.cli.config import in_sweep
from facekp.cli.hydra_errors import one_line_errors, one_line_message
from facekp.cli.interrupts import started
from facekp.cli.resume import command, program
from facekp.cli.validation import check_settings
from facekp.core.errors import FacekpError
from facekp.core.run_folder import ERROR, LAST, REPORT, RESULTS

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


def sweep_job(function: Callable[[DictConfig], float]) -> Callable[[DictConfig], float]:
    """Decorate the function that runs one job of a sweep.

    On an error the job's folder gets `error.txt`, and the result is infinite (a search does not
    accept nan). If the sweep is started again, a finished job returns its result, and a stopped one
    is resumed. Outside of a sweep (without `-m`) the function is just called.
    """

    @functools.wraps(function)
    def wrapped(config: DictConfig) -> float:
        if not in_sweep():
            return function(config)
        folder = Path(HydraConfig.get().runtime.output_dir)
        if (folder / RESULTS).is_file():
            results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
            if results["command"] == command():
                print(f"finished earlier: {folder}")
                return results[config.monitor]
        if (folder / LAST).is_file():
            config.ckpt_path = str(folder / LAST)
        error_file = folder / ERROR
        for old in (error_file, folder / RESULTS):
            old.unlink(missing_ok=True)
        try:
            return function(config)
        except Exception as error:  # the other jobs continue
            text = f"error: {error}" if isinstance(error, FacekpError) else traceback.format_exc()
            error_file.write_text(text, encoding="utf-8")
            log.error(text)
            return math.inf

    return wrapped


class SweepReport(Callback):
    """Hydra callback that writes the report after the last job; exits with 1 if jobs failed."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Refuse values that no job can have, before the first begins."""
        try:
            with one_line_errors():
                check_swept_values(list(config.hydra.overrides.task))
        except CompactHydraException as error:  # a choice that does not exist
            raise SystemExit(f"error: {one_line_message(error, 'config', sys.argv[1:])}") from None
        search = "optuna" in str(config.hydra.sweeper.get("_target_"))
        # Reading the folder's name makes the folder.
        started(config.hydra.sweep.dir, is_sweep=True, command=_typed_command() if search else "")
        if search:
            _silence_optuna()

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Write `sweep.csv` and `report.html`."""
        from facekp.visualization.reports.sweep import write_sweep_report

        folder = Path(config.hydra.sweep.dir)
        jobs = write_sweep_report(folder, _typed_command())
        show_ranking(jobs)
        print(f"sweep       {folder / 'sweep.csv'}")
        print(f"report      {folder / REPORT}")
        failed = jobs[jobs["status"] != "done"]
        if len(failed):
            names = ", ".join(sorted(failed["job"]))
            sys.exit(f"error: {len(failed)} of {len(jobs)} jobs failed: {names}; see their {ERROR}")


def _typed_command() -> str:
    """The command line of this program."""
    return " ".join([program(), *map(shlex.quote, sys.argv[1:])])


def _silence_optuna() -> None:
    """Leave out the lines on its set-up."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)


def check_swept_values(overrides: Sequence[str]) -> None:
    """Check types and ranges of each value of a sweep, one after another.

    Args:
        overrides: of the command line.

    Raises:
        ConfigError: a value that no job can have.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    choices = [
        [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
        if override.is_sweep_override()
        else [override.input_line or ""]
        for override in parsed
    ]
    first = [values[0] for values in choices]
    loader = GlobalHydra.instance().config_loader()
    for at, values in enumerate(choices):
        for value in values if len(values) > 1 else ():
            chosen = [*first[:at], value, *first[at + 1 :]]
            check_settings(loader.load_configuration("config", chosen, RunMode.RUN))


def show_ranking(jobs: pd.DataFrame, count: int = 5) -> None:
    """Print the best jobs of each experiment with the settings that differ.

    Args:
        jobs: see `read_jobs`.
        count: of jobs per experiment.
    """
    # They import torch, which a sweep's start need not wait for.
    from facekp.metrics import format_metric
    from facekp.visualization.reports.sweep import swept_settings

    settings = swept_settings(jobs)
    for name, group in jobs[jobs["status"] == "done"].groupby("experiment"):
        monitor = group["monitor"].iloc[0]
        best = group.head(count)
        table = Table(title=f"{name}: best {len(best)} of {len(group)} by {monitor}")
        table.add_column("job")
        for column in (*(name.rpartition(".")[2] for name in settings), monitor):
            table.add_column(column, justify="right")
        for row in best.to_dict("records"):
            values = (row[name] for name in settings)
            texts = (f"{v:.4g}" if isinstance(v, float) else str(v) for v in values)
            cells = [str(row["job"]), *texts]
            table.add_row(*cells, format_metric(monitor, row["best"]))
        Console().print(table)
