"""Names of columns in tables of faces."""

from __future__ import annotations

from collections.abc import Iterable

BOX_COLUMNS = ("left", "top", "right", "bottom")


def point_columns(names: Iterable[str], axes: str = "xy") -> list[str]:
    """Column names of points: `nose_x`, `nose_y`, or `x0`, `y0` for points that are numbers."""
    return [f"{axis}{n}" if n.isdigit() else f"{n}_{axis}" for n in names for axis in axes]
