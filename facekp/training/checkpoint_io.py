"""Atomic writes of checkpoints."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from facekp.core.files import atomic_write


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints atomically.

    Lightning itself writes to the system's temporary folder, which can be on another disk: moving
    the file from there is a copy, which can be interrupted.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            FacekpError: it cannot be written, e.g. because the disk is full.
        """
        # To memory first: torch.save hides a full disk behind an error of its own.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as stream:
            stream.write(content.getbuffer())
