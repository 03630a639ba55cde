from __future__ import annotations

import pytest
import torch

from facekp.training.schedules import one_cycle


@pytest.mark.parametrize("epochs", [*range(1, 33), 60, 100])
def test_any_number_of_epochs_can_be_trained(epochs: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1)
    schedule = one_cycle(
        optimizer,
        total_steps=epochs,
        pct_start=0.1,
        max_lr=1.0,
        div_factor=10,
        cycle_momentum=False,
    )
    rates = []
    for _ in range(epochs - 1):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    rates.append(schedule.get_last_lr()[0])
    assert max(rates) <= 1
    assert epochs < 3 or rates[-1] < 0.3 * max(rates)


def test_a_single_epoch_has_a_rate() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1)
    schedule = one_cycle(optimizer, total_steps=1, pct_start=0.1, max_lr=1.0, div_factor=10)
    assert schedule.get_last_lr()[0] > 0.05


def test_other_schedules_are_torch_s() -> None:
    made = []
    for make in (one_cycle, torch.optim.lr_scheduler.OneCycleLR):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1)
        schedule = make(optimizer, total_steps=25, pct_start=0.1, max_lr=1.0)
        rates = []
        for _ in range(24):
            optimizer.step()
            schedule.step()
            rates.append(schedule.get_last_lr()[0])
        made.append(rates)
    assert made[0] == made[1]
