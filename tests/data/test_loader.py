"""The loader and its sampler: order, parts, errors of workers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from facekp.core.errors import DataError
from facekp.data.loader import EpochSampler
from tests.helpers import Run, imm


def test_batches_made_together_are_those_made_alone(imm_data: Path) -> None:
    module = imm(imm_data, batch_size=5, num_workers=0)
    loader, dataset = module.loader("train"), module.dataset("train")
    batches = list(loader)
    assert [len(batch["index"]) for batch in batches] == [5, 5, 5, 3]
    assert len(loader) == 4
    for batch in batches:
        alone = dataset.__getitems__([(0, int(index)) for index in batch["index"]])
        for name, value in alone.items():
            assert torch.equal(batch[name], value), name


def test_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sampler = EpochSampler(50, seed, shuffle=True)
        sampler.set_epoch(epoch)
        assert all(e == epoch for e, _ in sampler)
        return [index for _, index in sampler]

    assert order(0, 3) == order(0, 3)
    assert sorted(order(0, 3)) == list(range(50))
    assert order(0, 3) != order(0, 4)
    assert order(0, 3) != order(1, 3)


def test_devices_part_the_data_without_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 4)
    for shuffle, total in ((True, 48), (False, 50)):
        seen: list[int] = []
        for rank in range(4):
            monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
            sampler = EpochSampler(50, 0, shuffle)
            part = [index for _, index in sampler]
            assert len(part) == len(sampler)
            seen += part
        assert len(seen) == len(set(seen)) == total


def test_a_broken_image_is_named_by_loader_processes_too(
    run: Run, imm_data: Path, tmp_path: Path
) -> None:
    shutil.copytree(imm_data / "imm_face_db", tmp_path / "imm_face_db")
    image = next((tmp_path / "imm_face_db").glob("02-*.jpg"))
    image.write_bytes(image.read_bytes()[:3000])
    with pytest.raises(DataError, match=f"{image.name}: the image cannot be decoded"):
        run("r", f"data_dir={tmp_path}", "dataset.cache=off", "dataset.num_workers=1")
