"""Checkpoints that belong to a run's folder wherever it is moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as L
from pytorch_lightning.callbacks import ModelCheckpoint


class RunCheckpoint(ModelCheckpoint):
    """Lightning's `ModelCheckpoint`, which would forget the best score if its folder has moved.

    The checkpoint of the best epoch has no optimizer, which is two thirds of one: a run resumes
    from its last epoch.

    Args:
        dirpath: folder of the checkpoint.
        filename: without suffix.
        monitor: keep the epoch with its lowest value; None: keep the last epoch.
    """

    def __init__(self, dirpath: str | Path, filename: str, monitor: str | None = None) -> None:
        super().__init__(
            dirpath,
            filename,
            monitor=monitor,
            mode="min",
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
        self._saving = False

    def _save_checkpoint(self, trainer: L.Trainer, filepath: str) -> None:
        self._saving = True
        super()._save_checkpoint(trainer, filepath)
        self._saving = False

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Leave out the optimizer; `save_weights_only` would leave out averaged weights, too."""
        if self._saving and self.monitor is not None:
            checkpoint.update(optimizer_states=[], lr_schedulers=[])

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of a resumed run, with its paths inside the current folder."""
        folder = Path(str(self.dirpath))

        def moved_path(path: str) -> str:
            return str(folder / Path(path).name) if path else path

        moved = {**state_dict, "dirpath": self.dirpath}
        for key in ("best_model_path", "kth_best_model_path", "last_model_path"):
            moved[key] = moved_path(state_dict[key])
        moved["best_k_models"] = {moved_path(k): v for k, v in state_dict["best_k_models"].items()}
        super().load_state_dict(moved)
