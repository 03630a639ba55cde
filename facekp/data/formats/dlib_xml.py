"""dlib's image-dataset XML, in which iBUG 300-W is packaged. Pixels are counted from 0.

Format (dlib's imglab): `<images>` holds `<image file= [width= height=]>`, each with
`<box top= left= width= height=>`, each with one `<part name= x= y=>` per point, or none (as in the
test half of the course's competition). Part names are numbers in iBUG, anything elsewhere.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

import numpy as np

from facekp.core.errors import DataError, skip_or_raise
from facekp.core.files import atomic_write_text
from facekp.core.geometry import MAX_PIXEL, MIN_SIDE, box_from_ltwh
from facekp.core.landmarks import MAX_POINTS, LandmarkScheme
from facekp.data.formats.base import (
    AnnotationFile,
    FaceEntry,
    ReadOptions,
    WritableFormat,
    WrittenFace,
    sorted_names,
)

MAX_BYTES = 256_000_000
"""Of a file; all of iBUG 300-W takes 20 million."""
_REMEDY = "restore the file, or correct or remove the entry"


@dataclass(eq=False)
class XmlFace:
    """One `<box>` of an XML file.

    Args:
        file: the image's path as written in the XML, relative to the XML's folder.
        bbox: (4,) `xyxy` in pixels.
        keypoints: (K, 2) pixels, or None for a box without parts.
        line: line of the box in the XML.
        size: (height, width) of the image, if the XML states it.
    """

    file: str
    bbox: np.ndarray
    keypoints: np.ndarray | None
    line: int
    size: tuple[int, int] | None


def read_dlib_xml(
    path: str | Path, count: int | None = 68, problems: list[DataError] | None = None
) -> list[XmlFace]:
    """Read every box of a dlib XML file in file order, except those that imglab marks as ignored.

    Args:
        path: the file.
        count: number of parts that a box with parts must have, named `0` (or `00`) to `count - 1`;
            None reads only the boxes, and accepts image paths outside the XML's folder.
        problems: broken entries are skipped and their errors appended here; None: the first one is
            raised.

    Raises:
        DataError: a missing or malformed file, a path that leaves the folder, an empty box, a wrong
            number of parts, a duplicate part, a number that is not finite, or an entity
            declaration; names file and line.
    """
    return _Reader(Path(path), count, problems).read()


class _Reader:
    """Event parser: needs memory in proportion to the file, whatever it nests or declares."""

    def __init__(self, path: Path, count: int | None, problems: list[DataError] | None) -> None:
        self.path, self.count, self.problems = path, count, problems
        self.faces: list[XmlFace] = []
        self.stack: list[str] = []
        # State: the open image by its file, the open box unless ignored, and its parts so far.
        self.file: str | None = None
        self.size: tuple[int, int] | None = None
        self.face: XmlFace | None = None
        self.parts: dict[int, tuple[float, float]] = {}
        self.image_is_broken = False
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.StartDoctypeDeclHandler = self.doctype

    def read(self) -> list[XmlFace]:
        try:
            if self.path.stat().st_size > MAX_BYTES:
                raise DataError(self.path, f"more than {MAX_BYTES:,} bytes", _REMEDY)
            # In one call: an old expat parses a token that arrives in pieces again for each piece.
            self.parser.Parse(self.path.read_bytes(), True)
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
            raise DataError(self.path, problem, "check the path") from error
        except (expat.ExpatError, ValueError, LookupError) as error:
            line = getattr(error, "lineno", self.parser.CurrentLineNumber)
            problem = f"not well-formed XML ({error})"
            skip_or_raise(DataError(self.path, problem, _REMEDY, line), self.problems)
        return self.faces

    def fail(self, problem: str) -> DataError:
        return DataError(self.path, problem, _REMEDY, self.parser.CurrentLineNumber)

    def doctype(self, *_: object) -> None:
        raise self.fail("a document type declaration is not allowed here")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag in ("image", "box", "part") and tag in self.stack:
            raise self.fail(f"<{tag}> inside <{tag}>")
        self.stack.append(tag)
        if len(self.stack) > 16:
            raise self.fail("nested too deep for a list of images")
        with self.skipping():
            if tag == "image":
                self.image(attributes)
            elif tag == "box" and not self.image_is_broken:
                self.box(attributes)
            elif tag == "part" and self.count is not None and not self.image_is_broken:
                self.part(attributes)

    def end(self, tag: str) -> None:
        self.stack.pop()
        if tag == "box" and self.face is not None:
            with self.skipping():
                if self.parts:
                    self.face.keypoints = self.keypoints()
                self.faces.append(self.face)
            self.face = None
        elif tag == "image":
            self.file, self.image_is_broken = None, False

    @contextmanager
    def skipping(self) -> Iterator[None]:
        """Report an error inside the block, and drop the open box."""
        try:
            yield
        except DataError as error:
            skip_or_raise(error, self.problems)
            self.face = None

    def image(self, attributes: dict[str, str]) -> None:
        self.image_is_broken = True  # until all attributes have been accepted
        self.file = self.image_file(attributes)
        self.size = None
        if "width" in attributes and "height" in attributes:
            self.size = (self.whole(attributes, "height"), self.whole(attributes, "width"))
            if min(self.size) < 1:
                raise self.fail(f"{self.file}: an image of size {self.size}")
        self.image_is_broken = False

    def box(self, attributes: dict[str, str]) -> None:
        self.face, self.parts = None, {}
        if self.file is None:
            raise self.fail("a box outside an image")
        left, top, width, height = (
            self.number(attributes, key) for key in ("left", "top", "width", "height")
        )
        if min(width, height) < MIN_SIDE:
            raise self.fail(f"{self.file}: a box of size {width:g}x{height:g}")
        if attributes.get("ignore") != "1":
            bbox, line = box_from_ltwh(left, top, width, height), self.parser.CurrentLineNumber
            self.face = XmlFace(self.file, bbox, None, line, self.size)

    def part(self, attributes: dict[str, str]) -> None:
        if len(self.stack) < 2 or self.stack[-2] != "box":
            raise self.fail("a part outside a box")
        if self.face is None:
            return
        assert self.count is not None
        index = self.whole(attributes, "name")
        if not 0 <= index < self.count:
            raise self.fail(f"{self.file}: part {index}, only 0 to {self.count - 1} exist")
        if index in self.parts:
            raise self.fail(f"{self.file}: part {index} twice")
        self.parts[index] = self.number(attributes, "x"), self.number(attributes, "y")

    def keypoints(self) -> np.ndarray:
        if len(self.parts) != self.count:
            found = len(self.parts)
            raise self.fail(f"{self.file}: {self.count} parts expected, {found} found")
        return np.array([self.parts[index] for index in range(self.count)])

    def image_file(self, attributes: dict[str, str]) -> str:
        name = attributes.get("file", "").replace("\\", "/")
        pure = PurePosixPath(name)
        if not name.isprintable():
            raise self.fail(f"the image's path has unprintable characters: {name[:80]!r}")
        if name and self.count is None:
            return name  # only compared, never opened
        if not name or pure.is_absolute() or ".." in pure.parts or ":" in name or "\0" in name:
            raise self.fail(f"the image's path must stay inside the XML's folder: {name[:80]!r}")
        return name

    def number(self, attributes: dict[str, str], key: str) -> float:
        try:
            value = float(attributes[key])
        except (KeyError, ValueError) as error:
            raise self.fail(f"{self.file}: {key}= must be a number") from error
        if not math.isfinite(value):
            raise self.fail(f"{self.file}: {key}={value} is not finite")
        if abs(value) > MAX_PIXEL:
            raise self.fail(f"{self.file}: {key}={value:g} is far outside the image")
        return value

    def whole(self, attributes: dict[str, str], key: str) -> int:
        value = self.number(attributes, key)
        if value != int(value):
            raise self.fail(f"{self.file}: {key}={value:g} must be a whole number")
        return int(value)


class _NamedReader(_Reader):
    """Reads boxes whose parts have any names, and of which some may be missing."""

    def __init__(self, path: Path, problems: list[DataError] | None) -> None:
        super().__init__(path, 0, problems)
        self.boxes: list[tuple[XmlFace, dict[str, tuple[float, float]]]] = []
        self.named: dict[str, tuple[float, float]] = {}

    def box(self, attributes: dict[str, str]) -> None:
        self.named = {}
        super().box(attributes)

    def image_file(self, attributes: dict[str, str]) -> str:
        """The image's name; it is looked up inward of the images' folder, whatever it leads to."""
        name = attributes.get("file", "").replace("\\", "/")
        if not name or not name.isprintable():
            raise self.fail(f"the image's path is empty or unprintable: {name[:80]!r}")
        return name

    def part(self, attributes: dict[str, str]) -> None:
        if len(self.stack) < 2 or self.stack[-2] != "box":
            raise self.fail("a part outside a box")
        if self.face is None:
            return
        name = sys.intern(attributes.get("name", ""))
        if not name or name in self.named:
            raise self.fail(f"{self.file}: part {name!r} {'twice' if name else 'has no name'}")
        if len(self.named) == MAX_POINTS:
            raise self.fail(f"{self.file}: more than {MAX_POINTS} parts")
        self.named[name] = self.number(attributes, "x"), self.number(attributes, "y")

    def end(self, tag: str) -> None:
        if tag == "box" and self.face is not None:
            self.boxes.append((self.face, self.named))
        super().end(tag)


class DlibXml(WritableFormat):
    """dlib's XML with any part names; parts may be missing."""

    name = "dlib"
    suffix = ".xml"
    upright = False
    holds_occlusion = holds_groups = False
    example = (
        "<image file='a.jpg'><box top='10' left='20' width='90' height='90'>\n"
        "  <part name='nose' x='31' y='40'/>...</box></image>"
    )

    def recognises(self, path: Path, head: str) -> bool:
        """XML with an image or dlib's data set in it."""
        return head.lstrip()[:1] == "<" and ("<image" in head or "<dataset" in head)

    def read(self, path: Path, options: ReadOptions) -> AnnotationFile:
        """Read a file; boxes marked as ignored are left out."""
        reader = _NamedReader(path, options.problems)
        reader.read()
        names = sorted_names(name for _, parts in reader.boxes for name in parts)
        index = {name: at for at, name in enumerate(names)}
        points = np.full((len(reader.boxes), len(names), 2), np.nan)
        for row, (_, parts) in enumerate(reader.boxes):
            for name, point in parts.items():
                points[row, index[name]] = point
        if all(name.isdecimal() for name in names):
            names = [str(int(name)) for name in names]
        faces = [
            FaceEntry(face.file, points[row], path, face.bbox, face.line, face.size)
            for row, (face, _) in enumerate(reader.boxes)
        ]
        return AnnotationFile(names, faces)

    def write(self, path: Path, faces: Sequence[WrittenFace], scheme: LandmarkScheme) -> None:
        """Write boxes and parts; missing points have no part."""
        writer = XmlWriter(scheme.name, digits=7)
        for face in faces:
            left, top, right, bottom = face.bbox + 0.5
            ltwh = (left, top, right - left, bottom - top)
            writer.add(face.image, ltwh, face.keypoints, face.size, scheme.point_names)
        writer.write(path)


