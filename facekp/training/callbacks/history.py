"""A run's figures by epoch: `metrics.csv`, and the charts that TensorBoard does not make alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as L
from pytorch_lightning.callbacks import Callback
from torch.utils.tensorboard.summary import hparams

from facekp.core.files import write_text
from facekp.training.trainer import tensorboards


class History(Callback):
    """Writes `metrics.csv` after each epoch: a row an epoch, a column a metric.

    The rows travel in the checkpoint, so a resumed run's file has every epoch once. Both losses
    also go to one TensorBoard chart, `loss`.

    Args:
        path: of the file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.rows: list[dict[str, float]] = []
        self.validated = False

    @property
    def frame(self) -> pd.DataFrame:
        """The table, one row an epoch."""
        return pd.DataFrame(self.rows)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Fill TensorBoard's HParams tab; it takes the metrics from the charts as they grow."""
        config = getattr(pl_module, "description", {}).get("config", {})
        settings = flatten(
            {key: config.get(key) for key in ("model", "dataset", "trainer", "seed")}
        )
        for board in tensorboards(trainer):
            if trainer.is_global_zero and config:
                metrics = dict.fromkeys(("val/mse", "val/mae_px", "val/nme_interocular"), 0)
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
            if self.validated or not name.startswith("val/")  # else it is an older epoch's
        }
        self.validated = False
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        row = {"epoch": trainer.current_epoch, "step": trainer.global_step, "lr": rate, **metrics}
        self.rows = [r for r in self.rows if r["epoch"] < trainer.current_epoch] + [row]
        write_text(self.path, self.frame.to_csv(index=False))
        losses = {
            split: metrics[f"{split}/loss"]
            for split in ("train", "val")
            if f"{split}/loss" in metrics
        }
        for board in tensorboards(trainer):
            board.add_scalars("loss", losses, trainer.current_epoch)
            board.add_scalar("lr", rate, trainer.current_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Rows of the run that is resumed."""
        self.rows = list(state_dict["rows"])


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, str | float]:
    """Nested settings as `model.optimizer.lr: 0.001`, with values that TensorBoard takes."""
    flat: dict[str, str | float] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value if isinstance(value, bool | int | float) else str(value)
    return flat
