"""Jobs of a sweep: one that fails takes no other along, and all end up in one report."""

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

from facekp.cli.validation import in_a_sweep
from facekp.core.errors import FacekpError
from facekp.cli.runs import ERROR, LAST, RESULTS, command

log = logging.getLogger(__name__)


def one_job(function: Callable[[DictConfig], float]) -> Callable[[DictConfig], float]:
    """Decorate what runs one job of a sweep.

    Its error is kept in the job's folder as `error.txt`, and the result is infinite (a search takes
    no nan). In a sweep that is started again, a job that was done gives its result, and one that
    was stopped goes on. On its own (without `-m`), the function is called as it is.
    """

    @functools.wraps(function)
    def wrapped(config: DictConfig) -> float:
        if not in_a_sweep():
            return function(config)
        folder = Path(HydraConfig.get().runtime.output_dir)
        if (folder / RESULTS).is_file():
            results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
            if results["command"] == command():
                print(f"done before: {folder}")
                return results[config.monitor]
        if (folder / LAST).is_file():
            config.ckpt_path = str(folder / LAST)
        error_file = folder / ERROR
        for old in (error_file, folder / RESULTS):
            old.unlink(missing_ok=True)
        try:
            return function(config)
        except Exception as error:  # the other jobs go on
            text = f"error: {error}" if isinstance(error, FacekpError) else traceback.format_exc()
            error_file.write_text(text, encoding="utf-8")
            log.error(text)
            return math.inf

    return wrapped


class SweepReport(Callback):
    """Hydra's callback that writes the report after the last job; failed jobs end it with 1."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Write `sweep.csv` and `report.html`."""
        from facekp.visualization.reports.sweep import PAGE, write_sweep_report

        folder = Path(config.hydra.sweep.dir)
        command = " ".join(["python", Path(sys.argv[0]).name, *map(shlex.quote, sys.argv[1:])])
        jobs = write_sweep_report(folder, command)
        print(f"sweep       {folder / 'sweep.csv'}")
        print(f"report      {folder / PAGE}")
        failed = jobs[jobs["status"] != "done"]
        if len(failed):
            names = ", ".join(sorted(failed["job"]))
            sys.exit(f"error: {len(failed)} of {len(jobs)} jobs failed: {names}; see their {ERROR}")
