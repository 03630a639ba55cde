"""Pictures of the training data, and of the predictions during training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytorch_lightning as L
import torch
from pytorch_lightning.callbacks import Callback

from facekp.data.datamodule import FaceDataModule
from facekp.data.dataset import KeypointDataset
from facekp.data.records import annotated_points
from facekp.metrics import nme, to_photo_pixels
from facekp.training.trainer import tensorboards
from facekp.visualization.overlay import (
    PREDICTION,
    TRUTH,
    caption,
    draw_box,
    draw_crop,
    draw_points,
    grid,
    letterbox,
    save_image,
)


class Pictures(Callback):
    """Saves sheets of faces, also to TensorBoard.

    * `data.jpg`: training photos with their points and boxes.
    * `train_samples.jpg`: the same faces as the network sees them, cropped and augmented.
    * `validation.jpg`: a fixed choice of validation faces with truth (green) and prediction (red),
      updated after epochs 1, 2, 5, 10, 20, 50, ... and the last.
      They are of the network as it is trained, also where averaged weights are validated.
    * `epochs/0001.jpg`, ...: its first row after each of these epochs.

    Args:
        folder: of the sheets.
        count: number of faces per sheet.
        columns: of a sheet.
    """

    def __init__(self, folder: str | Path, count: int = 8, columns: int = 4) -> None:
        self.folder, self.count, self.columns = Path(folder), count, columns

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The training faces."""
        if not trainer.is_global_zero:
            return
        dataset = self._dataset(trainer, "train")
        chosen = self._spread(dataset)
        photos = []
        for record in (dataset.records[index] for index in chosen):
            photo = draw_box(record.load(3), record.bbox)
            points = annotated_points(record)[dataset.points]
            radius = max(photo.shape) / (120 if len(points) > 5 else 60)  # downscaled later
            photos.append(draw_points(photo, points, TRUTH, radius=radius))
        height = round(300 * float(np.median([p.shape[0] / p.shape[1] for p in photos])))
        sheet = grid([letterbox(p, (height, 300)) for p in photos], self.columns)
        self._show(trainer, "data", sheet)
        batch = dataset.__getitems__([(trainer.current_epoch, index) for index in chosen])
        samples = [
            draw_crop(image.numpy(), [(points.numpy(), TRUTH)], dataset.scheme)
            for image, points in zip(batch["image"], batch["keypoints"], strict=True)
        ]
        self._show(trainer, "train_samples", grid(samples, self.columns))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The validation faces, after some epochs."""
        epoch = trainer.current_epoch + 1
        is_round = str(epoch).rstrip("0") in ("1", "2", "5")
        if not trainer.is_global_zero or not (is_round or epoch == trainer.max_epochs):
            return
        dataset = self._dataset(trainer, "val")
        batch = dataset.__getitems__([(0, index) for index in self._spread(dataset)])
        pl_module.eval()
        with torch.no_grad():
            predicted = pl_module(batch["image"].to(pl_module.device)).cpu()
        pl_module.train()
        found, truth = (
            to_photo_pixels(points, batch["to_photo"], dataset.crop.size)
            for points in (predicted, batch["keypoints"])
        )
        errors = nme(found - truth, batch["normalizer"]).tolist()
        faces = [
            caption(
                draw_crop(
                    image.numpy(),
                    [(points.numpy(), TRUTH), (found_points.numpy(), PREDICTION)],
                    dataset.scheme,
                ),
                f"epoch {epoch}: {100 * error:.1f} %",
            )
            for image, points, found_points, error in zip(
                batch["image"], batch["keypoints"], predicted, errors, strict=True
            )
        ]
        self._show(trainer, "validation", grid(faces, self.columns))
        row = grid(faces[: self.columns], self.columns)
        save_image(self.folder / f"epochs/{epoch:04d}.jpg", row)

    @staticmethod
    def _dataset(trainer: L.Trainer, split: str) -> KeypointDataset:
        datamodule = getattr(trainer, "datamodule", None)
        assert isinstance(datamodule, FaceDataModule)
        return datamodule.dataset(split)

    def _spread(self, dataset: KeypointDataset) -> list[int]:
        """Indices spread over the whole split, in which photos of a person are adjacent."""
        count = min(self.count, len(dataset))
        return np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist()

    def _show(self, trainer: L.Trainer, name: str, sheet: np.ndarray) -> None:
        save_image(self.folder / f"{name}.jpg", sheet)
        for board in tensorboards(trainer):
            board.add_image(name, sheet, trainer.current_epoch, dataformats="HWC")
