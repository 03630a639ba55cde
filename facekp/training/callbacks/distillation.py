"""Knowledge distillation: learning from a trained network beside the labels."""

from __future__ import annotations

import pytorch_lightning as L
import torch
import torch.nn.functional as F
from pytorch_lightning.callbacks import Callback

from facekp.core.description import NetworkDescription
from facekp.core.errors import ConfigError
from facekp.core.landmarks import LandmarkScheme
from facekp.data.dataset import Batch
from facekp.models.base import normalize_images
from facekp.models.checkpoint import load_network


class Distillation(Callback):
    """Makes each training target the mean of the label and of a teacher's output.

    Annotators differ in where along a jaw they place the points; a network's output does not, so
    there is more to be learned from both (G. Hinton et al., "Distilling the knowledge in a neural
    network", 2015). The teacher sees the augmented crop, at its own input size. `train/loss` is
    then the distance from these targets, which is lower than that from labels alone.

    Args:
        ckpt_path: of the teacher, or the name of a bundled network.
        student: description of the network that is trained.

    Raises:
        DataError: not a checkpoint of facekp.
        ConfigError: teacher and student have other points, or crop faces differently.
    """

    def __init__(self, ckpt_path: str, student: NetworkDescription) -> None:
        self.network, self.description = load_network(ckpt_path)
        teacher_crop, crop = self.description.crop, student.crop
        for name, theirs, ours in (
            ("landmarks", *_scheme_titles(self.description.scheme, student.scheme)),
            ("dataset.points", list(self.description.points), list(student.points)),
            ("model.in_channels", teacher_crop.channels, crop.channels),
            ("dataset.box_scale", teacher_crop.box_scale, crop.box_scale),
            ("dataset.square", teacher_crop.square, crop.square),
        ):
            if theirs != ours:
                raise ConfigError(
                    f"teacher={ckpt_path}: it was trained with {name}={theirs}, here it is {ours}; "
                    "use the same, or choose another teacher"
                )
        self.size = teacher_crop.size
        if self.size[0] * crop.size[1] != self.size[1] * crop.size[0]:
            raise ConfigError(
                f"teacher={ckpt_path}: its input {list(self.size)} has another aspect ratio than "
                f"model.input_size={list(crop.size)}; choose another teacher"
            )
        self.network.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Move the batch's targets (B, K, 2) half-way to the teacher's outputs."""
        self.network.to(pl_module.device)
        images = normalize_images(batch["image"])
        if images.shape[2:] != self.size:
            images = F.interpolate(images, self.size, mode="bilinear", antialias=True)
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            outputs = self.network(images).to(batch["keypoints"].dtype)
        batch["keypoints"] = (batch["keypoints"] + outputs) / 2


def _scheme_titles(first: LandmarkScheme, second: LandmarkScheme) -> tuple[str, str]:
    """Two equal texts for schemes with the same points in the same order, else different ones."""
    if first.point_names == second.point_names:
        return first.name, first.name
    if first.name != second.name:
        return first.name, second.name
    return ", ".join(first.point_names[:5]), ", ".join(second.point_names[:5])
