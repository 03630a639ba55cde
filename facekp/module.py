"""The LightningModule: what a step is, what is logged, what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytorch_lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from facekp.data.dataset import Batch
from facekp.metrics import KeypointMetrics

CHECKPOINT_KEY = "facekp"
"""Entry of a checkpoint that says what the network is; plain containers only."""


def to_network(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 images (B, C, H, W) to floats in [-0.5, 0.5], as every network here expects them."""
    return images.to(dtype) / 255 - 0.5


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
        self.network, self.loss = network, loss
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.description = description or {}
        self.metrics = nn.ModuleDict(
            {"val": KeypointMetrics(threshold), "test": KeypointMetrics(threshold)}
        )

    def forward(self, images: Tensor) -> Tensor:
        """uint8 images (B, C, H, W) to normalised keypoints (B, K, 2) float32."""
        return self.network(to_network(images)).float()

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Loss of a batch."""
        loss = self.loss(self(batch["image"]), batch["keypoints"])
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch["image"]))
        return loss

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Add a batch to the validation metrics."""
        self._judge(batch, "val")

    def test_step(self, batch: Batch, batch_index: int) -> None:
        """Add a batch to the test metrics."""
        self._judge(batch, "test")

    def _judge(self, batch: Batch, split: str) -> None:
        predicted, target, images = self(batch["image"]), batch["keypoints"], batch["image"]
        loss, count = self.loss(predicted, target), len(images)
        self.log(f"{split}/loss", loss, on_epoch=True, batch_size=count, sync_dist=True)
        size = (images.shape[-2], images.shape[-1])
        self.metrics[split].update(predicted, target, batch["to_photo"], size, batch["interocular"])

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the whole split."""
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the whole split."""
        self._log_metrics("test")

    def _log_metrics(self, split: str) -> None:
        for name, value in self.metrics[split].compute().items():
            self.log(f"{split}/{name}", value.float())
        self.metrics[split].reset()

    def configure_optimizers(self) -> dict[str, Any]:
        """Optimizer and scheduler as configured."""
        optimizer = self.make_optimizer(self.network.parameters())
        if self.make_scheduler is None:
            return {"optimizer": optimizer}
        return {"optimizer": optimizer, "lr_scheduler": self.make_scheduler(optimizer)}

    def on_train_epoch_start(self) -> None:
        """Randomness inside the network (dropout) depends on (seed, epoch), so a resume repeats it."""
        seed = int(self.description.get("seed", 0))
        torch.manual_seed(seed * 1_000_003 + self.current_epoch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what the network is; the weights alone do not say it."""
        checkpoint[CHECKPOINT_KEY] = self.description
