"""iBUG: both protocols, photos and twins that stay together."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from facekp.core.errors import ConfigError, DataError
from facekp.core.geometry import denormalize_points
from facekp.data.ibug import IBUGDataModule, is_twin, photo_of, picture_of, read_ibug
from tests.helpers import ibug, write_xml


def test_names_that_show_one_photo() -> None:
    assert photo_of("afw/18489332_10.jpg") == photo_of("afw/18489332_1_mirror.jpg") == "18489332"
    assert photo_of("helen/trainset/123_1.jpg") == photo_of("helen/testset/123_2.jpg")
    assert photo_of("lfpw/trainset/image_0001.png") != photo_of("lfpw/testset/image_0001.png")
    assert photo_of("lfpw/trainset/image_0001.png") == photo_of(
        "lfpw/trainset/image_0001_mirror.jpg"
    )
    assert photo_of("ibug/image_003_1.jpg") != photo_of("ibug/image_004_1.jpg")
    # LFPW has one picture under several names
    copies = {picture_of(f"lfpw/trainset/image_{number}.png") for number in ("0601", "0622_mirror")}
    assert len(copies) == 1
    assert picture_of("lfpw/testset/image_0601.png") == photo_of("lfpw/testset/image_0601.png")
    assert is_twin("afw/1_1_mirror.jpg")
    assert not is_twin("afw/mirror_1.jpg")


def test_dlib_protocol_keeps_photos_together(ibug_data: Path) -> None:
    module = ibug(ibug_data)
    train, val = ({photo_of(r.name) for r in module.splits[s]} for s in ("train", "val"))
    assert not train & val
    assert [len(module.splits[s]) for s in ("train", "val", "predict")] == [34, 8, 6]
    again = ibug(ibug_data)
    assert [r.name for r in module.splits["val"]] == [r.name for r in again.splits["val"]]
    other = ibug(ibug_data, split_seed=1)
    assert [r.name for r in module.splits["val"]] != [r.name for r in other.splits["val"]]


def test_folds_keep_photos_together_and_hold_out_each_face_once(ibug_data: Path) -> None:
    whole = ibug(ibug_data).splits
    names = sorted(record.name for split in ("train", "val") for record in whole[split])
    folds = [ibug(ibug_data, fold=f"{k}/3").splits for k in (1, 2, 3)]
    assert sorted(record.name for splits in folds for record in splits["val"]) == names
    for splits in folds:
        train, val = ({photo_of(r.name) for r in splits[s]} for s in ("train", "val"))
        assert not train & val
        assert len(splits["val"]) == 14
        assert [r.name for r in splits["predict"]] == [r.name for r in whole["predict"]]


def test_300w_protocol_goes_by_folder_without_twins(ibug_data: Path) -> None:
    module = ibug(ibug_data, split="300w")
    subsets = {split: {r.subset for r in records} for split, records in module.splits.items()}
    assert subsets["train"] | subsets["val"] <= {"afw", "helen/trainset", "lfpw/trainset"}
    assert subsets["test"] == {"helen/testset", "lfpw/testset", "ibug"}
    assert not any(is_twin(r.name) for records in module.splits.values() for r in records)
    assert sum(len(records) for records in module.splits.values()) == 24


def test_label_shift_is_removed_when_annotations_are_read(ibug_data: Path) -> None:
    """To the left, in mirrored twins to the right, on train and on val; not from boxes."""
    annotated, moved = ibug(ibug_data).splits, ibug(ibug_data, label_shift=0.01)
    for split in ("train", "val"):
        for before, after in zip(annotated[split], moved.splits[split], strict=True):
            assert before.name == after.name
            width = before.bbox[2] - before.bbox[0]
            left = -0.01 * width if not is_twin(before.name) else 0.01 * width
            expected = before.keypoints + (left, 0)
            np.testing.assert_allclose(after.keypoints, expected, atol=1e-9)
            np.testing.assert_array_equal(before.bbox, after.bbox)
    assert {is_twin(record.name) for record in moved.splits["train"]} == {False, True}
    assert "moved by -1.00% of the box's width" in moved.summary()
    assert "moved by -1.00%" in moved.comparison_note
    assert "moved" not in ibug(ibug_data).comparison_note
    assert ibug(ibug_data, split="300w").comparison_note == ""
    for wrong in (1.0, float("nan"), "0.01", None):
        with pytest.raises(ConfigError, match=r"dataset\.label_shift"):
            ibug(ibug_data, label_shift=wrong)


def test_test_half_without_points(ibug_data: Path, tmp_path: Path) -> None:
    name = IBUGDataModule.info.folder_name
    shutil.copytree(ibug_data / name, tmp_path / name)
    (tmp_path / name / "labels_ibug_300W_test.xml").unlink()
    module = ibug(tmp_path)
    assert len(module.splits["predict"]) == 6
    assert "keypoints" not in module.dataset("predict").__getitems__([(0, 0)])
    protocol = ibug(tmp_path, split="300w")
    assert protocol.unlabelled == 3
    assert "3 entries have no points" in protocol.summary()


def test_real_ibug_protocols(real_data: Path) -> None:
    dlib, protocol = ibug(real_data), ibug(real_data, split="300w")
    assert len(dlib.splits["train"]) + len(dlib.splits["val"]) == 2208
    assert len(dlib.splits["val"]) == pytest.approx(442, abs=2)
    assert len(dlib.splits["predict"]) == 716
    assert len(protocol.splits["train"]) + len(protocol.splits["val"]) == 1730
    assert len(protocol.splits["test"]) == 478
    for module in (dlib, protocol):
        groups = [{r.group for r in module.splits[s]} for s in ("train", "val")]
        assert not groups[0] & groups[1]


def test_real_blob_on_an_eye(real_data: Path) -> None:
    """The pupil region between the lids is darker than the cheek: points and pixels agree."""
    dataset = ibug(real_data, square=True).dataset("val")
    darker = 0
    for index in range(60):
        batch = dataset.__getitems__([(0, index)])
        points = denormalize_points(batch["keypoints"][0].double().numpy(), (96, 96))
        image = batch["image"][0, 0].numpy().astype(float)

        def around(x: float, y: float, image: np.ndarray = image) -> float:
            row, column = round(np.clip(y, 1, 94)), round(np.clip(x, 1, 94))
            return image[row - 1 : row + 2, column - 1 : column + 2].mean()

        for lid in ((37, 38, 40, 41), (43, 44, 46, 47)):
            eye = points[list(lid)].mean(axis=0)
            cheek = (points[lid[3]] + points[30]) / 2 + (0, 6)
            darker += around(*eye) < around(*cheek)
    assert darker > 100  # of 120


def test_missing_image_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.xml:6: the image afw/a_1\.jpg is missing"):
        read_ibug(write_xml(tmp_path))
