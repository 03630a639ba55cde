"""Pictures of what the network is shown and of what it finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytorch_lightning as L
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger

from facekp.data.datamodule import FaceDataModule
from facekp.data.dataset import KeypointDataset
from facekp.draw import PREDICTION, TRUTH, draw_points, grid, label, save
from facekp.geometry import denormalize_points
from facekp.metrics import nme, to_photo_pixels


class Pictures(Callback):
    """Saves sheets of faces as PNG, and shows them in TensorBoard.

    `train_samples.png`: training faces as the network sees them, augmented, with their points.
    `validation.png`: validation faces with truth (green) and prediction (red), after the last
    epoch.

    Args:
        folder: where the sheets go.
        count: faces a sheet.
        columns: of a sheet.
    """

    def __init__(self, folder: str | Path, count: int = 16, columns: int = 4) -> None:
        self.folder, self.count, self.columns = Path(folder), count, columns

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The training samples."""
        if not trainer.is_global_zero:
            return
        dataset = self._dataset(trainer, "train")
        batch = dataset.__getitems__([(trainer.current_epoch, i) for i in self._spread(dataset)])
        pictures = [
            _picture(image, [(points, TRUTH)], dataset)
            for image, points in zip(batch["image"], batch["keypoints"], strict=True)
        ]
        self._show(trainer, "train_samples", pictures)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The validation faces, by the network as it is at the end."""
        if not trainer.is_global_zero:
            return
        dataset = self._dataset(trainer, "val")
        batch = dataset.__getitems__([(0, i) for i in self._spread(dataset)])
        pl_module.eval()
        with torch.no_grad():
            predicted = pl_module(batch["image"].to(pl_module.device)).cpu()
        size = dataset.view.size
        found, truth = (
            to_photo_pixels(points, batch["to_photo"], size)
            for points in (predicted, batch["keypoints"])
        )
        errors = nme(found, truth, batch["interocular"])
        pictures = [
            label(
                _picture(image, [(points, TRUTH), (guess, PREDICTION)], dataset),
                f"NME {100 * error:.1f} %",
            )
            for image, points, guess, error in zip(
                batch["image"], batch["keypoints"], predicted, errors.tolist(), strict=True
            )
        ]
        self._show(trainer, "validation", pictures)

    @staticmethod
    def _dataset(trainer: L.Trainer, split: str) -> KeypointDataset:
        datamodule = getattr(trainer, "datamodule", None)
        assert isinstance(datamodule, FaceDataModule)
        return datamodule.dataset(split)

    def _spread(self, dataset: KeypointDataset) -> list[int]:
        """Indices spread over the whole split: its order has a person's views side by side."""
        count = min(self.count, len(dataset))
        return np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist()

    def _show(self, trainer: L.Trainer, name: str, pictures: list[np.ndarray]) -> None:
        sheet = grid(pictures, self.columns)
        save(self.folder / f"{name}.png", sheet)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(name, sheet, trainer.current_epoch, dataformats="HWC")


def _picture(
    image: torch.Tensor,
    layers: list[tuple[torch.Tensor, tuple[int, int, int]]],
    dataset: KeypointDataset,
) -> np.ndarray:
    """A view (C, H, W) uint8 with sets of normalised points on it, enlarged to be looked at."""
    canvas = np.broadcast_to(image.permute(1, 2, 0).numpy(), (*image.shape[1:], 3))
    canvas = draw_points(canvas, np.empty((0, 2)), scale=max(1.0, 320 / canvas.shape[1]))
    for points, colour in layers:
        pixels = denormalize_points(points.numpy().astype(float), canvas.shape[:2])
        canvas = draw_points(canvas, pixels, colour, dataset.scheme)
    return canvas
