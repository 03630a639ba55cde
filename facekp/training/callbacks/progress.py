"""A progress bar over the whole training, with the time left."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as L
from pytorch_lightning.callbacks import Callback
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from facekp.metrics import MeanAbsoluteError


class TrainingProgress(Callback):
    """Shows epochs, losses, speed and time left; without a terminal, prints some lines.

    Logs `images_per_second` of each epoch, including loading, excluding validation.

    Args:
        lines: approximate number of lines of a whole training without a terminal.
    """

    def __init__(self, lines: int = 20) -> None:
        self.lines = lines
        self.console = Console()
        self.bar: Progress | None = None
        self.started = self.trained = 0.0
        self.images = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the bar."""
        self.first_epoch, self.train_started = trainer.current_epoch, time.perf_counter()
        if not trainer.is_global_zero or not self.console.is_terminal:
            return
        self.bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            TextColumn("{task.fields[state]}"),
            console=self.console,
        )
        self.bar.start()
        epochs = trainer.max_epochs if (trainer.max_epochs or 0) > 0 else None
        self.task = self.bar.add_task("", total=epochs, completed=trainer.current_epoch, state="")

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the epoch's clock."""
        self.started, self.images = time.perf_counter(), 0

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: dict[str, Any],
        batch_idx: int,
    ) -> None:
        """Count images."""
        self.images += len(batch["image"])
        self.trained = time.perf_counter() - self.started
        if self.bar is not None:
            done = trainer.current_epoch + (batch_idx + 1) / trainer.num_training_batches
            self.bar.update(self.task, completed=round(done, 2))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the epoch's figures."""
        rate = self.images * trainer.world_size / max(self.trained, 1e-9)
        pl_module.log("images_per_second", rate, sync_dist=True)
        metrics = trainer.callback_metrics
        state = "  ".join(
            f"{name} {text(float(metrics[key]))}"
            for name, key, text in (
                ("train", "train/loss", "{:.3g}".format),
                ("val", "val/loss", "{:.3g}".format),
                ("MAE", "val/mae_px", MeanAbsoluteError.format),
            )
            if key in metrics
        )
        state += f"  {rate:.0f} images/s"
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs or 0
        if self.bar is not None:
            self.bar.update(self.task, completed=epoch, state=state)
        elif trainer.is_global_zero and (
            epoch in (self.first_epoch + 1, epochs) or epoch % max(1, epochs // self.lines) == 0
        ):
            each = (time.perf_counter() - self.train_started) / (epoch - self.first_epoch)
            left = f"  {each * (epochs - epoch):.0f} s left" if epochs > 0 else ""
            print(f"epoch {epoch}/{epochs}  {state}{left}", flush=True)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Close the bar, so that the error is readable."""
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
