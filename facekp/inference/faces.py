"""Faces with keypoints: what a predictor returns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, SupportsIndex, overload

import numpy as np

from facekp.core.columns import BOX_COLUMNS, point_columns

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Face:
    """A detected face with its keypoints.

    Args:
        bbox: (4,) `xyxy` in pixels of the photo, from the detector or the caller.
        keypoints: (K, 2) `xy` in pixels of the photo.
        score: of the detector; 1 for a box of the caller.
        box_source: what the box is, see `Detector.name`.
        angle: degrees, clockwise, by which the face was turned back about its box's centre before
            the network saw it.
    """

    bbox: np.ndarray
    keypoints: np.ndarray
    score: float
    box_source: str
    angle: float = field(default=0.0, kw_only=True)


class Faces(list[Face]):
    """The faces of a photo, best first: a list with a table.

    Args:
        faces: the faces.
        point_names: names of the K points.
    """

    def __init__(self, faces: Iterable[Face] = (), point_names: Sequence[str] = ()) -> None:
        super().__init__(faces)
        self.point_names = tuple(point_names)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Face: ...
    @overload
    def __getitem__(self, index: slice) -> Faces: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Face | Faces:
        """A face, or some of them."""
        if isinstance(index, slice):
            return Faces(super().__getitem__(index), self.point_names)
        return super().__getitem__(index)

    def to_dataframe(self) -> pd.DataFrame:
        """One row per face: box, angle, score, source of the box, x and y of each point."""
        import pandas as pd  # takes a quarter of a second

        columns = [*BOX_COLUMNS, "angle", "score", "box_source", *point_columns(self.point_names)]
        rows = [[*f.bbox, f.angle, f.score, f.box_source, *f.keypoints.ravel()] for f in self]
        return pd.DataFrame(rows, columns=columns)
