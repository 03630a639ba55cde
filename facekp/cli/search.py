"""Continuing an Optuna search: its trials so far count, and are ranked with the new ones."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import optuna
from omegaconf import DictConfig, OmegaConf, flag_override
from optuna.exceptions import OptunaError
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from facekp.core.errors import ConfigError
from facekp.core.files import atomic_write_text
from facekp.core.locks import lock
from facekp.core.run_folder import EARLIER

_FOLDERS = "folders"
"""Attribute of a study: the folders of the sweeps that ran its trials."""


@dataclass(frozen=True)
class Search:
    """A study of Optuna in a storage that outlives the process.

    Args:
        study: as Optuna has it.
        trials: of the study in all, when the search is complete.
        done: trials that it has.
    """

    study: optuna.Study
    trials: int
    done: int

    @property
    def folders(self) -> list[Path]:
        """Folders of the sweeps that ran its trials, as far as they exist."""
        return [Path(f) for f in self.study.user_attrs.get(_FOLDERS, []) if Path(f).is_dir()]

    def record(self, folder: Path) -> None:
        """Remember the sweep's folder, and in it the folders of the earlier trials.

        Raises:
            ConfigError: earlier trials are in that folder, which the new ones would overwrite.
        """
        folder = folder.absolute()
        if folder in self.folders:
            raise ConfigError(
                f"hydra.sweep.dir={folder}: it holds earlier trials of this search; leave it out, "
                "each start has a folder of its own"
            )
        folder.mkdir(parents=True, exist_ok=True)
        earlier = [os.path.relpath(other, folder) for other in self.folders]
        atomic_write_text(folder / EARLIER, json.dumps(earlier))
        self.study.set_user_attr(_FOLDERS, [*map(str, self.folders), str(folder)])


def open_search(config: DictConfig) -> Search | None:
    """Open the study of a search, and leave `hydra.sweeper.n_trials` at those that it lacks.

    Trials that a killed process left unfinished are marked as failed. They, and those of jobs that
    failed (their value is infinite), do not count.

    Args:
        config: of the sweep; changed.

    Returns:
        None if the study ends with the process (no `hydra.sweeper.storage`), or is a grid, which
        Optuna always evaluates as a whole.

    Raises:
        ConfigError: another process runs the same search, or the storage cannot be opened.
    """
    sweeper = config.hydra.sweeper
    is_grid = "GridSampler" in str((sweeper.get("sampler") or {}).get("_target_"))
    if is_grid or not (sweeper.storage and sweeper.study_name):
        return None
    several = OmegaConf.is_list(sweeper.direction)
    directions = list(sweeper.direction) if several else [sweeper.direction]
    runs_dir = Path(config.runs_dir)
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(
            storage=sweeper.storage,
            study_name=sweeper.study_name,
            directions=[getattr(direction, "name", direction) for direction in directions],
            load_if_exists=True,
        )
    except (OSError, SQLAlchemyError, OptunaError) as error:
        with contextlib.suppress(OSError):
            runs_dir.rmdir()  # if it is empty
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"hydra.sweeper.storage={sweeper.storage}: cannot be opened ({reason}); give another"
        ) from error
    name = hashlib.sha256(f"{sweeper.storage} {sweeper.study_name}".encode()).hexdigest()[:8]
    if not lock(runs_dir.absolute() / f".search-{name}.lock"):
        raise ConfigError(
            f"search {sweeper.study_name}: another process runs it now; hydra/launcher=cpus or "
            "gpus with hydra.sweeper.n_jobs=2 runs two trials at a time"
        )
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    done = sum(all(map(math.isfinite, trial.values)) for trial in complete)
    search = Search(study, sweeper.n_trials, done)
    with flag_override(config.hydra, "readonly", False):
        sweeper.n_trials = max(0, search.trials - done)
    return search
