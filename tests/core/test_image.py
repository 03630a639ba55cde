"""Reading images, and a blob that stays under its point in every warp."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facekp.core.errors import DataError
from facekp.core.geometry import (
    crop_transform,
    image_box,
    transform_points,
)
from facekp.core.image import (
    count_pages,
    image_size,
    read_image,
    to_channels,
    warp,
)
from tests.helpers import blobs, centre_of


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "I;16", "1", "F"])
def test_every_mode_is_read_as_rgb(tmp_path: Path, mode: str) -> None:
    ramp = np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (48, 1))
    deep = Image.fromarray(ramp.astype(np.uint16) * 257)
    image = deep if mode == "I;16" else Image.fromarray(ramp).convert(mode)
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.tif")
    image.save(path)
    read = read_image(path)
    assert read.shape == (48, 64, 3)
    assert read.dtype == np.uint8
    if mode != "1":
        np.testing.assert_allclose(read[20, :, 1].astype(int), ramp[20], atol=8)


def test_exif_turns_photos_but_not_data(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == (48, 64, 3)
    assert read_image(tmp_path / "a.jpg", upright=True).shape == (64, 48, 3)
    assert image_size(tmp_path / "a.jpg") == (48, 64)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_as_stored_or_upright_as_any_other_file(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.random.default_rng(0).integers(0, 256, (5, 9, 3), dtype=np.uint8)
    for name in ("a.tif", "a.png"):
        Image.fromarray(pixels).save(tmp_path / name, exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), pixels)
    for upright in (False, True):
        tiff, png = (read_image(tmp_path / f"a.{s}", upright=upright) for s in ("tif", "png"))
        np.testing.assert_array_equal(tiff, png)
        assert image_size(tmp_path / "a.tif", upright=upright) == tiff.shape[:2]


def test_a_tiff_may_be_wider_than_opencv_can_warp(tmp_path: Path) -> None:
    Image.new("RGB", (33000, 4)).save(tmp_path / "wide.tif")
    assert read_image(tmp_path / "wide.tif").shape == (4, 33000, 3)


def test_no_other_program_is_run_for_an_image(tmp_path: Path) -> None:
    # Pillow gives PostScript to Ghostscript, whatever the file's name.
    (tmp_path / "photo.jpg").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    )
    with pytest.raises(DataError, match=r"photo\.jpg: not a readable image"):
        read_image(tmp_path / "photo.jpg")


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a folder, not an image; give the files in it"):
        read_image(tmp_path)


def test_tiff_whose_second_page_has_no_size(tmp_path: Path) -> None:
    pages = [Image.new("L", (8, 8)) for _ in range(2)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert count_pages(tmp_path / "a.tif") == 2
    content = (tmp_path / "a.tif").read_bytes()
    width = content.rfind((256).to_bytes(2, "little") + (4).to_bytes(2, "little"))  # tag and type
    (tmp_path / "a.tif").write_bytes(content[:width] + b"\xff" + content[width + 1 :])
    with pytest.raises(DataError, match=r"a\.tif: its pages cannot be counted \(Missing dim"):
        count_pages(tmp_path / "a.tif")


def test_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    Image.new("1", (20000, 20000)).save(tmp_path / "bomb.png")
    with pytest.raises(DataError, match="more than"):
        read_image(tmp_path / "bomb.png")


@settings(max_examples=40, deadline=None)
@given(
    st.floats(-40, 60), st.floats(-40, 60), st.floats(90, 260), st.floats(90, 260),
    st.sampled_from([(60, 80), (96, 96), (224, 224), (180, 240)]),
)  # fmt: skip
def test_blob_under_warp(left: float, top: float, wide: float, high: float, size: tuple) -> None:
    box = np.array([left, top, left + wide, top + high])
    matrix = crop_transform(box, size)
    point = box[:2] + (box[2:] - box[:2]) * np.array([0.45, 0.55])
    photo = blobs(point[None], (300, 320), 6.0)[0]
    if not (20 < point[0] < 300 and 20 < point[1] < 280):
        return
    seen = warp(photo, matrix, size)
    np.testing.assert_allclose(centre_of(seen), transform_points(matrix, point), atol=0.06)


def test_blob_under_strong_shrinking() -> None:
    point = np.array([[331.25, 207.5]])
    photo = blobs(point, (480, 640), 18.0)[0]
    for size in ((60, 80), (48, 48), (37, 51)):
        matrix = crop_transform(image_box((480, 640)), size)
        seen = warp(photo, matrix, size)
        # OpenCV places samples on a grid of 1/32 px.
        np.testing.assert_allclose(centre_of(seen), transform_points(matrix, point[0]), atol=0.05)


def test_outside_of_the_photo_is_black() -> None:
    photo = np.full((40, 40), 200, dtype=np.uint8)
    seen = warp(photo, crop_transform(np.array([-40.5, -0.5, 39.5, 39.5]), (40, 80)), (40, 80))
    assert (seen[:, :40] == 0).all()
    assert (seen[:, 40:] == 200).all()


def test_grey_view_of_a_colour_photo_is_the_view_of_the_grey_photo() -> None:
    generator = np.random.default_rng(0)
    photo = cv2.GaussianBlur(generator.integers(0, 256, (300, 400, 3), dtype=np.uint8), (9, 9), 2)
    for box in ([20, 30, 90, 110], [-40.5, -30, 200, 210], [350, 250, 430, 330], [0, 0, 399, 299]):
        matrix = crop_transform(np.array(box, dtype=float), (64, 64))
        part = warp(photo, matrix, (64, 64), channels=1).astype(int)
        whole = warp(to_channels(photo, 1), matrix, (64, 64)).astype(int)
        assert abs(part - whole).max() <= 1
