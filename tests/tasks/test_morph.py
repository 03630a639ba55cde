"""Morphing photos: videos and means."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from facekp.core.errors import ConfigError, DataError
from facekp.core.image import read_image
from facekp.core.landmarks import IBUG68
from facekp.data.synthetic import draw_ibug_face
from facekp.inference.detectors import WholeImage
from facekp.inference.predictor import Predictor
from facekp.tasks.morph import ORDERS, MorphSettings, morph
from facekp.visualization.morph import (
    alignment_transform,
)
from tests.helpers import frames


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three drawn faces, a landscape, and the points of the faces."""
    folder = tmp_path_factory.mktemp("album")
    rows = []
    for number in range(3):
        picture, points, box = draw_ibug_face(number, 0)
        cv2.imwrite(str(folder / f"{number}.png"), picture[..., ::-1])
        rows.append([f"{number}.png", *box, *points.ravel()])
    cv2.imwrite(str(folder / "landscape.png"), np.full((90, 120, 3), 90, np.uint8))
    names = [f"{axis}{point}" for point in range(68) for axis in "xy"]
    lines = [["file", "left", "top", "right", "bottom", *names], *rows]
    text = "\n".join(",".join(map(str, line)) for line in lines)
    (folder / "points.csv").write_text(text + "\n")
    return folder


@pytest.fixture
def make(album: Path, checkpoints: dict[str, Path], tmp_path: Path) -> Any:
    def _make(name: str, **changes: Any) -> Path:
        settings: dict[str, Any] = dict(
            size=[120, 160], zoom=1.0, fps=10, seconds=0.4, hold=0.2, easing="smooth",
            midway=False, mean=False,
        )  # fmt: skip
        settings |= {key: changes.pop(key) for key in list(changes) if key in settings}
        arguments: dict[str, Any] = dict(
            input=str(album), points=str(album / "points.csv"), face="largest", order="name",
            output=str(tmp_path / name),
        )  # fmt: skip
        predictor = Predictor.load(checkpoints["ibug"], WholeImage)
        return morph(predictor, settings=MorphSettings(**settings), **arguments | changes)

    return _make


@pytest.mark.parametrize("name", ["film.mp4", "film.gif"])
def test_a_film_of_a_folder(make: Any, album: Path, name: str, capsys: Any) -> None:
    path = make(name)
    film = frames(path)
    assert film.shape == (3 * 2 + 2 * 3, 120, 160, 3)
    assert "landscape.png is not in it" in capsys.readouterr().out.replace("\n", " ")
    # It begins with the first photo and ends with the last, and holds each.
    for at, file in ((0, "0.png"), (-1, "2.png")):
        _, points, _ = draw_ibug_face(int(file[0]), 0)
        to_frame = alignment_transform(points, IBUG68, (120, 160))
        still = cv2.warpAffine(
            read_image(album / file), to_frame, (160, 120), borderMode=cv2.BORDER_REPLICATE
        )
        assert np.abs(film[at].astype(int) - still).mean() < 6
    assert not list(path.parent.glob(".*"))


def test_the_mean_of_two_is_midway(make: Any, album: Path) -> None:
    two = [str(album / f"{n}.png") for n in (0, 1)]
    midway, mean = (
        read_image(make("m.png", input=two, **{k: True})).astype(int) for k in ("midway", "mean")
    )
    np.testing.assert_array_equal(midway, mean)
    film = frames(make("f.mp4", input=two, seconds=0.2, fps=10, hold=0.1, easing="linear"))
    assert np.abs(film[1].astype(int) - mean).mean() < 6


def test_a_folder_gets_a_file_of_the_tasks_own_name(make: Any, tmp_path: Path) -> None:
    assert make("out", mean=True) == tmp_path / "out/mean.png"


def test_a_photo_is_not_written_over(make: Any, album: Path) -> None:
    before = (album / "0.png").read_bytes()
    with pytest.raises(ConfigError, match=r"0\.png: this is one of the photos"):
        make("x", mean=True, output=str(album / "0.png"))
    assert (album / "0.png").read_bytes() == before


def test_names_are_sorted_as_people_do() -> None:
    names = ["10.jpg", "9.jpg", "a10b2.jpg", "A2.jpg", "a10b1.jpg"]
    found = [file.name for file in ORDERS["name"]([Path(name) for name in names])]
    assert found == ["9.jpg", "10.jpg", "A2.jpg", "a10b1.jpg", "a10b2.jpg"]


def test_photos_go_by_date(make: Any, album: Path, tmp_path: Path) -> None:
    shutil.copytree(album, tmp_path / "dated")
    for number, time in ((0, 3e8), (1, 2e8), (2, 1e8)):
        os.utime(tmp_path / f"dated/{number}.png", (time, time))
    film = frames(make("d.mp4", input=str(tmp_path / "dated"), order="date"))
    other = frames(make("n.mp4", input=[str(album / f"{n}.png") for n in (2, 1, 0)], order="given"))
    assert np.abs(film.astype(int) - other).mean() < 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"midway": True, "output": "x.png"}, "3 of 4 photos can be used: midway=true takes two"),
        ({"size": "big"}, r"size=big: give \[height,width\]"),
        ({"fps": 0}, "fps=0: give a number from 1 to 120"),
        ({"seconds": "x"}, "seconds=x: give a number from 0"),
        ({"midway": "no"}, "midway=no: give true or false"),
        ({"midway": True, "mean": True, "output": "x.png"}, "choose one"),
        ({"hold": -1}, "hold=-1"),
        ({"easing": "soft"}, "easing=soft: choose one of linear, smooth"),
        ({"order": "size"}, "order=size: choose one of name, date, given"),
        ({"face": "left"}, "face=left: choose one of largest, middle"),
        ({"output": "x.avi"}, r"x\.avi: give a file that ends in \.mp4 or \.gif, or a folder"),
    ],
)
def test_wrong_settings(make: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make("x.mp4", **changes)


def test_fewer_than_two_faces(make: Any, album: Path) -> None:
    with pytest.raises(ConfigError, match="1 of 2 photos can be used, two are needed"):
        make("x.mp4", input=[str(album / "0.png"), str(album / "landscape.png")])


def test_points_that_are_not_whole(make: Any, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("file,left,top,right,bottom,x0\na.png,0,0,1,1,5\n")
    with pytest.raises(DataError, match=r"p\.csv:1: columns missing: y0, x1, y1, x2, y2, \.\.\."):
        make("x.mp4", points=str(tmp_path / "p.csv"))
