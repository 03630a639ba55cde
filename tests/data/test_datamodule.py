"""Data modules: settings, broken entries, cache folder."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from facekp.core.errors import ConfigError, DataError
from facekp.data.ibug import IBUGDataModule
from facekp.data.imm import IMMDataModule
from tests.helpers import ibug, imm


def test_impossible_settings(imm_data: Path, ibug_data: Path) -> None:
    with pytest.raises(ConfigError, match="dlib or 300w"):
        ibug(ibug_data, split="300-W")
    with pytest.raises(ConfigError, match="val_fraction"):
        ibug(ibug_data, val_fraction=1.5)
    with pytest.raises(ConfigError, match="the val split has no faces; the people"):
        imm(imm_data, val_people=[99])


def test_cache_folder_is_the_users_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from facekp.data.datamodule import default_cache_dir

    monkeypatch.setitem(os.environ, "FACEKP_CACHE_DIR", str(tmp_path))
    assert default_cache_dir() == tmp_path


def module(data_dir: Path, **settings: Any) -> IBUGDataModule:
    return IBUGDataModule(data_dir=data_dir, input_size=(32, 32), **settings)


def test_broken_entries_stop_or_are_skipped(hurt: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"labels_ibug_300W_train\.xml:\d+: "):
        module(hurt).setup()
    skipping = module(hurt, on_error="skip", cache_dir=tmp_path / "cache")
    skipping.setup()
    whole = sum(len(records) for records in skipping.splits.values())
    assert skipping.problems is not None
    assert [p.problem.split(":")[-1][:9] for p in skipping.problems] == [
        " part 68,", "the image", "the image"
    ]  # fmt: skip
    assert whole == 48 - 3
    assert len(skipping.dataset("train").__getitems__([(0, 0)])["image"]) == 1
    # The second time the images need not be read.
    again = module(hurt, on_error="skip", cache_dir=tmp_path / "cache")
    again.setup()
    assert [str(p) for p in again.problems or []] == [str(p) for p in skipping.problems]
    with pytest.raises(ConfigError, match="on_error=ignore: choose stop or skip"):
        module(hurt, on_error="ignore")


def test_more_workers_than_cores_are_named(
    imm_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    module = IMMDataModule(data_dir=imm_data, input_size=(16, 16), num_workers=64, cache="memory")
    module.setup()
    with caplog.at_level(logging.WARNING, logger="facekp"):
        module.train_dataloader()
    assert "dataset.num_workers=64: more than the" in caplog.text