@dataclass
class XmlWriter:
    """Collects faces, and writes them as a dlib XML file.

    Args:
        name: title of the data set, stored in the file.
        digits: of the points, after the decimal point.
    """

    name: str
    digits: int = 4
    lines: list[str] = field(default_factory=list)

    def add(
        self,
        file: str,
        ltwh: Iterable[float],
        keypoints: np.ndarray | None,
        size: tuple[int, int] | None = None,
        names: Sequence[str] = (),
    ) -> None:
        """Add an image with one box.

        Args:
            file: the image's path, relative to the XML.
            ltwh: left, top, width, height.
            keypoints: (K, 2) pixels, nan for missing ones; None writes only the box.
            size: (height, width) of the image; None omits it.
            names: of the points; numbers get two digits, none are 00, 01, ...
        """
        left, top, width, height = ltwh
        size_attributes = f" width='{size[1]}' height='{size[0]}'" if size else ""
        self.lines.append(f"  <image file={quoteattr(file)}{size_attributes}>")
        sides = {"top": top, "left": left, "width": width, "height": height}
        box = " ".join(f"{name}='{value:.10g}'" for name, value in sides.items())
        self.lines.append(f"    <box {box}>")
        points = () if keypoints is None else keypoints
        if all(name.isdecimal() for name in names):
            quoted = [f"'{int(name):02d}'" for name in names or range(len(points))]
        else:
            quoted = [quoteattr(name) for name in names]
        digits = self.digits
        for name, (x, y) in zip(quoted, points, strict=False):  # none of a face without labels
            if math.isnan(x):
                continue
            self.lines.append(f"      <part name={name} x='{x:.{digits}f}' y='{y:.{digits}f}'/>")
        self.lines += ["    </box>", "  </image>"]

    def write(self, path: str | Path) -> None:
        """Write the file."""
        head = ["<?xml version='1.0' encoding='utf-8'?>", "<dataset>", f"<name>{self.name}</name>"]
        text = "\n".join([*head, "<images>", *self.lines, "</images>", "</dataset>", ""])
        atomic_write_text(path, text)
