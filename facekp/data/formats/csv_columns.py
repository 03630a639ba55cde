"""Which columns of a CSV file hold what, told by their headings; see `points_csv`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from facekp.core.errors import DataError
from facekp.core.files import IMAGE_SUFFIXES
from facekp.data.formats.base import is_numbered, sorted_names

IMAGE_HEADINGS = (
    "file", "filename", "file_name", "image", "image_name", "imagename", "image_path",
    "image_file", "img", "img_name", "img_path", "path", "filepath", "file_path", "image_id",
    "photo", "frame_name", "picture", "name",
)  # fmt: skip
GROUP_HEADINGS = ("group", "person", "person_id", "subject", "subject_id", "identity")
SPLIT_HEADINGS = ("split", "partition", "phase")
SIZE_HEADINGS = (("image_width", "image_height"), ("img_width", "img_height"), ("width", "height"))

_BOX_PREFIX = re.compile(r"(?:(?:face|bounding)?[_ ]?(?:bbox|box|rect)|face)[_. ]")
CORNER_HEADINGS = (
    ("left", "top", "right", "bottom"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
)
_SIDES = (("left", "top", "width", "height"),)
# A box beside points that have names, else points themselves.
_BARE_CORNERS = (("x1", "y1", "x2", "y2"),)
_BARE_SIDES = (("x", "y", "w", "h"), ("x", "y", "width", "height"))
# With a prefix such as `box_` they are clear, too.
_PREFIXED_CORNERS = (*CORNER_HEADINGS, *_BARE_CORNERS, ("x0", "y0", "x1", "y1"))
_PREFIXED_SIDES = (*_SIDES, *_BARE_SIDES)
_AXIS_LAST = re.compile(r"(.+?)(?:[\s_.:-]+([xyvXYV])|(?<=[a-z0-9])([XYV])|(?<=[0-9])([xyv]))")
_AXIS_FIRST = re.compile(r"([xyvXYV])(?:[\s_.:-]+(.+)|([0-9].*)|(?<=[xyv])([A-Z].*))")


class Columns:
    """Positions in a row.

    Attributes:
        headings: of all columns; numbers if the file has no header.
        has_header: whether the first row is one.
        image: of the image's name.
        names: of the points; numbers if the headings have none.
        points: of x and y of each point in turn.
        counted: whether the points have neither names nor numbers, only their order.
        visibility: of the visibility of points, or empty.
        visible_points: indices in `names` of the points of `visibility`.
        box: of the box, or empty.
        box_has_sides: whether it is left, top, width, height; else two corners.
        size: of the image's width and height, or empty.
        split: of the split; None: there is no such column.
        group: the same of the group.

    Args:
        path: the file, for messages.
        first: its first row.
        group: heading of the column with the group; None: one of the usual.

    Raises:
        DataError: there are no points, or two columns of one name.
    """

    def __init__(self, path: Path, first: Sequence[str], group: str | None = None) -> None:
        self.path = path
        self.headings = [cell.strip() for cell in first]
        self.names: list[str] = []
        self.points: list[int] = []
        self.counted = False
        self.visibility: list[int] = []
        self.visible_points: list[int] = []
        self.box: list[int] = []
        self.box_has_sides = False
        self.size: list[int] = []
        self.split: int | None = None
        self.group: int | None = None
        self.image = 0
        if not any(self.headings):
            raise self._error("the first row is empty", "begin the file with a row of headings")
        self.has_header = not self._is_row()
        self._free = dict.fromkeys(range(len(self.headings)))
        if not self.has_header:
            self.headings = [str(at) for at in self._free]
            self._use_run(list(self._free)[1:])
            return
        self._lower = [_plain(heading) for heading in self.headings]
        self._places = self._unique_headings()
        image = self._take(IMAGE_HEADINGS)
        self.image = self._take_first() if image is None else image
        self.group = self._take(GROUP_HEADINGS if group is None else (_plain(group),))
        if group is not None and self.group is None:
            remedy = "give the heading of one as dataset.group=, or a regular expression with "
            raise self._error(f"no column {group}", f"{remedy}parentheses around the person's part")
        self.split = self._take(SPLIT_HEADINGS)
        self._take_box()
        self.size = next(filter(None, map(self._take_all, SIZE_HEADINGS)), [])
        self._take_points()
        if not self.points:
            run = [at for at in self._free if self._is_unnamed(at)]
            if image is not None and run and run[0] == 0:
                run = run[1:]  # the index that pandas writes
            self._use_run(run)

    @property
    def numbers(self) -> list[int]:
        """All columns with numbers: points, visibility, box, size."""
        return [*self.points, *self.visibility, *self.box, *self.size]

    def unused(self) -> list[str]:
        """Headings of columns that nothing reads."""
        used = {self.image, self.split, self.group, *self.numbers}
        return [h for at, h in enumerate(self.headings) if at not in used and h]

    def _is_row(self) -> bool:
        """Whether there is no header: an image's name, and numbers that do not count columns."""
        first, *others = self.headings
        if not others or not all(map(_is_number, others)) or not any(others):
            return False
        counted = [[str(at + start) for at in range(len(others))] for start in (0, 1)]
        is_image = first.lower().endswith(IMAGE_SUFFIXES)
        return is_image or (
            bool(first) and _plain(first) not in IMAGE_HEADINGS and others not in counted
        )

    def _unique_headings(self) -> dict[str, int]:
        places: dict[str, int] = {}
        for at, heading in enumerate(self._lower):
            if heading and heading in places and not heading.isdigit():
                raise self._error(f"two columns {self.headings[at]}", "rename one of them")
            places[heading] = at
        return places

    def _take(self, choices: Sequence[str]) -> int | None:
        """The first of some headings that there is."""
        for name in choices:
            at = self._places.get(name)
            if at in self._free:
                del self._free[at]
                return at
        return None

    def _take_first(self) -> int:
        del self._free[0]
        return 0

    def _take_all(
        self, names: Sequence[str], places: dict[str, int] | None = None
    ) -> list[int] | None:
        """All of some headings, or None of them."""
        places = self._places if places is None else places
        found = [places.get(name) for name in names]
        if any(at not in self._free for at in found):
            return None
        chosen = [at for at in found if at is not None]
        for at in chosen:
            del self._free[at]
        return chosen

    def _take_box(self) -> None:
        prefixed = {
            _BOX_PREFIX.sub("", heading, count=1): at
            for heading, at in self._places.items()
            if _BOX_PREFIX.match(heading)
        }
        for places, corners, sides, bare in (
            (prefixed, _PREFIXED_CORNERS, _PREFIXED_SIDES, False),
            (self._places, CORNER_HEADINGS, _SIDES, False),
            (self._places, _BARE_CORNERS, _BARE_SIDES, True),
        ):
            for names in (*corners, *sides):
                if bare and not self._has_named_points_beside(names):
                    continue
                if box := self._take_all(names, places):
                    self.box, self.box_has_sides = box, names in sides
                    return

    def _has_named_points_beside(self, names: Sequence[str]) -> bool:
        """Whether there are points with names, and not only numbers, in other columns."""
        others = [at for at in self._free if self._lower[at] not in names]
        found = [_split_heading(self.headings[at]) for at in others]
        return any(part and part[1] == "x" and not is_numbered(part[0]) for part in found)

    def _take_points(self) -> None:
        points = {name: axes for name, axes in self._point_headings().items() if "x" in axes}
        self.names = names = sorted_names(points)
        self.points = [points[name][axis] for name in names for axis in "xy"]
        self.visible_points = [at for at, name in enumerate(names) if "v" in points[name]]
        self.visibility = [points[names[at]]["v"] for at in self.visible_points]

    def _point_headings(self) -> dict[str, dict[str, int]]:
        """Columns of each point by axis: x, y and perhaps v."""
        found: dict[str, dict[str, int]] = {}
        for at in self._free:
            if part := _split_heading(self.headings[at]):
                found.setdefault(part[0], {}).setdefault(part[1], at)
        for name, axes in list(found.items()):
            if ("x" in axes) != ("y" in axes):
                if _AXIS_FIRST.fullmatch(self.headings[next(iter(axes.values()))]):
                    del found[name]  # such as x_ray
                    continue
                have, need = ("x", "y") if "x" in axes else ("y", "x")
                problem = f"column {self.headings[axes[have]]} has no counterpart for {need}"
                raise self._error(problem, "add it, or remove the column")
        return found

    def _is_unnamed(self, at: int) -> bool:
        heading = self._lower[at]
        return not heading or heading.isdigit() or heading.startswith("unnamed:")

    def _use_run(self, run: list[int]) -> None:
        if not run or len(run) % 2:
            problem = f"{len(run)} numbers, not x, y pairs" if run else "no columns of points"
            remedy = "name them NAME_x, NAME_y, or give a run of columns x0, y0, x1, y1, ..."
            raise self._error(problem, remedy)
        self.points, self.counted = run, True
        self.names = [str(at) for at in range(len(run) // 2)]

    def _error(self, problem: str, remedy: str) -> DataError:
        return DataError(self.path, problem, remedy, 1)


def _split_heading(heading: str) -> tuple[str, str] | None:
    """(name, axis) of a point's column; None of others."""
    if heading.lower() in ("x", "y", "v"):
        return "point", heading.lower()
    if last := _AXIS_LAST.fullmatch(heading):
        return last[1], next(filter(None, last.groups()[1:])).lower()
    if first := _AXIS_FIRST.fullmatch(heading):
        return next(filter(None, first.groups()[1:])), first[1].lower()
    return None


def _plain(heading: str) -> str:
    return heading.lower().replace(" ", "_")


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", ".") or "nan")
    except ValueError:
        return False
    return True
