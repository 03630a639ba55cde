"""Known faces of photos, looked up by path: boxes, and perhaps points, in place of a detector's."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from facekp.core.geometry import transform_boxes, transform_points
from facekp.core.image import exif_transform
from facekp.core.path_index import PathIndex

KnownFace = tuple[np.ndarray, np.ndarray, float]
"""A face's box (4,), its points (K, 2), of which there may be none, and the degrees by which it is
tilted, clockwise, about the box's centre."""


class FaceAnnotations:
    """Boxes of faces, and perhaps their points, by photo; see `PathIndex` for how it is found.

    Args:
        path: the file that they come from, for messages.
        faces: (file, (box, points, angle)) of each face, (file, None) of a photo without faces.
        box_source: what the boxes are, see `Detector.name`.
        stored_pixels: the coordinates refer to the pixels as stored, so the EXIF orientation must
            be applied; otherwise they refer to the upright photo.
    """

    def __init__(
        self,
        path: str | Path,
        faces: Iterable[tuple[str, KnownFace | None]],
        box_source: str,
        stored_pixels: bool,
    ) -> None:
        self.path, self.box_source = Path(path), box_source
        self._stored = stored_pixels
        self._faces: PathIndex[KnownFace] = PathIndex(self.path.parent)
        for file, face in faces:
            self._faces.add_file(file).extend([] if face is None else [face])

    def expect(self, photos: Iterable[Path]) -> None:
        """Tell which photos will be looked up, so that no entry is taken for two of them."""
        self._faces.expect(photos)

    def boxes_for(self, photo: Path) -> np.ndarray | None:
        """Boxes (N, 4) in pixels of the upright photo; None if it has no entry.

        Raises:
            DataError: the photo cannot be opened, or its entry may mean another one.
        """
        found = self._faces.find(photo)
        if found is None:
            return None
        boxes = np.array([box for box, _, _ in found]).reshape(-1, 4)
        if not self._stored:
            return boxes
        return transform_boxes(exif_transform(photo), boxes)

    def angles_for(self, photo: Path) -> np.ndarray | None:
        """Degrees (N,) by which the faces are tilted; None if the photo has no entry."""
        found = self._faces.find(photo)
        return None if found is None else np.array([angle for _, _, angle in found])

    def points_for(self, photo: Path) -> np.ndarray | None:
        """Points (N, K, 2) in pixels of the upright photo, nan for missing ones.

        None if it has no entry.

        Raises:
            DataError: the photo cannot be opened, or its entry may mean another one.
        """
        found = self._faces.find(photo)
        if found is None:
            return None
        points = np.array([points for _, points, _ in found])
        return transform_points(exif_transform(photo), points) if self._stored else points

    def unused_files(self) -> list[str]:
        """Files with faces that no photo asked for."""
        return self._faces.unused_files()
