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

from facekp.core.progress import format_duration
from facekp.metrics import MeanAbsoluteError
from facekp.training.memory import peak_bytes

SILENCE = 30.0
"""Seconds without a terminal after which a line is printed, also within an epoch."""
ESTIMATE_AFTER = 20.0
"""Seconds of training by which its duration is estimated."""
LONG, MAX_DURATION = 1200.0, 7200.0
"""Seconds of a training from which its duration is announced, and that it should take at most."""


class TrainingProgress(Callback):
    """Shows epochs, losses, speed and time left; without a terminal, prints some lines.

    Logs `images_per_second` of each epoch, including loading, excluding validation.

    Args:
        lines: approximate number of lines of a whole training without a terminal; there are more
            if epochs take longer than `SILENCE`.
    """

    def __init__(self, lines: int = 20) -> None:
        self.lines = lines
        self.printed = 0.0
        self.estimated = False
        self.console = Console()
        self.bar: Progress | None = None
        self.started = self.trained = 0.0
        self.images = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the bar."""
        self.first_epoch, self.train_started = trainer.current_epoch, time.perf_counter()
        self.printed, self.estimated = self.train_started, False
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
        done = trainer.current_epoch + (batch_idx + 1) / trainer.num_training_batches
        if not self.estimated:
            self._estimate(trainer, done)
        if self.bar is not None:
            self.bar.update(self.task, completed=round(done, 2))
        elif trainer.is_global_zero and time.perf_counter() - self.printed > SILENCE:
            rate = self.images * trainer.world_size / max(self.trained, 1e-9)
            share = 100 * (batch_idx + 1) / trainer.num_training_batches
            epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            self._print(f"{epoch}  {share:.0f} %  {rate:.0f} images/s")

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
            epoch in (self.first_epoch + 1, epochs)
            or epoch % max(1, epochs // self.lines) == 0
            or time.perf_counter() - self.printed > SILENCE
        ):
            each = (time.perf_counter() - self.train_started) / (epoch - self.first_epoch)
            left = f"  {each * (epochs - epoch):.0f} s left" if epochs > 0 else ""
            self._print(f"epoch {epoch}/{epochs}  {state}{left}")

    def _print(self, line: str) -> None:
        print(line, flush=True)
        self.printed = time.perf_counter()

    def _estimate(self, trainer: L.Trainer, done: float) -> None:
        """Say once how long a long training will take, by its first steps."""
        passed, epochs = time.perf_counter() - self.train_started, trainer.max_epochs or 0
        done -= self.first_epoch
        if passed < ESTIMATE_AFTER or not done:
            return
        self.estimated = True
        seconds = passed / done * (epochs - self.first_epoch)
        if seconds < LONG or not trainer.is_global_zero:
            return
        fitting = max(1, int(MAX_DURATION * (epochs - self.first_epoch) / seconds))
        memory = peak_bytes(trainer.strategy.root_device) / 1e9
        advice = (
            f"; trainer.max_epochs={fitting} would take {format_duration(MAX_DURATION)}"
            if seconds > MAX_DURATION
            else ""
        )
        self.console.print(
            f"about {format_duration(seconds)} in all, {memory:.1f} GB of memory so far{advice}",
            soft_wrap=True,
        )

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
