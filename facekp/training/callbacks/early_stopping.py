"""Early stopping of a run that no longer improves."""

from __future__ import annotations

import pytorch_lightning as L
from pytorch_lightning.callbacks import EarlyStopping as LightningEarlyStopping


class EarlyStopping(LightningEarlyStopping):
    """Lightning's, but a run that it has ended is not trained further when it is resumed.

    With more `patience` it is.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End the run at once if it had ended."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True
