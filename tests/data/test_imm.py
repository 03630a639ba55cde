"""IMM: split by person, complete, and errors of single files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from facekp.core.errors import ConfigError, DataError
from facekp.data.formats.asf import write_asf
from facekp.data.imm import IMMDataModule, read_imm
from tests.helpers import PATHS, POINTS58, imm


def test_imm_is_split_by_person(imm_data: Path) -> None:
    module = imm(imm_data)
    train, val = ({r.group for r in module.splits[s]} for s in ("train", "val"))
    assert (train, val) == ({"01", "02", "03"}, {"33"})
    assert len(module.splits["train"]) == 18
    assert "18 faces of 3 people train, 6 faces of 1 people validate" in module.summary()


def test_real_imm_is_complete(real_data: Path) -> None:
    from facekp.data.download import verify_imm

    folder = real_data / "imm_face_db"
    verify_imm(folder)
    records = read_imm(folder)
    assert len(records) == 240
    module = imm(real_data)
    assert [len(module.splits[s]) for s in ("train", "val")] == [192, 48]
    # the first person's nose, 0.49070060 of 640 and 0.63137436 of 480
    np.testing.assert_allclose(records[0].keypoints[52], [314.048384, 303.0596928])
    points = np.stack([r.keypoints for r in records])
    assert points.min() > 0
    assert (points < (640, 480)).all()


def test_imm_folder_with_a_missing_or_broken_image(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \.asf file"):
        read_imm(tmp_path)
    write_asf(tmp_path / "01-1m.asf", POINTS58, (48, 64), "01-1m.jpg", PATHS)
    with pytest.raises(DataError, match=r"01-1m\.jpg: no such image"):
        read_imm(tmp_path)
    (tmp_path / "01-1m.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"01-1m\.jpg: not a readable image"):
        read_imm(tmp_path)


def test_imm_without_its_images(imm_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "imm_face_db"
    shutil.copytree(imm_data / "imm_face_db", folder)
    for image in folder.glob("02-*.jpg"):
        image.unlink()
    datamodule = IMMDataModule(data_dir=tmp_path, input_size=(32, 32), on_error="skip", cache="off")
    datamodule.setup()
    assert [len(records) for records in datamodule.splits.values()] == [12, 6]


def test_folds_hold_out_every_person_once(imm_data: Path) -> None:
    folds = [imm(imm_data, fold=f"{k}/4").splits for k in (1, 2, 3, 4)]
    held = [{record.group for record in splits["val"]} for splits in folds]
    assert sorted(person for people in held for person in people) == ["01", "02", "03", "33"]
    for splits, people in zip(folds, held, strict=True):
        assert {record.group for record in splits["train"]} == {"01", "02", "03", "33"} - people
    with pytest.raises(ConfigError, match="fold=1/5: there are only 4 groups"):
        imm(imm_data, fold="1/5")
    with pytest.raises(ConfigError, match="fold=5/4: give K/N"):
        imm(imm_data, fold="5/4")
