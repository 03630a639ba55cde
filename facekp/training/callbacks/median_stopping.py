"""Early stopping of the jobs of a sweep by the median rule."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as L
import yaml
from pytorch_lightning.callbacks import Callback

from facekp.core.errors import ConfigError
from facekp.core.run_folder import CONFIG, HISTORY
from facekp.visualization.reports.sweep import SAME_METRICS

log = logging.getLogger(__name__)


class MedianStopping(Callback):
    """Stops a job that is worse than half of the others were after as many epochs.

    The median rule (D. Golovin et al., "Google Vizier", KDD 2017) on the best value so far, read
    from the histories of the jobs beside it, whichever launcher runs them. A single run is never
    stopped.

    Args:
        run_dir: of this job; the folders of the others lie beside it and end in the same name.
        name: of the experiment; only its jobs with the same validation faces are compared.
        monitor: the metric, lower is better.
        min_epochs: number of epochs before which no job is stopped.
        min_jobs: number of other jobs that must have reached this epoch.
    """

    def __init__(
        self, run_dir: str | Path, name: str, monitor: str, min_epochs: int = 5, min_jobs: int = 4
    ) -> None:
        self.run_dir, self.name, self.monitor = Path(run_dir), name, monitor
        self.min_epochs, self.min_jobs = min_epochs, min_jobs
        self.best, self.stopped = float("inf"), False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End a resumed job at once if it had been stopped."""
        trainer.should_stop = trainer.should_stop or self.stopped

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Compare, and stop.

        Raises:
            ConfigError: an unknown metric.
        """
        if trainer.sanity_checking:
            return
        value = trainer.callback_metrics.get(self.monitor)
        if value is None:
            choices = ", ".join(sorted(trainer.callback_metrics))
            raise ConfigError(f"median stopping: monitor={self.monitor}: choose one of {choices}")
        self.best = min(self.best, float(value))
        epoch = trainer.current_epoch
        if epoch + 1 < self.min_epochs:
            return
        others = self._others(epoch)
        if len(others) >= self.min_jobs and self.best > others.median():
            trainer.should_stop = self.stopped = True
            log.info(
                f"stopped after {epoch + 1} epochs: {self.monitor} {self.best:.4g}, while half of "
                f"{len(others)} other jobs had at most {others.median():.4g}"
            )

    def _others(self, epoch: int) -> pd.Series:
        """Best value up to an epoch of each other job that has reached it."""
        found, data = [], _data_of(self.run_dir)
        for path in self.run_dir.absolute().parent.glob(f"*/{HISTORY}"):
            _, _, name = path.parent.name.partition("_")  # after the job's number
            if name != self.name or path.parent == self.run_dir.absolute():
                continue
            other = _data_of(path.parent)
            if other and data and other != data:
                continue
            history = pd.read_csv(path)
            if self.monitor in history and history["epoch"].max() >= epoch:
                found.append(history[self.monitor][history["epoch"] <= epoch].min())
        return pd.Series(found, dtype=float)

    def state_dict(self) -> dict[str, Any]:
        """The best value so far, and whether the job was stopped."""
        return {"best": self.best, "stopped": self.stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over those of the resumed run."""
        self.best, self.stopped = state_dict["best"], state_dict.get("stopped", False)


def _data_of(run_dir: Path) -> dict[str, Any]:
    """Settings that choose the validation faces of a job; none if it has not recorded them."""
    file = run_dir / CONFIG
    dataset = yaml.safe_load(file.read_text(encoding="utf-8"))["dataset"] if file.is_file() else {}
    return {key: value for key, value in dataset.items() if key not in SAME_METRICS}
