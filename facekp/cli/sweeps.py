"""Jobs of a sweep: a failing job does not stop the others, and all appear in one report."""

from __future__ import annotations

import functools
import json
import logging
import math
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.errors import CompactHydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from facekp.cli.config import in_sweep
from facekp.cli.hydra_errors import one_line_errors, one_line_message
from facekp.cli.interrupts import started
from facekp.cli.resume import SEARCH, is_repeated_by, program
from facekp.cli.validation import check_devices, check_network, check_settings
from facekp.core.errors import ConfigError, FacekpError
from facekp.core.run_folder import ERROR, LAST, REPORT, RESULTS

if TYPE_CHECKING:
    from facekp.cli.search import Search

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
        error_file = folder / ERROR
        error_file.unlink(missing_ok=True)
        if (folder / RESULTS).is_file():
            results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
            if is_repeated_by(results["command"]):
                print(f"finished earlier: {folder}")
                return results[config.monitor]
        if (folder / LAST).is_file():
            config.ckpt_path = str(folder / LAST)
        else:
            (folder / RESULTS).unlink(missing_ok=True)
        try:
            return function(config)
        except Exception as error:  # the other jobs continue
            text = f"error: {error}" if isinstance(error, FacekpError) else traceback.format_exc()
            error_file.write_text(text, encoding="utf-8")
            log.error(text)
            return math.inf

    return wrapped


def check_multirun(arguments: Sequence[str]) -> None:
    """Refuse what would be ignored: arguments of a sweep without `-m`, a search without Optuna.

    Raises:
        ConfigError: see above.
    """
    for_sweeps = [a for a in arguments if re.match(r"\+{0,2}hydra[/.](sweep|launcher)", a)]
    searches = [a for a in arguments if a.startswith(SEARCH)]
    several = {"-m", "--multirun", "hydra.mode=MULTIRUN", "--cfg", "-c"} & set(arguments)
    if (for_sweeps or searches) and not several:
        raise ConfigError(f"{[*for_sweeps, *searches][0]}: a sweep or search needs -m")
    if searches and not any(a.startswith("hydra/sweeper=") for a in for_sweeps):
        raise ConfigError(f"{searches[0]}: a search needs hydra/sweeper=optuna, too")


class SweepReport(Callback):
    """Hydra callback that writes the report after the last job; exits with 1 if jobs failed."""

    def on_multirun_start(self, config: DictConfig, config_name: str = "config", **_: Any) -> None:
        """Refuse settings that no job can have, before the first begins."""
        is_search = "optuna" in str(config.hydra.sweeper.get("_target_"))
        try:
            with one_line_errors():
                check_jobs(config, config_name, is_search)
                search = _open_search(config) if is_search else None
                # Reading the folder's name makes the folder.
                folder = Path(config.hydra.sweep.dir)
                if search:
                    search.record(folder)
        except CompactHydraException as error:  # a choice that does not exist
            message = one_line_message(error, config_name, sys.argv[1:])
            raise SystemExit(f"error: {message}") from None
        except Exception:  # Hydra would only warn, and start the jobs
            raise SystemExit(traceback.format_exc()) from None
        started(folder, is_sweep=True, command=_typed_command() if is_search else "")

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Write `sweep.csv` and `report.html`."""
        from facekp.cli.sweep_tables import show_means, show_ranking
        from facekp.visualization.reports.sweep import MEANS, write_sweep_report

        folder = Path(config.hydra.sweep.dir)
        jobs, means = write_sweep_report(folder, _typed_command())
        show_means(means)
        show_ranking(jobs, means)
        print(f"sweep       {folder / 'sweep.csv'}")
        if len(means):
            print(f"means       {folder / MEANS}")
        print(f"report      {folder / REPORT}")
        jobs = jobs[~jobs["job"].str.startswith("..")]  # of this start
        failed = jobs[jobs["status"] != "done"]
        if len(failed):
            names = ", ".join(sorted(failed["job"]))
            sys.exit(f"error: {len(failed)} of {len(jobs)} jobs failed: {names}; see their {ERROR}")


def _typed_command() -> str:
    """The command line of this program."""
    return " ".join([program(), *map(shlex.quote, sys.argv[1:])])


def _open_search(config: DictConfig) -> Search | None:
    """Continue a search where it stopped; ends the program if nothing is left of it."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it lists its plugins
    import optuna

    from facekp.cli.search import open_search

    if config.hydra.sweeper.n_trials < 1:
        raise ConfigError(
            f"hydra.sweeper.n_trials={config.hydra.sweeper.n_trials}: at least 1 is needed"
        )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = open_search(config)
    if search and search.done:
        last = f"  {search.folders[-1]}" if search.folders else ""
        if search.done >= search.trials:
            print(f"search      complete: {search.done} trials{last}")
            print(f"continue    with hydra.sweeper.n_trials={search.done + 10}: ten more trials")
            raise SystemExit(0)
        print(f"search      has {search.done} of {search.trials} trials{last}")
    return search


def check_jobs(config: DictConfig, config_name: str, is_search: bool) -> None:
    """Check the settings of the first job, then each other value of a sweep in its place.

    Args:
        config: of the sweep.
        config_name: of the primary configuration.
        is_search: whether Optuna chooses the values.

    Raises:
        ConfigError: settings that a job cannot have, or that its network refuses.
    """
    from facekp.models.factory import TRAINING_KEYS  # imports torch, which takes seconds

    loader = GlobalHydra.instance().config_loader()
    space = config.hydra.sweeper.get("params") or {}
    texts = [*(f"{key}={value}" for key, value in space.items()), *config.hydra.overrides.task]
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(texts)
    values = {override.get_key_element(): _values(override, is_search) for override in parsed}
    first = {key: texts[0] for key, texts in values.items()}
    others = [first | {key: text} for key, texts in values.items() for text in texts[1:]]
    of_hydra = [x for x in config.hydra.overrides.hydra if not x.startswith("hydra.mode=")]
    on_this_machine = "submitit" not in str(config.hydra.launcher.get("_target_"))
    networks: list[dict[str, Any]] = []
    for job in (first, *others):
        cfg = loader.load_configuration(config_name, [*of_hydra, *job.values()], RunMode.RUN)
        check_settings(cfg)
        check_devices(cfg, is_job=True, on_this_machine=on_this_machine)
        network = {key: value for key, value in cfg.model.items() if key not in TRAINING_KEYS}
        if network not in networks:
            check_network(cfg)
            networks.append(network)


def _values(override: Override, is_search: bool) -> list[str]:
    """The override with each of its values; of a range of numbers the ends."""
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [override.input_line or ""]
    value = override.value()
    if isinstance(value, IntervalSweep):
        if not is_search:
            raise ConfigError(f"{override.input_line}: an interval needs hydra/sweeper=optuna")
        return [f"{key}={value.start}", f"{key}={value.end}"]
    texts = [f"{key}={text}" for text in override.sweep_string_iterator()]
    if isinstance(value, RangeSweep) and not value.shuffle:
        last = f"{key}={value.stop}" if is_search else texts[-1]  # Optuna's range includes it
        return [texts[0], last]
    return texts
