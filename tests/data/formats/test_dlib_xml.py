"""dlib's XML files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facekp.core.errors import DataError
from facekp.core.landmarks import LandmarkScheme
from facekp.data.formats.base import WrittenFace
from facekp.data.formats.dlib_xml import read_dlib_xml
from facekp.data.formats.recognition import writable_format
from facekp.tasks.known_faces import read_annotations
from tests.data.formats.helpers import BOXES, NAMES, faces, image, points_of, read, round_trip
from tests.helpers import POINTS68, write_xml


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


def test_parts_of_any_name_some_missing(tmp_path: Path) -> None:
    content = round_trip("dlib", tmp_path / "a.xml", faces(occluded=False))
    assert tuple(content.names) == NAMES
    np.testing.assert_allclose([face.bbox for face in content.faces], BOXES, atol=1e-6)


def test_numbered_points_keep_their_numbers(tmp_path: Path) -> None:
    """Also where the first is never annotated: a part's number says which point it is."""
    points = np.array([[np.nan, np.nan], [20.0, 21.0], [30.0, 31.0]])
    face = WrittenFace("a.jpg", (64, 64), np.array([1.0, 2.0, 50.0, 60.0]), points)
    scheme = LandmarkScheme("three", ("36", "37", "38"))
    writable_format("dlib").write(tmp_path / "a.xml", [face], scheme)
    content = read(tmp_path / "a.xml")
    assert content.names == ["37", "38"]
    np.testing.assert_allclose(points_of(content)[0], points[1:])
    points[0] = 1
    writable_format("dlib").write(tmp_path / "a.xml", [face], scheme)
    known = read_annotations(str(tmp_path / "a.xml"), scheme.point_names)
    image(tmp_path / "a.jpg")
    np.testing.assert_allclose(known.points_for(tmp_path / "a.jpg"), [points])


def test_numbered_parts_are_ordered_by_number(tmp_path: Path) -> None:
    parts = "".join(f"<part name='{at}' x='{at}' y='1'/>" for at in ("10", "036", "9"))
    text = f"<images><image file='a.jpg'><box top='1' left='1' width='9' height='9'>{parts}"
    (tmp_path / "a.xml").write_text(f"{text}</box></image></images>")
    content = read(tmp_path / "a.xml")
    assert content.names == ["9", "10", "36"]
    assert points_of(content)[0, :, 0].tolist() == [9, 10, 36]


@pytest.mark.parametrize("name", ["../img/a.jpg", "/home/me/img/a.jpg", "C:\\me\\img\\a.jpg"])
def test_paths_of_another_machine(tmp_path: Path, name: str) -> None:
    """They are looked up inward of the images' folder, see `ImageFinder`."""
    part = "<part name='a' x='1' y='2'/>"
    text = f"<images><image file='{name}'><box top='1' left='1' width='9' height='9'>{part}"
    (tmp_path / "a.xml").write_text(f"{text}</box></image></images>")
    assert read(tmp_path / "a.xml").faces[0].image == name.replace("\\", "/")
