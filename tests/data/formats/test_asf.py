"""IMM's .asf files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facekp.core.errors import DataError
from facekp.data.formats.asf import read_asf, write_asf
from tests.helpers import PATHS, POINTS58


def asf_text(tmp_path: Path) -> str:
    write_asf(tmp_path / "good.asf", POINTS58, (480, 640), "01-1m.jpg", PATHS)
    return (tmp_path / "good.asf").read_text()


def test_asf_ratio_is_the_pixel_over_the_width(tmp_path: Path) -> None:
    # the format note's own example: the 48th pixel, x = 47, of a 256 px wide image
    rows = "\n".join(f"0 0 0.18359375 0.5 {i} 0 0" for i in range(58))
    (tmp_path / "a.asf").write_text(f"# comment\n58\n{rows} # a comment\n\n01-1m.jpg\n")
    np.testing.assert_allclose(read_asf(tmp_path / "a.asf").keypoints((100, 256))[3], [47, 50])


def test_asf_round_trip(tmp_path: Path) -> None:
    asf_text(tmp_path)
    shape = read_asf(tmp_path / "good.asf")
    assert shape.image_name == "01-1m.jpg"
    np.testing.assert_allclose(shape.keypoints((480, 640)), POINTS58, atol=1e-4)


def test_asf_with_more_columns(tmp_path: Path) -> None:
    rows = "\n".join(f"0 0 0.5 0.25 {i} 0 0 1.0 2.0 3.0" for i in range(58))
    (tmp_path / "a.asf").write_text(f"58\n{rows}\n01-1m.jpg\n")
    assert read_asf(tmp_path / "a.asf").ratios.shape == (58, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace("\n58\n", "\n57\n"), r"\.asf:2: 58 points expected"),
        (lambda t: "\n".join(t.split("\n")[:20]), "58 points and an image name expected, 17 rows"),
        (lambda t: t.replace("\t7 \t", "\tseven \t", 1), r"\.asf:11: not a point"),
        (lambda t: t.replace("\t7 \t", "\t9 \t", 1), r"\.asf:11: point 7 expected, found 9"),
        (lambda t: nan_in_line(t, 10), r"\.asf:10: point 6 is not finite"),
        (lambda t: nan_in_line(t, 10).replace("nan", "1e308"), "point 6 is far outside"),
        (lambda t: t + "#" * 1_000_000, "more than 1,000,000 bytes"),
        (
            lambda t: t.replace("01-1m.jpg", "../01-1m.jpg"),
            "must be a file name in the same folder",
        ),
        (lambda t: "", "no points"),
    ],
)
def test_broken_asf(tmp_path: Path, change: Callable[[str], str], message: str) -> None:
    (tmp_path / "bad.asf").write_text(change(asf_text(tmp_path)))
    with pytest.raises(DataError, match=message):
        read_asf(tmp_path / "bad.asf")


def nan_in_line(text: str, line: int) -> str:
    lines = text.split("\n")
    fields = lines[line - 1].split()
    lines[line - 1] = " ".join([*fields[:2], "nan", *fields[3:]])
    return "\n".join(lines)


def test_missing_asf() -> None:
    with pytest.raises(DataError, match=r"nowhere\.asf: cannot be read"):
        read_asf("nowhere.asf")
