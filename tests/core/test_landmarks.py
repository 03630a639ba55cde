"""Landmark schemes: consistent, and stored whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facekp.core.errors import ConfigError, DataError
from facekp.core.landmarks import (
    IBUG68,
    IMM58,
    LandmarkScheme,
    Normalizer,
    bundled_schemes,
    find_scheme,
    flip_pairs_by_name,
    read_scheme,
)


@pytest.mark.parametrize("scheme", [IMM58, IBUG68], ids=lambda s: s.name)
def test_scheme_is_consistent(scheme: LandmarkScheme) -> None:
    np.testing.assert_array_equal(scheme.flip_indices[scheme.flip_indices], np.arange(scheme.count))
    assert sorted(sum(scheme.parts.values(), ())) == list(range(scheme.count))
    assert sorted(sum(scheme.regions.values(), ())) == list(range(scheme.count))
    assert set(scheme.regions) == {"jaw", "brows", "eyes", "nose", "mouth"}
    (right,), (left,) = scheme.normalizer.first, scheme.normalizer.second
    assert scheme.flip_indices[right] == left
    nose = 52 if scheme is IMM58 else 30
    assert scheme.flip_indices[nose] == nose


@pytest.mark.parametrize("scheme", bundled_schemes().values(), ids=bundled_schemes())
def test_every_bundled_scheme_mirrors(scheme: LandmarkScheme) -> None:
    """Flip pairs are an involution, on the names too, and survive a checkpoint."""
    assert scheme.flip_pairs
    np.testing.assert_array_equal(scheme.flip_indices[scheme.flip_indices], np.arange(scheme.count))
    if not scheme.point_names[0].isdecimal():
        assert sorted(map(sorted, scheme.flip_pairs)) == sorted(
            map(sorted, flip_pairs_by_name(scheme.point_names) or ())
        )
    copy = LandmarkScheme.from_dict(scheme.to_dict())
    assert copy == scheme
    assert {scheme.flip_indices[p] for p in scheme.normalizer.first} == set(
        scheme.normalizer.second
    )


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["leftEye", "rightEye", "nose"], {(0, 1)}),
        (["eye_l", "eye_r", "ear_r", "ear_l"], {(0, 1), (3, 2)}),
        (["a", "b"], None),
        (["lip", "rim"], None),
        (
            ["left_ear", "right_ear", "l_eye", "r_eye", "lefteyebrow", "righteyebrow"],
            {(0, 1), (2, 3), (4, 5)},
        ),
        (["left_lip", "right_lip", "lip_u", "lip_l"], {(0, 1)}),
        (["left_eye_l", "left_eye_r", "right_eye_l", "right_eye_r"], {(0, 2), (1, 3)}),
    ],
)
def test_flip_pairs_are_read_off_names(names: list[str], pairs: set | None) -> None:
    found = flip_pairs_by_name(names)
    assert (None if found is None else set(found)) == pairs


def test_a_side_without_counterpart_is_named() -> None:
    with pytest.raises(ValueError, match="no counterpart on the other side"):
        flip_pairs_by_name(["left_eye", "right_ear"])


def test_a_scheme_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "paw.yaml"
    path.write_text("names: [wrist, left_toe, right_toe]\nflip_pairs: [[left_toe, right_toe]]\n")
    paw = find_scheme(path)
    assert (paw.name, paw.count, paw.flip_pairs) == ("paw", 3, ((1, 2),))
    assert paw.normalizer.name == "box"
    path.write_text(paw.to_yaml())
    assert find_scheme(path) == paw
    for text, message in (
        ("names: [a, a]", "points with the same name: a"),
        ("names: [a, b]\nflip_pairs: [[a, c]]", "there is no point c"),
        ("flip_pairs: []", "a scheme of 0 points"),
        ("count: 3\nnormalizer: eyes", "normalizer eyes: give two sets of points"),
        ("[1, 2]", "not a landmark scheme"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            find_scheme(path)
    with pytest.raises(ConfigError, match="no such file; give a YAML file, or one of"):
        find_scheme("no_such_scheme")


def test_normalizers_by_hand() -> None:
    face = np.array([[0.0, 0], [3, 4], [3, 4]])
    box = np.array([0.0, 0, 3, 12])
    for normalizer, value in (
        (Normalizer("pupils", (0,), (1, 2)), 5),
        (Normalizer("box"), 6),
        (Normalizer("box_diagonal"), 153**0.5),
        (Normalizer("image"), 20),
    ):
        assert normalizer.value(face, box, (10, 40)) == pytest.approx(value)
    face[1] = np.nan
    assert np.isnan(Normalizer("pupils", (0,), (1, 2)).value(face, box, (10, 40)))


def test_ends_that_coincide_normalise_nothing() -> None:
    eyes = Normalizer("eye_distance", (0,), (1,))
    assert np.isnan(eyes.value(np.ones((2, 2)), np.array([0, 0, 9, 9.0]), (10, 10)))


def test_a_part_and_the_normalizer_of_one_name_are_refused_in_a_file(tmp_path: Path) -> None:
    parts = {"left_eye": (0,), "right_eye": (1,)}  # together: eyes
    scheme = LandmarkScheme("x", ("a", "b"), parts, normalizer=Normalizer("eyes", (0,), (1,)))
    (tmp_path / "x.yaml").write_text(scheme.to_yaml())
    with pytest.raises(DataError, match="the part or normalizer eyes: give it another name"):
        read_scheme(tmp_path / "x.yaml")
    # An earlier checkpoint may hold such a scheme.
    assert LandmarkScheme.from_dict(scheme.to_dict()) == scheme


def test_names_that_no_file_can_have_are_refused() -> None:
    with pytest.raises(ValueError, match="use letters, digits"):
        LandmarkScheme("../x", ("a",))
    with pytest.raises(ValueError, match="use letters, digits"):
        LandmarkScheme("x", ("a", "b"), normalizer=Normalizer("../x", (0,), (1,)))


def test_a_range_counts_upwards() -> None:
    content = {"name": "x", "names": list("abcde"), "parts": {"jaw": "3-1"}}
    with pytest.raises(ValueError, match="the range 3-1 is empty"):
        LandmarkScheme.from_dict(content)


def test_unknown_entries_of_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("names: [a, b]\nnormaliser: image\n")
    with pytest.raises(DataError, match="unknown entry normaliser: choose from name, names, count"):
        read_scheme(tmp_path / "a.yaml")


def test_flip_pairs_without_separators() -> None:
    assert flip_pairs_by_name(["lefteye", "nose", "righteye", "cleft"]) == ((0, 2),)


def test_a_subset_keeps_what_remains() -> None:
    eyes = IBUG68.subset(range(36, 48))
    assert eyes.point_names == tuple(map(str, range(36, 48)))
    assert eyes.flip_pairs is not None
    assert (0, 9) in eyes.flip_pairs
    assert eyes.normalizer.name == "interocular"
    assert set(eyes.parts) == {"left_eye", "right_eye"}
    assert IBUG68.subset([0, 1]).flip_pairs is None
    assert IBUG68.subset([0, 16]).normalizer.name == "box"
    assert IBUG68.subset(range(68)) is IBUG68
