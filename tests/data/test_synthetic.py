"""Drawn faces: reproducible, and their points are exact."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facekp.core.landmarks import IBUG68, IMM58
from facekp.data.formats.asf import read_asf
from facekp.data.formats.dlib_xml import read_dlib_xml
from facekp.data.ibug import IBUGDataModule
from facekp.data.imm import IMMDataModule
from facekp.data.synthetic import (
    SyntheticIBUGDataModule,
    SyntheticIMMDataModule,
    draw_ibug_face,
    draw_imm_face,
)


@pytest.mark.parametrize("draw", [lambda: draw_imm_face(5, 1, 0), lambda: draw_ibug_face(3, 0)[:2]])
def test_drawn_face_is_symmetric_under_partners(draw: Callable) -> None:
    _, points = draw()
    scheme = IMM58 if len(points) == 58 else IBUG68
    (right,), (left,) = scheme.normalizer.first, scheme.normalizer.second
    assert points[right, 0] < points[left, 0]
    mirrored = points[scheme.flip_indices] * (-1, 1)
    fit = np.linalg.lstsq(np.column_stack([mirrored, np.ones(len(points))]), points, rcond=None)[0]
    residual = points - np.column_stack([mirrored, np.ones(len(points))]) @ fit
    assert np.abs(residual).mean() < 0.08 * scheme.normalizer.distance(points)


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
