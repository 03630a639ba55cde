"""Learning rate schedules."""

from __future__ import annotations

import math
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR


def one_cycle(
    optimizer: Optimizer, *, total_steps: int, pct_start: float, **settings: Any
) -> OneCycleLR:
    """`OneCycleLR` for any number of epochs.

    torch divides by zero where the warm-up has exactly one step, as a tenth of ten epochs. Of a
    single epoch it makes the last, whose rate is about zero; it gets the first of two.

    Args:
        optimizer: whose rate it sets.
        total_steps: epochs.
        pct_start: share of them that warms up.
        **settings: see torch.
    """
    total_steps = max(total_steps, 2)
    if pct_start * total_steps == 1:
        pct_start = math.nextafter(pct_start, 1)
    return OneCycleLR(optimizer, total_steps=total_steps, pct_start=pct_start, **settings)
