"""The history of a run: `metrics.csv`, and the TensorBoard charts that Lightning does not make."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as L
from pytorch_lightning.callbacks import Callback
from torch.utils.tensorboard.summary import hparams

from facekp.core.description import NetworkDescription
from facekp.core.files import atomic_write_text
from facekp.training.flatten import flatten
from facekp.training.trainer import tensorboards


class History(Callback):
    """Writes `metrics.csv` after each epoch: one row per epoch, one column per metric.

    The rows are stored in the checkpoint, so the file of a resumed run has every epoch once; so is
    the time that the training has taken. Both losses also go to one TensorBoard chart, `loss`.

    Args:
        path: of the file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.rows: list[dict[str, float]] = []
        self.validated = False
        self.earlier_seconds = 0.0
        """Duration of the training before it was resumed."""
        self._started = time.perf_counter()

    @property
    def frame(self) -> pd.DataFrame:
        """The table, one row per epoch."""
        return pd.DataFrame(self.rows)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Fill TensorBoard's HParams tab, whose metrics come from the charts as they grow."""
        description = getattr(pl_module, "description", None)
        if not trainer.is_global_zero or not isinstance(description, NetworkDescription):
            return
        parts = ("model", "dataset", "trainer", "seed")
        settings = flatten({key: description.config.get(key) for key in parts})
        for board in tensorboards(trainer):
            nme = f"val/nme_{description.scheme.normalizer.name}"
            metrics = dict.fromkeys(("val/mse", "val/mae_px", nme), 0)
            for summary in hparams(settings, metrics):
                board._get_file_writer().add_summary(summary)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remember that this epoch has validation figures."""
        self.validated = True

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add a row."""
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        metrics = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if self.validated or not name.startswith("val/")  # else it is an earlier epoch's
        }
        self.validated = False
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        row = {"epoch": trainer.current_epoch, "step": trainer.global_step, "lr": rate, **metrics}
        self.rows = [r for r in self.rows if r["epoch"] < trainer.current_epoch] + [row]
        atomic_write_text(self.path, self.frame.to_csv(index=False))
        losses = {
            split: metrics[f"{split}/loss"]
            for split in ("train", "val")
            if f"{split}/loss" in metrics
        }
        for board in tensorboards(trainer):
            board.add_scalars("loss", losses, trainer.current_epoch)
            board.add_scalar("lr", rate, trainer.current_epoch)

    def state_dict(self) -> dict[str, Any]:
        """The rows and the duration so far."""
        seconds = self.earlier_seconds + time.perf_counter() - self._started
        return {"rows": self.rows, "seconds": seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the rows and the duration of the resumed run."""
        self.rows = list(state_dict["rows"])
        self.earlier_seconds = float(state_dict.get("seconds", 0.0))  # 0.1.0 did not store it
