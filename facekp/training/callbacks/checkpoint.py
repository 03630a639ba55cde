"""Checkpoints that are whole, and belong to a run's folder wherever it is moved."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.callbacks import ModelCheckpoint

from facekp.core.files import written_whole


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints so that none is ever half a file.

    Lightning's own way writes to the system's temporary folder, which can be another disk: moving
    the file from there is a copy, and a copy can be cut short.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            FacekpError: it cannot be written, e.g. because the disk is full.
        """
        # In memory first: torch.save hides a full disk behind an error of its own.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as stream:
            stream.write(content.getbuffer())


class RunCheckpoint(ModelCheckpoint):
    """Lightning's `ModelCheckpoint`, which forgets the best score when its folder has moved."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of a resumed run, its paths inside this folder."""
        folder = Path(str(self.dirpath))

        def here(path: str) -> str:
            return str(folder / Path(path).name) if path else path

        moved = {**state_dict, "dirpath": self.dirpath}
        for key in ("best_model_path", "kth_best_model_path", "last_model_path"):
            moved[key] = here(state_dict[key])
        moved["best_k_models"] = {here(k): v for k, v in state_dict["best_k_models"].items()}
        super().load_state_dict(moved)
