"""Flip pairs read off the mean shape, and declared ones checked by it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from facekp.core.alignment import mean_shape, procrustes_align
from facekp.core.landmarks import LandmarkScheme, bundled_schemes
from facekp.data.drawing.face3d import Camera, make_face
from facekp.data.flip_pairs import contradicted_pairs, proposed_flip_pairs


def shapes(scheme: str, count: int = 30) -> np.ndarray:
    """Drawn faces of different people, turned a little."""
    found = []
    for number in range(count):
        rng = np.random.default_rng(number)
        camera = Camera(
            yaw=rng.normal(0, 12), pitch=rng.normal(0, 6), roll=rng.normal(0, 5),
            centre=rng.uniform(50, 90, 2), scale=rng.uniform(60, 90),
        )  # fmt: skip
        face = make_face(rng, rng)
        found.append(camera.project(face.ibug68() if scheme == "ibug68" else face.imm58()))
    return np.array(found)


@pytest.mark.parametrize("name", ["ibug68", "imm58"])
def test_pairs_of_known_schemes_are_read_off_the_data(name: str) -> None:
    proposed = proposed_flip_pairs(mean_shape(shapes(name)))
    assert {tuple(sorted(pair)) for pair in proposed} == {
        tuple(sorted(pair)) for pair in bundled_schemes()[name].flip_pairs or ()
    }


def test_missing_points_do_not_matter() -> None:
    faces = shapes("ibug68")
    faces[np.random.default_rng(0).random(faces.shape[:2]) < 0.3] = np.nan
    scheme = bundled_schemes()["ibug68"]
    assert set(proposed_flip_pairs(mean_shape(faces))) == set(scheme.flip_pairs or ())
    assert contradicted_pairs(mean_shape(faces), scheme) == []


def test_a_wrong_declaration_is_contradicted() -> None:
    scheme, mean = bundled_schemes()["ibug68"], mean_shape(shapes("ibug68"))
    pairs = [pair for pair in scheme.flip_pairs or () if pair not in ((36, 45), (39, 42))]
    wrong = replace(scheme, flip_pairs=(*pairs, (36, 39), (42, 45)))
    assert contradicted_pairs(mean, scheme) == []
    assert contradicted_pairs(mean, wrong)[0] == (
        "36 and 39 are declared a flip pair; mirrored, 39 lies at 42"
    )
    identity = replace(scheme, flip_pairs=())
    assert len(contradicted_pairs(mean, identity)) > 30


def test_one_and_two_points_have_nothing_to_compare() -> None:
    assert contradicted_pairs(np.zeros((1, 2)), LandmarkScheme("one", ("a",), flip_pairs=())) == []


def test_alignment_ignores_missing_points() -> None:
    rng = np.random.default_rng(1)
    mean = rng.normal(size=(9, 2))
    turned = mean @ np.array([[0, 2], [-2, 0]]) + (5, -3)
    turned[4] = np.nan
    (aligned,), (matrix,) = procrustes_align(turned[None], mean)
    present = np.arange(9) != 4
    np.testing.assert_allclose(aligned[present], mean[present], atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(matrix[:, :2]), 0.25)
