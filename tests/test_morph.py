"""Morphs: no cracks, no folds, points where they belong; films and means of photos."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facekp.core.errors import ConfigError, DataError
from facekp.core.geometry import transform_points
from facekp.core.image import read_image
from facekp.core.landmarks import IBUG68
from facekp.data.synthetic import draw_ibug_face
from facekp.inference.detectors import WholeImage
from facekp.inference.predictor import Predictor
from facekp.tasks.morph import ORDERS, MorphSettings, morph
from facekp.visualization.morph import (
    AlignedPhoto,
    Mesh,
    Morph,
    align_photo,
    alignment_transform,
    mean_face,
    triangulate,
    zoom_to_fill,
)
from facekp.visualization.video import VideoWriter

SIZE = (160, 200)


def shape_of(number: int) -> np.ndarray:
    """Points of a drawn face, in a frame."""
    _, points, _ = draw_ibug_face(number, 0)
    return transform_points(alignment_transform(points, IBUG68, SIZE), points)


def on_frame(image: np.ndarray, shape: np.ndarray) -> AlignedPhoto:
    """A photo that the frame fills."""
    return AlignedPhoto(image, shape, np.eye(2, 3))


def checkerboard() -> np.ndarray:
    rows, columns = np.indices(SIZE)
    board = ((rows // 8 + columns // 8) % 2 * 255).astype(np.uint8)
    return np.repeat(board[..., None], 3, axis=2)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_a_face_that_becomes_itself_does_not_change(share: float) -> None:
    board = on_frame(checkerboard(), shape_of(1))
    frame = Morph(board, board, SIZE).frame(share)
    assert np.abs(frame.astype(int) - board.image).max() <= 1


def test_halfway_is_the_same_from_both_ends() -> None:
    rng = np.random.default_rng(0)
    first, second = (
        on_frame(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8), shape_of(n)) for n in (1, 2)
    )
    there, back = Morph(first, second, SIZE).frame(0.5), Morph(second, first, SIZE).frame(0.5)
    assert np.abs(there.astype(int) - back).max() <= 1
    shape = (first.shape + second.shape) / 2
    mean = mean_face([first, second], shape, SIZE)
    assert np.abs(there.astype(int) - mean).mean() < 2


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_points_are_carried_to_their_place(share: float) -> None:
    first, second = shape_of(3), shape_of(4)
    way = Morph(on_frame(checkerboard(), first), on_frame(checkerboard(), second), SIZE)
    target = way.shape(share)
    assert len(way.mesh.used) > 60
    rows, columns = np.indices(SIZE)
    for point in way.mesh.used[::6]:
        offset = np.stack([columns, rows], axis=-1) - first[point]
        blob = 255 * np.exp(-(offset**2).sum(axis=-1) / 8)
        photo = on_frame(np.repeat(blob[..., None], 3, axis=2).astype(np.uint8), first)
        frame = way.mesh.warp(photo, target, way.mesh.labels(target))[..., 0].astype(float)
        peak = np.unravel_index(frame.argmax(), SIZE)[::-1]
        assert np.abs(peak - target[point]).max() <= 1


def test_no_cracks_between_triangles() -> None:
    # A smooth picture stays smooth: a crack would be a jump.
    ramp = np.repeat(np.arange(SIZE[1], dtype=np.uint8)[None, :, None], SIZE[0], axis=0)
    ramp = np.repeat(ramp, 3, axis=2)
    way = Morph(on_frame(ramp, shape_of(5)), on_frame(ramp, shape_of(6)), SIZE)
    for share in (0.2, 0.5, 0.8):
        frame = way.frame(share)[..., 0].astype(int)
        assert np.abs(np.diff(frame, axis=0)).max() <= 6
        assert np.diff(frame, axis=1).min() >= -1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 500), st.integers(0, 500), st.floats(0, 12))
def test_no_triangle_turns_over(first: int, second: int, noise: float) -> None:
    rng = np.random.default_rng(first)
    ends = [shape_of(n) + rng.normal(0, noise, (68, 2)) for n in (first, second)]
    mesh = Mesh(ends[0], ends[1], SIZE)
    for share in np.linspace(0, 1, 21):
        shape = (1 - share) * ends[0] + share * ends[1]
        corners = np.concatenate([shape[mesh.used], mesh.border])[mesh.triangles]
        a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        areas = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2
        assert areas.min() > 0
        assert areas.sum() == pytest.approx(SIZE[0] * SIZE[1])


def test_a_face_out_of_the_frame_is_left_to_the_border() -> None:
    far = shape_of(1) + 1000
    used, triangles = triangulate(far, far, SIZE)
    assert len(used) == 0
    assert len(triangles) > 2


def test_eyes_are_level_and_in_their_place() -> None:
    picture, points, _ = draw_ibug_face(7, 0)
    turned = align_photo(picture, points, alignment_transform(points, IBUG68, SIZE, zoom=0.5), SIZE)
    right, left = turned.shape[36], turned.shape[45]
    np.testing.assert_allclose(left - right, [0.125 * min(SIZE), 0], atol=1e-6)
    back = transform_points(turned.from_frame, turned.shape)
    assert back.min() > 0
    assert (back.max(axis=0) < turned.image.shape[1::-1]).all()


def test_zoom_fills_the_frame_and_no_more() -> None:
    picture, points, _ = draw_ibug_face(7, 0)
    zoom = zoom_to_fill(points, IBUG68, SIZE, picture.shape[:2])
    for factor, fills in ((1.01, True), (0.99, False)):
        to_frame = alignment_transform(points, IBUG68, SIZE, zoom * factor)
        white = np.full_like(picture, 255)
        frame = cv2.warpAffine(white, to_frame, SIZE[::-1], flags=cv2.INTER_NEAREST)
        assert (frame.min() == 255) == fills
    assert zoom_to_fill(points - 1000, IBUG68, SIZE, picture.shape[:2]) == np.inf


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
        look: dict[str, Any] = dict(
            size=[120, 160], zoom=1.0, fps=10, seconds=0.4, hold=0.2, easing="smooth",
            midway=False, mean=False,
        )  # fmt: skip
        look |= {key: changes.pop(key) for key in list(changes) if key in look}
        given: dict[str, Any] = dict(
            input=str(album), points=str(album / "points.csv"), face="largest", order="name",
            output=str(tmp_path / name),
        )  # fmt: skip
        predictor = Predictor.load(checkpoints["ibug"], WholeImage)
        return morph(predictor, settings=MorphSettings(**look), **given | changes)

    return _make


def frames(path: Path) -> np.ndarray:
    reader = cv2.VideoCapture(str(path))
    found = []
    while (read := reader.read())[0]:
        found.append(read[1][..., ::-1])
    return np.stack(found)


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


def test_a_film_of_odd_size(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(33, dtype=np.uint8)[:, None] * 6, 65, axis=1)
    with VideoWriter(tmp_path / "x.mp4", (33, 65), 25) as video:
        video.write(np.repeat(ramp[..., None], 3, axis=2))
    (frame,) = frames(tmp_path / "x.mp4")
    assert frame.shape == (34, 66, 3)
    assert np.abs(frame[:33, :65, 1].astype(int) - ramp).max() < 12


def test_a_film_that_fails_leaves_no_file(tmp_path: Path) -> None:
    video = VideoWriter(tmp_path / "x.mp4", (64, 64), 25)
    with pytest.raises(ValueError, match="ndim"), video:
        video.write(np.zeros((64, 64), np.uint8))
    assert not list(tmp_path.iterdir())
