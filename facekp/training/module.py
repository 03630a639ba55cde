"""The LightningModule: training and evaluation steps, logging, content of checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytorch_lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from facekp.core.description import DESCRIPTION_KEY, NetworkDescription
from facekp.core.errors import ConfigError, FacekpError
from facekp.data.dataset import Batch
from facekp.metrics import THRESHOLD, KeypointMetrics, device_of_sums
from facekp.models.base import normalize_images


class KeypointModule(L.LightningModule):
    """Trains a keypoint network.

    Logs `train/loss`, `val/loss` and the metrics of `KeypointMetrics` as `val/...` and `test/...`,
    computed over the whole split.

    Args:
        network: images (B, C, H, W) to normalised keypoints (B, K, 2).
        loss: prediction and target (B, K, 2) to a scalar.
        optimizer: called with the parameters.
        scheduler: called with the optimizer, stepped after each epoch; None: a constant rate.
        threshold: of AUC and failure rate, see `KeypointMetrics`.
        description: of the network, stored in every checkpoint; without it a checkpoint can only
            resume the training.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        scheduler: Callable[[Optimizer], Any] | None = None,
        threshold: float = THRESHOLD,
        description: NetworkDescription | None = None,
    ) -> None:
        super().__init__()
        # The faster layout for convolutions, and that of the images.
        self.network = network.to(memory_format=torch.channels_last)
        self.loss = loss
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.description = description
        normalizer = description.scheme.normalizer.name if description else "interocular"
        self.has_missing = True
        self.val_metrics = KeypointMetrics(threshold, normalizer)
        self.test_metrics = KeypointMetrics(threshold, normalizer)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 images (B, C, H, W) to normalised keypoints (B, K, 2) float32."""
        return self.network(normalize_images(images)).float()

    def setup(self, stage: str) -> None:
        """Mask missing points only where there are any: complete labels need no mask."""
        datamodule = getattr(self.trainer, "datamodule", None)
        if datamodule is not None:  # else of the user's own loaders nothing is known
            self.has_missing = datamodule.has_missing

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Loss of a batch."""
        loss = self.loss_of(self(batch["image"]), batch["keypoints"])
        self._check_finite(loss, batch)
        weight = self.loss_weight(batch["keypoints"])
        self.loss_sum += weight * loss.detach().to(self.loss_sum.device)
        self.weights += weight
        return loss

    def loss_of(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Loss over the annotated points of a batch.

        Args:
            predicted: (B, K, 2) normalised coordinates.
            target: (B, K, 2) normalised coordinates, nan for missing points.
        """
        if not self.has_missing:
            return self.loss(predicted, target)
        present = target.isfinite().all(dim=-1)
        if not present.any():
            return 0 * predicted.sum()
        return self.loss(predicted[present][None], target[present][None])

    def loss_weight(self, target: Tensor) -> int:
        """Weight of a batch's loss in the mean of many: its faces, or its annotated points.

        Args:
            target: (B, K, 2) normalised coordinates, nan for missing points.
        """
        return int(target.isfinite().all(dim=-1).sum()) if self.has_missing else len(target)

    def _check_finite(self, loss: Tensor, batch: Batch) -> None:
        """End the run at once if the loss is not a number.

        On a GPU it is checked once in 50 steps, as each check waits for the device.
        """
        if (self.device.type != "cpu" and self.global_step % 50) or bool(loss.isfinite()):
            return
        at = f"epoch {self.current_epoch + 1}, step {self.global_step}{self._where(batch)}"
        raise FacekpError(
            f"the loss is {float(loss.detach())} in {at}: lower model.optimizer.lr, or set "
            "trainer.gradient_clip_val"
        )

    def _where(self, batch: Batch) -> str:
        """Names of the samples whose predictions are not finite."""
        with torch.no_grad():
            predicted = self(batch["image"])
        wrong = batch["index"][~predicted.isfinite().all(dim=(1, 2)).cpu()].tolist()
        records = self.trainer.datamodule.dataset("train").records  # type: ignore[attr-defined]
        names = ", ".join(records[index].name for index in wrong[:3])
        faces = f"{len(wrong)} of {len(predicted)} faces"
        return f" (predictions of {faces}, {names}, ...)" if wrong else ""

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_index: int) -> None:
        """Log the mean loss after the epoch's last batch; logging each step would be slow."""
        trainer = self.trainer
        last = batch_index + 1 == trainer.num_training_batches
        if last or trainer.should_stop or trainer.global_step == trainer.max_steps:
            mean = (self.loss_sum / max(self.weights, 1)).float()
            weight = self.weights if self.has_missing else 1
            self.log(
                "train/loss", mean, on_step=False, on_epoch=True, batch_size=weight, sync_dist=True
            )

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Add a batch to the validation metrics."""
        self._evaluate(batch, "val", self.val_metrics)

    def test_step(self, batch: Batch, batch_index: int) -> None:
        """Add a batch to the test metrics."""
        self._evaluate(batch, "test", self.test_metrics)

    def _evaluate(self, batch: Batch, split: str, metrics: KeypointMetrics) -> None:
        predicted, target, images = self(batch["image"]), batch["keypoints"], batch["image"]
        loss, weight = self.loss_of(predicted, target), self.loss_weight(target)
        self.log(f"{split}/loss", loss, on_epoch=True, batch_size=weight, sync_dist=True)
        size = (images.shape[-2], images.shape[-1])
        metrics.update(predicted, target, batch["to_photo"], size, batch["normalizer"])

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the whole split."""
        self._log_metrics("val", self.val_metrics)

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the whole split."""
        self._log_metrics("test", self.test_metrics)

    def _log_metrics(self, split: str, metrics: KeypointMetrics) -> None:
        for name, value in metrics.compute().items():
            # The metric is exact over all devices; this is the mean of equal numbers.
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
        """Do nothing: Lightning calls it after the checkpoint, which would lack the step."""

    def on_train_epoch_end(self) -> None:
        """Step the scheduler, before the epoch's checkpoint is written."""
        for config in self.trainer.lr_scheduler_configs:
            config.scheduler.step()  # type: ignore[call-arg]

    def on_train_epoch_start(self) -> None:
        """Reset the mean loss; make dropout depend on (seed, epoch): a resume repeats it."""
        seed = self.description.seed if self.description else 0
        torch.manual_seed(seed * 1_000_003 + self.current_epoch)
        device = device_of_sums(self.device)
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.weights = 0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the description of the network."""
        if self.description is not None:
            checkpoint[DESCRIPTION_KEY] = self.description.to_dict()
