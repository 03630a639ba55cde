"""Readers: each format's own convention, and errors that name file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facekp.core.errors import DataError
from facekp.core.image import count_pages, image_size, read_image
from facekp.core.landmarks import IMM58
from facekp.data.formats.asf import read_asf, write_asf
from facekp.data.formats.dlib_xml import XmlWriter, read_dlib_xml
from facekp.data.formats.pts import read_pts, write_pts
from facekp.data.ibug import read_ibug
from facekp.data.imm import read_imm

PATHS = [(chain, name in IMM58.closed) for name, chain in IMM58.parts.items()]
POINTS58 = np.random.default_rng(0).uniform(0, 400, (58, 2))
POINTS68 = np.random.default_rng(1).uniform(-20, 400, (68, 2))


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


def write_xml(folder: Path, change: Callable[[str], str] = lambda text: text) -> Path:
    writer = XmlWriter("test")
    writer.add("afw/a_1.jpg", (10, 20, 100, 110), POINTS68, (480, 640))
    writer.add("afw/b_1.jpg", (-5, -6, 50, 50), None)
    writer.write(folder / "x.xml")
    (folder / "x.xml").write_text(change((folder / "x.xml").read_text()))
    return folder / "x.xml"


def test_xml_round_trip_counts_from_zero(tmp_path: Path) -> None:
    with_points, without = read_dlib_xml(write_xml(tmp_path))
    np.testing.assert_allclose(with_points.keypoints, POINTS68, atol=1e-4)
    np.testing.assert_allclose(with_points.bbox, [9.5, 19.5, 109.5, 129.5])
    assert (with_points.file, with_points.size) == ("afw/a_1.jpg", (480, 640))
    assert without.keypoints is None
    np.testing.assert_allclose(without.bbox, [-5.5, -6.5, 44.5, 43.5])
    assert (with_points.line, without.line) == (6, 78)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace("name='07'", "name='06'"), r"x\.xml:14: afw/a_1.jpg: part 6 twice"),
        (lambda t: t.replace("name='07'", "name='68'"), r"x\.xml:14: .*part 68, only 0 to 67"),
        (lambda t: t.replace("name='07'", "name='seven'"), r"x\.xml:14: .*must be a number"),
        (lambda t: "\n".join(x for x in t.split("\n") if "'07'" not in x), "68 parts expected, 67"),
        (lambda t: t.replace("width='100'", "width='0'"), r"x\.xml:6: .*a box of size 0x110"),
        (lambda t: t.replace("width='100'", "width='-3'"), "a box of size"),
        (lambda t: t.replace("width='100'", "width='nan'"), "not finite"),
        (lambda t: t.replace("top='20'", "top='x'"), "top= must be a number"),
        (lambda t: t.replace("afw/a_1.jpg", "../../etc/passwd"), r"x\.xml:5: .*inside the XML"),
        (lambda t: t.replace("afw/a_1.jpg", "/etc/passwd"), "inside the XML"),
        (lambda t: t.replace("</images>", ""), "not well-formed"),
        (lambda t: t[:700], "not well-formed"),
        (lambda t: "", "not well-formed"),
        (
            lambda t: t.replace("<dataset>", '<!DOCTYPE d [<!ENTITY a "b">]><dataset>'),
            "document type declaration is not allowed",
        ),
        (lambda t: t.replace("<images>", "<a>" * 50 + "<images>"), "nested too deep"),
        (lambda t: t.replace("width='100'", "width='1e-20'"), "a box of size"),
        (lambda t: t.replace("x='", "x='99999999", 1), "is far out"),
        (lambda t: t.replace("afw/a_1.jpg", "a&#10;error: b.jpg"), r"x\.xml:5: .*'a\\nerror"),
        (lambda t: t.replace("<part name='07'", "<box/><part name='07'"), "<box> inside <box>"),
    ],
)
def test_broken_xml(tmp_path: Path, change: Callable[[str], str], message: str) -> None:
    path = write_xml(tmp_path, change)
    with pytest.raises(DataError, match=message):
        read_dlib_xml(path)


def test_missing_image_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.xml:6: the image afw/a_1\.jpg is missing"):
        read_ibug(write_xml(tmp_path))


def test_imm_folder_with_a_missing_or_broken_image(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \.asf file"):
        read_imm(tmp_path)
    write_asf(tmp_path / "01-1m.asf", POINTS58, (48, 64), "01-1m.jpg", PATHS)
    with pytest.raises(DataError, match=r"01-1m\.jpg: no such image"):
        read_imm(tmp_path)
    (tmp_path / "01-1m.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"01-1m\.jpg: not a readable image"):
        read_imm(tmp_path)


def test_image_cut_short_and_image_of_another_size(tmp_path: Path) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8))
    (tmp_path / "afw").mkdir()
    for name in ("a_1", "b_1"):
        image.save(tmp_path / f"afw/{name}.jpg")
    stated, unstated = read_ibug(write_xml(tmp_path))
    with pytest.raises(DataError, match=r"x\.xml:6: .* stated as 640x480, the image is 64x48"):
        stated.load(1)
    assert unstated.load(1).shape == (48, 64)
    assert unstated.load(3).shape == (48, 64, 3)
    path = tmp_path / "afw/b_1.jpg"
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(DataError, match=r"b_1\.jpg: the image cannot be decoded"):
        unstated.load(1)


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


def test_no_other_program_is_run_for_an_image(tmp_path: Path) -> None:
    # Pillow gives PostScript to Ghostscript, whatever the file's name.
    (tmp_path / "photo.jpg").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    )
    with pytest.raises(DataError, match=r"photo\.jpg: not a readable image"):
        read_image(tmp_path / "photo.jpg")


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
