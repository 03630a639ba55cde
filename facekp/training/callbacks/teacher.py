"""Learning from a trained network beside the labels."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as L
import torch
import torch.nn.functional as F
from pytorch_lightning.callbacks import Callback

from facekp.models.checkpoint import load_network
from facekp.data.dataset import Batch
from facekp.core.errors import ConfigError
from facekp.models.base import to_network


class Teacher(Callback):
    """Makes every training target the mean of the label and of a trained network's answer.

    Annotators differ in where along a jaw its points lie; a network's answer does not, so there is
    more to be learned from both (knowledge distillation: G. Hinton et al., "Distilling the
    knowledge in a neural network", 2015). The teacher sees the augmented view, in its own size.
    `train/loss` is then the distance from these targets, lower than that from labels alone.

    Args:
        ckpt_path: of the teacher, or the name of a network that comes along.
        pupil: description of what is trained, see `facekp.tasks.train.describe`.

    Raises:
        DataError: not a checkpoint of facekp.
        ConfigError: teacher and pupil have other points, or see faces in another way.
    """

    def __init__(self, ckpt_path: str, pupil: dict[str, Any]) -> None:
        self.network, self.description = load_network(ckpt_path)
        own, here = self.description["view"], pupil["view"]
        for name, theirs, ours in (
            ("scheme", self.description.get("scheme"), pupil["scheme"]),
            ("dataset.points", self.description["points"], pupil["points"]),
            ("model.in_channels", own["channels"], here["channels"]),
            ("dataset.box_scale", own.get("box_scale"), here["box_scale"]),
            ("dataset.square", own.get("square"), here["square"]),
        ):
            if theirs != ours:
                raise ConfigError(
                    f"teacher={ckpt_path}: it was trained with {name}={theirs}, here it is {ours}; "
                    "train as it was, or choose another"
                )
        self.size = tuple(own["size"])
        if self.size[0] * here["size"][1] != self.size[1] * here["size"][0]:
            raise ConfigError(
                f"teacher={ckpt_path}: its views are of another shape, {list(self.size)}, than "
                f"model.input_size={here['size']}; choose another"
            )
        self.network.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Move the batch's targets (B, K, 2) half the way to the teacher's answers."""
        self.network.to(pl_module.device)
        images = to_network(batch["image"])
        if images.shape[2:] != self.size:
            images = F.interpolate(images, self.size, mode="bilinear", antialias=True)
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            answers = self.network(images).to(batch["keypoints"].dtype)
        batch["keypoints"] = (batch["keypoints"] + answers) / 2
