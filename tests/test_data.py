"""Data modules: splits that cannot leak, both protocols, the cache, drawn faces."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from facekp.core.errors import ConfigError, DataError
from facekp.core.geometry import denormalize_points
from facekp.core.landmarks import IBUG68, IMM58, LandmarkScheme
from facekp.data.augmentation import Augmentation
from facekp.data.formats.asf import read_asf
from facekp.data.formats.dlib_xml import read_dlib_xml
from facekp.data.ibug import IBUGDataModule, is_twin, photo_of, picture_of
from facekp.data.imm import IMMDataModule, read_imm
from facekp.data.loader import EpochSampler
from facekp.data.synthetic import (
    SyntheticIBUGDataModule,
    SyntheticIMMDataModule,
    draw_ibug_face,
    draw_imm_face,
)
from facekp.metrics import to_photo_pixels
from facekp.visualization.overlay import draw_points


def imm(folder: Path, **settings: Any) -> IMMDataModule:
    module = IMMDataModule(data_dir=folder, input_size=(60, 80), **settings)
    module.setup()
    return module


def ibug(folder: Path, **settings: Any) -> IBUGDataModule:
    module = IBUGDataModule(data_dir=folder, input_size=(96, 96), **settings)
    module.setup()
    return module


@pytest.mark.parametrize("scheme", [IMM58, IBUG68], ids=lambda s: s.name)
def test_scheme_is_consistent(scheme: LandmarkScheme) -> None:
    np.testing.assert_array_equal(scheme.flip_indices[scheme.flip_indices], np.arange(scheme.count))
    assert sorted(sum(scheme.parts.values(), ())) == list(range(scheme.count))
    assert sorted(sum(scheme.regions.values(), ())) == list(range(scheme.count))
    assert set(scheme.regions) == {"jaw", "brows", "eyes", "nose", "mouth"}
    right, left = scheme.outer_eye_corners
    assert scheme.flip_indices[right] == left
    assert scheme.flip_indices[scheme.nose] == scheme.nose


@pytest.mark.parametrize("draw", [lambda: draw_imm_face(5, 1, 0), lambda: draw_ibug_face(3, 0)[:2]])
def test_drawn_face_is_symmetric_under_partners(draw: Callable) -> None:
    _, points = draw()
    scheme = IMM58 if len(points) == 58 else IBUG68
    right, left = scheme.outer_eye_corners
    assert points[right, 0] < points[left, 0]
    mirrored = points[scheme.flip_indices] * (-1, 1)
    fit = np.linalg.lstsq(np.column_stack([mirrored, np.ones(len(points))]), points, rcond=None)[0]
    residual = points - np.column_stack([mirrored, np.ones(len(points))]) @ fit
    assert np.abs(residual).mean() < 0.08 * scheme.interocular_distance(points)


def test_imm_is_split_by_person(imm_data: Path) -> None:
    module = imm(imm_data)
    train, val = ({r.group for r in module.splits[s]} for s in ("train", "val"))
    assert (train, val) == ({"01", "02", "03"}, {"33"})
    assert len(module.splits["train"]) == 18
    assert "18 faces of 3 people train, 6 faces of 1 people validate" in module.summary()


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


def test_300w_protocol_goes_by_folder_without_twins(ibug_data: Path) -> None:
    module = ibug(ibug_data, split="300w")
    subsets = {split: {r.subset for r in records} for split, records in module.splits.items()}
    assert subsets["train"] | subsets["val"] <= {"afw", "helen/trainset", "lfpw/trainset"}
    assert subsets["test"] == {"helen/testset", "lfpw/testset", "ibug"}
    assert not any(is_twin(r.name) for records in module.splits.values() for r in records)
    assert sum(len(records) for records in module.splits.values()) == 24


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


@pytest.mark.parametrize("square", [False, True])
@pytest.mark.parametrize("box_scale", [0.6, 1.4])
def test_batch_brings_its_points_back_to_the_photo(
    ibug_data: Path, square: bool, box_scale: float
) -> None:
    module = ibug(ibug_data, square=square, box_scale=box_scale, channels=3)
    for split in ("train", "val"):
        dataset = module.dataset(split)
        batch = dataset.__getitems__([(0, i) for i in range(5)])
        assert batch["image"].shape == (5, 3, 96, 96)
        back = to_photo_pixels(batch["keypoints"].double(), batch["to_photo"].double(), (96, 96))
        for row in range(5):
            truth = dataset.records[row].keypoints
            np.testing.assert_allclose(back[row], truth, atol=2e-2)
            expected = np.linalg.norm(truth[36] - truth[45])
            assert batch["normalizer"][row].item() == pytest.approx(expected, rel=1e-5)


def test_chosen_points_come_out(imm_data: Path) -> None:
    nose = imm(imm_data, points=[52]).dataset("val").__getitems__([(0, 0)])
    every = imm(imm_data).dataset("val").__getitems__([(0, 0)])
    assert nose["keypoints"].shape == (1, 1, 2)
    torch.testing.assert_close(nose["keypoints"][:, 0], every["keypoints"][:, 52])
    assert nose["normalizer"] == every["normalizer"]


def test_points_land_on_the_same_spot_whatever_the_augmentation(ibug_data: Path) -> None:
    import albumentations as A

    plain = ibug(ibug_data).dataset("train")
    turn = Augmentation([A.HorizontalFlip(p=1), A.Affine(rotate=(20, 20), p=1)])
    turned = ibug(ibug_data, augmentation=turn).dataset("train")
    a, b = (dataset.__getitems__([(0, 3)]) for dataset in (plain, turned))
    maps = [batch["to_photo"].double() for batch in (a, b)]
    photo = [
        to_photo_pixels(x["keypoints"].double(), m, (96, 96))[0]
        for x, m in zip((a, b), maps, strict=True)
    ]
    # mirrored: each point is where its partner was
    np.testing.assert_allclose(photo[1], photo[0][IBUG68.flip_indices.copy()], atol=1e-2)


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


def test_drawn_sets_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    for build in (
        lambda cache, seed: SyntheticIMMDataModule(
            people=2, faces_seed=seed, val_people=[2], input_size=(60, 80), cache_dir=cache
        ),
        lambda cache, seed: SyntheticIBUGDataModule(
            count=16, faces_seed=seed, input_size=(64, 64), cache_dir=cache
        ),
    ):
        prints = []
        for cache, seed in (("a", 0), ("b", 0), ("c", 1)):
            module = build(tmp_path / cache, seed)
            module.prepare_data()
            module.setup()
            prints.append(module.fingerprint())
        assert prints[0] == prints[1] != prints[2]


def test_drawn_files_hold_the_exact_points(imm_data: Path, ibug_data: Path) -> None:
    _, points = draw_imm_face(1, 3, 0)
    path = next((imm_data / IMMDataModule.info.folder_name).glob("01-3*.asf"))
    np.testing.assert_allclose(read_asf(path).keypoints((480, 640)), points, atol=1e-4)
    folder = ibug_data / IBUGDataModule.info.folder_name
    face, twin = read_dlib_xml(folder / "labels_ibug_300W_train.xml")[:2]
    np.testing.assert_allclose(face.keypoints, draw_ibug_face(0, 0)[1], atol=1e-4)
    width = Image.open(folder / twin.file).width
    mirrored = (face.keypoints * (-1, 1) + (width - 1, 0))[IBUG68.flip_indices]
    np.testing.assert_allclose(twin.keypoints, mirrored, atol=1e-3)


def test_drawn_points_lie_on_what_they_name() -> None:
    for number in range(6):
        picture, points, _ = draw_ibug_face(number, 5)
        height, width = picture.shape[:2]
        lips, chin = points[[62, 66]].mean(axis=0), points[8]
        assert points[37, 1] < points[41, 1]  # upper lid above lower lid
        assert points[27, 1] < points[33, 1] < lips[1] < chin[1]
        assert (points[[30, 36, 45]] > 0).all()
        assert (points[[30, 36, 45]] < (width, height)).all()


def test_impossible_settings(imm_data: Path, ibug_data: Path) -> None:
    with pytest.raises(ConfigError, match="dlib or 300w"):
        ibug(ibug_data, split="300-W")
    with pytest.raises(ConfigError, match="val_fraction"):
        ibug(ibug_data, val_fraction=1.5)
    with pytest.raises(ConfigError, match="the val split has no faces; the people"):
        imm(imm_data, val_people=[99])


def test_drawing_puts_points_where_they_are() -> None:
    photo = np.zeros((100, 120, 3), np.uint8)
    for scale in (1.0, 3.0):
        drawn = draw_points(photo, np.array([[30.0, 70.0]]), (255, 0, 0), scale=scale)
        weight = drawn[..., 0] / drawn[..., 0].sum()
        ys, xs = np.mgrid[: weight.shape[0], : weight.shape[1]]
        centre = (np.array([(xs * weight).sum(), (ys * weight).sum()]) + 0.5) / scale - 0.5
        np.testing.assert_allclose(centre, [30, 70], atol=0.2)
    assert photo.max() == 0


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


def test_cache_folder_is_the_users_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from facekp.data.datamodule import default_cache_dir

    monkeypatch.setitem(os.environ, "FACEKP_CACHE_DIR", str(tmp_path))
    assert default_cache_dir() == tmp_path
