"""Early stopping of a run that no longer improves."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as L
from pytorch_lightning.callbacks import EarlyStopping as LightningEarlyStopping
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason


class EarlyStopping(LightningEarlyStopping):
    """Lightning's, but a run that it has ended is not trained further when it is resumed.

    With more `patience` than before it is, if its patience was what ended it.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of the resumed run, but not its `patience`."""
        super().load_state_dict({**state_dict, "patience": self.patience})
        exhausted = self.stopping_reason is EarlyStoppingReason.PATIENCE_EXHAUSTED
        if exhausted and self.wait_count < self.patience:
            self.stopping_reason = EarlyStoppingReason.NOT_STOPPED

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End the run at once if it had ended."""
        if self.stopping_reason is not EarlyStoppingReason.NOT_STOPPED:
            trainer.should_stop = True
