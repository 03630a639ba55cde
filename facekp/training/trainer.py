"""A Lightning trainer that understands `gpus`, and its TensorBoard writers."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as L
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from facekp.core.devices import claim_gpu, missing_gpu_error, requested_gpus
from facekp.core.errors import ConfigError
from facekp.training.checkpoint_io import AtomicCheckpointIO

log = logging.getLogger(__name__)


def make_trainer(
    gpus: int | Sequence[int] = 0,
    cpus: int = 1,
    exclusive: bool = False,
    compile: bool = False,  # noqa: A002  # torch's own name for it
    callbacks: Sequence[Callback] = (),
    **settings: Any,
) -> L.Trainer:
    """Build a trainer.

    Args:
        gpus: 0 for the CPU, a number of GPUs, -1 for all, or a list of their indices.
        cpus: number of processes on the CPU, if gpus is 0.
        exclusive: with `gpus=1`, use a GPU that no other exclusive process on this machine uses.
        compile: run the network through `torch.compile`.
        callbacks: of Lightning.
        **settings: of Lightning's trainer.

    Raises:
        ConfigError: GPUs that do not exist, or are all taken.
    """
    # Advice of Lightning on what is done on purpose here.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*The number of training batches.*is smaller than")
    # The data module says it in one line.
    warnings.filterwarnings("ignore", message=".*This DataLoader will create")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists")
    warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    devices = _devices(gpus, cpus, exclusive)
    if devices["accelerator"] == "cpu" and torch.cuda.device_count():
        log.info("training on the CPU; trainer.gpus=1 uses the GPU of this machine")
    return L.Trainer(
        **devices,
        callbacks=[*callbacks, *([CompiledNetwork()] if compile else [])],
        # `EpochSampler` splits the data itself, without counting a sample twice.
        use_distributed_sampler=False,
        plugins=[AtomicCheckpointIO()],
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )


def training_device(gpus: int | Sequence[int], cpus: int, exclusive: bool) -> torch.device | None:
    """The device that `make_trainer` will use; None: several.

    Raises:
        ConfigError: see `make_trainer`.
    """
    chosen = _devices(gpus, cpus, exclusive)
    accelerator, devices = chosen["accelerator"], chosen["devices"]
    if isinstance(devices, int):
        if devices == -1:
            devices = torch.cuda.device_count()
        devices = list(range(devices))
    if len(devices) > 1:
        return None
    return torch.device(accelerator) if accelerator != "gpu" else torch.device("cuda", devices[0])


def tensorboards(trainer: L.Trainer) -> list[SummaryWriter]:
    """The TensorBoard writers of a run; none if it has no TensorBoard logger."""
    return [x.experiment for x in trainer.loggers if isinstance(x, TensorBoardLogger)]


class CompiledNetwork(Callback):
    """Runs the network through `torch.compile`; its weights keep their names."""

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Compile, before the first step."""
        assert isinstance(pl_module.network, nn.Module)
        if stage == "fit":
            pl_module.network.compile()


def _devices(gpus: int | Sequence[int], cpus: int, exclusive: bool) -> dict[str, Any]:
    available = torch.cuda.device_count()
    wanted = requested_gpus(gpus)
    if not wanted:
        if not available:  # otherwise torch's optimizers look for a driver in every step
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        return {"accelerator": "cpu", "devices": cpus}
    if not available and torch.backends.mps.is_available():
        if list(wanted) != [0]:
            raise ConfigError(f"trainer.gpus={gpus}: Apple's GPU is one; give trainer.gpus=1")
        return {"accelerator": "mps", "devices": 1}
    if any(not 0 <= index < available for index in wanted):
        raise missing_gpu_error(gpus, available)
    if gpus == 1 and exclusive:
        names = [str(torch.cuda.get_device_properties(index).uuid) for index in range(available)]
        return {"accelerator": "gpu", "devices": [claim_gpu(names)]}
    return {"accelerator": "gpu", "devices": gpus if isinstance(gpus, int) else list(wanted)}
