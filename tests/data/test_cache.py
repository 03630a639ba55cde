"""The cache of decoded images."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facekp.core.errors import DataError
from facekp.data.cache import unreadable_images
from facekp.data.imm import IMMDataModule
from facekp.data.records import FaceRecord
from tests.helpers import Run, imm


def test_cache_modes_agree_and_notice_changes(imm_data: Path, tmp_path: Path) -> None:
    name = IMMDataModule.info.folder_name
    shutil.copytree(imm_data / name, tmp_path / name)
    cache = tmp_path / "cache"

    def first(keep: str) -> torch.Tensor:
        module = imm(tmp_path, cache=keep, cache_dir=cache)
        return module.dataset("train").__getitems__([(0, 0), (0, 1)])["image"]

    disk = first("disk")
    assert torch.equal(disk, first("memory"))
    assert torch.equal(disk, first("off"))
    built = list((cache / "decoded").iterdir())
    assert torch.equal(disk, first("disk"))
    assert list((cache / "decoded").iterdir()) == built  # used again
    path = tmp_path / name / "01-1m.jpg"
    Image.open(path).point(lambda value: 255 - value).save(path)
    assert not torch.equal(disk, first("disk"))


def test_two_jobs_may_build_the_cache_at_once(imm_data: Path, tmp_path: Path) -> None:
    def build(_: int) -> torch.Tensor:
        module = imm(imm_data, cache_dir=tmp_path)
        return module.dataset("val").__getitems__([(0, 5)])["image"]

    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(build, range(4)))
    assert all(torch.equal(images[0], image) for image in images)
    assert len(list((tmp_path / "decoded").iterdir())) == 1


def test_broken_image_stops_the_cache_and_leaves_nothing(imm_data: Path, tmp_path: Path) -> None:
    name = IMMDataModule.info.folder_name
    shutil.copytree(imm_data / name, tmp_path / name)
    path = tmp_path / name / "02-3m.jpg"
    path.write_bytes(path.read_bytes()[:3000])
    module = imm(tmp_path, cache_dir=tmp_path / "cache")
    with pytest.raises(DataError, match=r"02-3m\.jpg"):
        module.dataset("train")
    assert list((tmp_path / "cache/decoded").iterdir()) == []


def test_a_cache_that_cannot_be_written(run: Run) -> None:
    with pytest.raises(DataError, match=r"/proc/.* cannot be written .*dataset\.cache_dir="):
        run("r", "dataset.cache_dir=/proc/cache")


def test_an_image_that_could_not_be_decoded_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder or a right that was missing may be there now; good images are not decoded again."""
    records = []
    for at in range(3):
        Image.new("L", (8, 8)).save(tmp_path / f"{at}.png")
        path, box = tmp_path / f"{at}.png", np.array([0.0, 0, 8, 8])
        records.append(FaceRecord(path, box, None, path.name, path.name, "", (path, None)))
    tried: list[str] = []

    def load(record: FaceRecord, channels: int) -> np.ndarray:
        tried.append(record.name)
        if record.name == "1.png" and len(tried) < 4:
            raise DataError(record.image, "no decoder", "install it")
        return np.zeros((8, 8, channels), np.uint8)

    monkeypatch.setattr(FaceRecord, "load", load)
    assert list(unreadable_images(records, tmp_path)) == [records[1]]
    assert unreadable_images(records, tmp_path) == {}
    assert sorted(tried) == ["0.png", "1.png", "1.png", "2.png"]
