"""YOLO's pose data sets."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from facekp.core.errors import DataError
from facekp.data.annotation_scheme import scheme_of
from tests.data.formats.helpers import image, points_of, read

ROW = "0 0.5 0.5 0.5 0.4 0.25 0.5 2 0.5 0.25 1 0 0 0"


def write(folder: Path, row: str = ROW, **changes: object) -> Path:
    for split in ("train", "val"):
        image(folder / f"images/{split}/a.jpg")
        (folder / f"labels/{split}").mkdir(parents=True, exist_ok=True)
        (folder / f"labels/{split}/a.txt").write_text(row + "\n")
    content = {
        "path": ".", "train": "images/train", "val": "images/val", "kpt_shape": [3, 3],
        "flip_idx": [1, 0, 2], "names": {0: "face"},
    } | changes  # fmt: skip
    (folder / "data.yaml").write_text(yaml.safe_dump(content))
    return folder / "data.yaml"


def test_splits_points_and_flip_pairs(tmp_path: Path) -> None:
    train, val = (file := read(write(tmp_path))).faces
    np.testing.assert_allclose(points_of(file)[0], [[29.5, 49.5], [59.5, 24.5], [np.nan] * 2])
    assert train.bbox is not None
    np.testing.assert_allclose(train.bbox, [29.5, 29.5, 89.5, 69.5])
    assert train.occluded is not None
    assert train.occluded.tolist() == [False, True, False]
    assert [train.split, val.split] == ["train", "val"]
    assert train.image == tmp_path / "images/train/a.jpg"
    assert file.flip_pairs == ((0, 1),)


def test_folders_named_as_beside_a_former_place(tmp_path: Path) -> None:
    """Roboflow's exports name `../train/images` for a folder beside the YAML."""
    changes = {"path": None, "train": "../images/train", "val": "../images/val"}
    train, val = read(write(tmp_path / "export", **changes)).faces
    assert [train.split, val.split] == ["train", "val"]


def test_an_identity_flip_idx_is_taken_as_unknown(tmp_path: Path) -> None:
    assert read(write(tmp_path, flip_idx=[0, 1, 2])).flip_pairs is None


def test_points_without_visibility(tmp_path: Path) -> None:
    row = "0 0.5 0.5 0.5 0.4 0.25 0.5 0.5 0.25 -1 -1"
    file = read(write(tmp_path, row, kpt_shape=[3, 2]))
    assert np.isnan(points_of(file)[0]).all(axis=1).tolist() == [False, False, True]


BROKEN = [
    (ROW + " 1", {}, "labels/train/a.txt:1: 15 numbers, 14 expected"),
    (ROW.replace("0.25", "x"), {}, "labels/train/a.txt:1: could not convert"),
    ("7" + ROW[1:], {}, "labels/train/a.txt:1: class 7 is not among names"),
    (ROW, {"flip_idx": [1, 2, 0]}, "does not exchange 3 points in pairs"),
    (ROW, {"kpt_shape": [0, 3]}, "kpt_shape [0, 3]"),
    (ROW, {"train": "nowhere"}, "train: nowhere is not there"),
    (ROW, {"kpt_names": {0: ["a"]}}, "kpt_names has not 3 names"),
]


@pytest.mark.parametrize(("row", "changes", "message"), BROKEN)
def test_broken_files_say_where(tmp_path: Path, row: str, changes: dict, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        read(write(tmp_path, row, **changes))


def test_a_class_without_faces(tmp_path: Path) -> None:
    file = write(tmp_path, names={0: "face", 1: "dog"})
    assert not read(file, category="dog").faces


def test_flip_pairs_are_of_the_names_in_any_order(tmp_path: Path) -> None:
    names = {0: ["kp3", "kp1", "kp2"]}
    file = read(write(tmp_path, kpt_names=names))
    scheme, _ = scheme_of([(tmp_path / "data.yaml", file)], None)
    pairs = {frozenset(scheme.point_names[at] for at in pair) for pair in scheme.flip_pairs or ()}
    assert pairs == {frozenset({"kp3", "kp1"})}
