"""Averaged weights."""

from __future__ import annotations

from pytorch_lightning.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn


class EMAWeightAveraging(WeightAveraging):
    """Evaluates and keeps an exponential moving average of the weights.

    Unlike Lightning's it leaves buffers that do not change as they are, to the bit, so that a
    resumed run is equal to one that was not interrupted.

    Args:
        decay: of the average in a step.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))
