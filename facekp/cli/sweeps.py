"""Jobs of a sweep: a failing job does not stop the others, and all appear in one report."""

from __future__ import annotations

import functools
import json
import logging
import math
import shlex
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from facekp.cli.config import in_sweep
from facekp.cli.resume import command, program
from facekp.core.errors import FacekpError
from facekp.core.run_folder import ERROR, LAST, REPORT, RESULTS

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

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Write `sweep.csv` and `report.html`."""
        from facekp.visualization.reports.sweep import write_sweep_report

        folder = Path(config.hydra.sweep.dir)
        command = " ".join([program(), *map(shlex.quote, sys.argv[1:])])
        jobs = write_sweep_report(folder, command)
        print(f"sweep       {folder / 'sweep.csv'}")
        print(f"report      {folder / REPORT}")
        failed = jobs[jobs["status"] != "done"]
        if len(failed):
            names = ", ".join(sorted(failed["job"]))
            sys.exit(f"error: {len(failed)} of {len(jobs)} jobs failed: {names}; see their {ERROR}")
