"""Memory of a training step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from facekp.core.errors import ConfigError
from facekp.models.convnet import ConvNet
from facekp.training import memory
from facekp.training.module import KeypointModule
from tests.helpers import Run


def small_network() -> ConvNet:
    return ConvNet(1, (40, 50), 1, [8], 3, 0, [1], "max", 2, [4], True, False)


def test_bytes_of_a_step_grow_with_the_batch_and_leave_the_network_as_it_was() -> None:
    network = small_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    step = memory.step_memory(network, 1, (40, 50))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    convolved = 8 * 38 * 48 * 4  # bytes an image that the pool keeps for its backward pass
    assert convolved < step.per_image < 4 * convolved
    assert step.of(3) == step.fixed + 3 * step.per_image


def test_the_batch_that_fits_is_named() -> None:
    step = memory.StepMemory(fixed=100, per_image=10)
    assert memory.fitting_batch(step, 1000, 512) == 64
    assert memory.fitting_batch(step, 100_000, 512) == 256  # more was needed than was expected
    assert memory.fitting_batch(step, 105, 512) == 0
    message = str(memory.out_of_memory_error(512, 2, "17 GB", 64))
    assert "dataset.batch_size=64 trainer.accumulate_grad_batches=16" in message


def test_memory_is_kept_only_where_there_is_plenty(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []

    class Library:
        def __init__(self, name: None) -> None:
            self.mallopt = lambda option, value: told.append((option, value))

    monkeypatch.setattr(memory.ctypes, "CDLL", Library)
    monkeypatch.setattr(memory.sys, "platform", "linux")
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    memory.retain_freed_memory(251)
    assert not told
    memory.retain_freed_memory(249)
    assert [option for option, _ in told] == [-4, -1]  # M_MMAP_MAX, M_TRIM_THRESHOLD of malloc.h


def test_limits_that_cannot_be_read_leave_malloc_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda self: "MemTotal: 12 kB\n")
    assert memory.available_bytes() == 0


def test_a_batch_that_does_not_fit(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(memory, "available_bytes", lambda: 3_000_000)
        with pytest.raises(
            ConfigError,
            match=r"batch_size=5 needs .* GB, 0\.0 GB are free: try dataset.batch_size=2",
        ):
            run("before")

    def no_room(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(KeypointModule, "training_step", no_room)
    with pytest.raises(ConfigError, match=r"batch_size=2 trainer\.accumulate_grad_batches=2"):
        run("during")
    with pytest.raises(ConfigError, match=r"batch_size=1 needs .*lower model\.input_size"):
        run("least", "dataset.batch_size=1")
    assert memory.is_oom(MemoryError())
