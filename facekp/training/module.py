"""The LightningModule: what a step is, what is logged, what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytorch_lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from facekp.data.dataset import Batch
from facekp.core.errors import ConfigError
from facekp.metrics import KeypointMetrics
from facekp.models.base import CHECKPOINT_KEY, to_network


class KeypointModule(L.LightningModule):
    """Trains a keypoint network.

    Logs `train/loss`, `val/loss` and the metrics of `KeypointMetrics` as `val/...` and `test/...`,
    computed over the whole split.

    Args:
        network: images (B, C, H, W) to normalised keypoints (B, K, 2).
        loss: prediction and target (B, K, 2) to a scalar.
        optimizer: called with the parameters.
        scheduler: called with the optimizer, stepped after each epoch; None for a constant rate.
        threshold: of AUC and failure rate, see `KeypointMetrics`.
        description: plain containers stored in every checkpoint: what `predict.py` needs.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        scheduler: Callable[[Optimizer], Any] | None = None,
        threshold: float = 0.08,
        description: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        # The faster layout of convolutions, and the one in which the images come.
        self.network = network.to(memory_format=torch.channels_last)
        self.loss = loss
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.description = description or {}
        self.val_metrics, self.test_metrics = KeypointMetrics(threshold), KeypointMetrics(threshold)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 images (B, C, H, W) to normalised keypoints (B, K, 2) float32."""
        return self.network(to_network(images)).float()

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Loss of a batch."""
        loss = self.loss(self(batch["image"]), batch["keypoints"])
        self.loss_sum += len(batch["image"]) * loss.detach()
        self.faces += len(batch["image"])
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_index: int) -> None:
        """Log the mean loss behind the epoch's last batch; a log at every step costs much."""
        trainer = self.trainer
        whole = batch_index + 1 == trainer.num_training_batches
        if whole or trainer.should_stop or trainer.global_step == trainer.max_steps:
            mean = (self.loss_sum / self.faces).float()
            self.log("train/loss", mean, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Add a batch to the validation metrics."""
        self._judge(batch, "val", self.val_metrics)

    def test_step(self, batch: Batch, batch_index: int) -> None:
        """Add a batch to the test metrics."""
        self._judge(batch, "test", self.test_metrics)

    def _judge(self, batch: Batch, split: str, metrics: KeypointMetrics) -> None:
        predicted, target, images = self(batch["image"]), batch["keypoints"], batch["image"]
        loss, count = self.loss(predicted, target), len(images)
        self.log(f"{split}/loss", loss, on_epoch=True, batch_size=count, sync_dist=True)
        size = (images.shape[-2], images.shape[-1])
        metrics.update(predicted, target, batch["to_photo"], size, batch["interocular"])

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the whole split."""
        self._log_metrics("val", self.val_metrics)

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the whole split."""
        self._log_metrics("test", self.test_metrics)

    def _log_metrics(self, split: str, metrics: KeypointMetrics) -> None:
        for name, value in metrics.compute().items():
            # The metric itself is exact over all devices; this mean is of equal numbers.
            self.log(f"{split}/{name}", value.float(), sync_dist=True)
        metrics.reset()

    def configure_optimizers(self) -> Any:
        """Optimizer and scheduler as configured.

        Raises:
            ConfigError: settings that the optimizer refuses.
        """
        try:
            optimizer = self.make_optimizer(self.network.parameters())
        except (TypeError, ValueError) as error:
            raise ConfigError(f"model.optimizer: {error}") from error
        if self.make_scheduler is None:
            return {"optimizer": optimizer}
        return {"optimizer": optimizer, "lr_scheduler": self.make_scheduler(optimizer)}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Nothing: Lightning's moment is after the checkpoint, which would lack the step."""

    def on_train_epoch_end(self) -> None:
        """Step the scheduler, before the epoch's checkpoint is written."""
        for config in self.trainer.lr_scheduler_configs:
            config.scheduler.step()  # type: ignore[call-arg]

    def on_train_epoch_start(self) -> None:
        """Start the mean loss, and make dropout depend on (seed, epoch): a resume repeats it."""
        seed = int(self.description.get("seed", 0))
        torch.manual_seed(seed * 1_000_003 + self.current_epoch)
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        self.faces = 0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what the network is; the weights alone do not say it."""
        checkpoint[CHECKPOINT_KEY] = self.description
