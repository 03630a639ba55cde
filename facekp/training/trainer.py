"""A Lightning trainer that understands `gpus`, and its TensorBoard."""

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

from facekp.training.callbacks.checkpoint import WholeCheckpointIO
from facekp.cli.validation import in_a_sweep, no_gpu, wanted_gpus
from facekp.core.devices import claim_gpu

log = logging.getLogger(__name__)


def make_trainer(
    gpus: int | Sequence[int] = 0,
    cpus: int = 1,
    compile: bool = False,  # noqa: A002  # torch's own name for it
    callbacks: Sequence[Callback] = (),
    **settings: Any,
) -> L.Trainer:
    """Build a trainer.

    Args:
        gpus: 0 for the CPU, a number of GPUs, -1 for all, or a list of their indices.
        cpus: processes on the CPU, where gpus is 0.
        compile: run the network through `torch.compile`.
        callbacks: Lightning's.
        **settings: Lightning's own.

    Raises:
        ConfigError: GPUs that are not there.
    """
    # Lightning's advice on loaders and its tips do not fit what is done here on purpose.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*The number of training batches.*is smaller than")
    # Said in one line by the data module.
    warnings.filterwarnings("ignore", message=".*This DataLoader will create")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists")
    warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    return L.Trainer(
        **_devices(gpus, cpus),
        callbacks=[*callbacks, *([CompiledNetwork()] if compile else [])],
        # Our sampler parts the data itself, without counting a sample twice.
        use_distributed_sampler=False,
        plugins=[WholeCheckpointIO()],
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )


def tensorboards(trainer: L.Trainer) -> list[SummaryWriter]:
    """The TensorBoard writers of a run; none where it keeps none."""
    return [own.experiment for own in trainer.loggers if isinstance(own, TensorBoardLogger)]


class CompiledNetwork(Callback):
    """Runs the network through `torch.compile`; its weights keep their names."""

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Compile, before the first step."""
        assert isinstance(pl_module.network, nn.Module)
        if stage == "fit":
            pl_module.network.compile()


def _devices(gpus: int | Sequence[int], cpus: int) -> dict[str, Any]:
    available = torch.cuda.device_count()
    wanted = wanted_gpus(gpus)
    if not wanted:
        if available:
            log.info("training on the CPU; trainer.gpus=1 uses the GPU of this machine")
        else:  # torch's optimizers look for a driver in every step, unless told not to
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        return {"accelerator": "cpu", "devices": cpus}
    if any(not 0 <= index < available for index in wanted):
        raise no_gpu(gpus, available)
    if gpus == 1 and in_a_sweep():
        names = [str(torch.cuda.get_device_properties(index).uuid) for index in range(available)]
        return {"accelerator": "gpu", "devices": [claim_gpu(names)]}
    return {"accelerator": "gpu", "devices": gpus if isinstance(gpus, int) else list(wanted)}
