"""What makes training quick, and the benchmark that says how quick."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.training import epoch_times
from facekp.models.convnet import ConvNet
from facekp.training import memory


def small_network() -> ConvNet:
    return ConvNet(1, (40, 50), 1, [8], 3, 0, [1], "max", 2, [4], True, False)


def test_bytes_of_a_step_grow_with_the_batch_and_leave_the_network_as_it_was() -> None:
    network = small_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    few, many = (memory.training_step_bytes(network, 1, (40, 50), count) for count in (2, 200))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    convolved = 8 * 38 * 48 * 4  # bytes an image that the pool keeps for its backward pass
    assert convolved < (many - few) / 198 < 4 * convolved


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


def test_benchmark_of_training(tmp_path: Path, imm_data: Path) -> None:
    small = [f"data_dir={imm_data}", "dataset.val_people=[33]", "report=false"]
    times = epoch_times(tmp_path, "part1", small, epochs=3)
    assert times["images"].tolist() == [18, 18]
    assert (times["training"] < times["epoch"]).all()
    assert (times[["training_ceiling", "operations", "convolution"]] > 0).all(axis=None)
