""".pts files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facekp.core.errors import ConfigError, DataError
from facekp.data.formats.pts import read_pts, write_pts
from tests.data.formats.helpers import faces, image, read, round_trip
from tests.helpers import POINTS68


def test_pts_counts_from_one(tmp_path: Path) -> None:
    rows = "\n".join("1.0 2.5" for _ in range(68))
    (tmp_path / "a.pts").write_text(f"version: 1\nn_points:  68\n{{\n{rows}\n}}\n")
    np.testing.assert_allclose(read_pts(tmp_path / "a.pts")[0], [0.0, 1.5])


def test_pts_round_trip(tmp_path: Path) -> None:
    write_pts(tmp_path / "a.pts", POINTS68)
    np.testing.assert_allclose(read_pts(tmp_path / "a.pts"), POINTS68, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace("68", "5"), r"a\.pts:2: 68 points expected, stated '5'"),
        (lambda t: t.replace("}", ""), "braces missing"),
        (lambda t: t.replace("{\n", "{\n1 2\n"), "68 points expected, 69 found"),
        (
            lambda t: t.replace("{\n", "{\ninf 2\n", 1).replace("\n}", "", 1) + "}",
            "expected, 69|not",
        ),
        (lambda t: t.replace(t.split("\n")[5], "1 2 3"), r"a\.pts:6: not a point"),
        (lambda t: t.replace(t.split("\n")[5], "1 nan"), r"a\.pts:6: point 2 is not finite"),
        (lambda t: "", "not a .pts file"),
    ],
)
def test_broken_pts(tmp_path: Path, change: Callable[[str], str], message: str) -> None:
    write_pts(tmp_path / "a.pts", POINTS68)
    (tmp_path / "a.pts").write_text(change((tmp_path / "a.pts").read_text()))
    with pytest.raises(DataError, match=message):
        read_pts(tmp_path / "a.pts")


def test_a_folder_of_files_beside_images(tmp_path: Path) -> None:
    content = round_trip("pts", tmp_path / "faces", faces(occluded=False, missing=False))
    assert [face.image for face in content.faces] == ["0", "1", "2", "3"]
    image(tmp_path / "faces/a/0.PNG")
    assert read(tmp_path / "faces").faces[0].image == tmp_path / "faces/a/0.PNG"


def test_files_of_different_sizes_are_named(tmp_path: Path) -> None:
    write_pts(tmp_path / "a.pts", POINTS68)
    write_pts(tmp_path / "b.pts", POINTS68[:5])
    with pytest.raises(DataError, match=r"b.pts:2: 68 points expected, stated '5'"):
        read(tmp_path)


def test_missing_points_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"format=pts: a/1.jpg: a face lacks points"):
        round_trip("pts", tmp_path / "faces", faces())


def test_a_folder_that_is_not_empty_is_not_written_into(tmp_path: Path) -> None:
    written = faces(occluded=False, missing=False)
    round_trip("pts", tmp_path / "faces", written)
    with pytest.raises(ConfigError, match=r"faces is not empty"):
        round_trip("pts", tmp_path / "faces", written)
