"""Known faces of photos, looked up by path: boxes, and perhaps points, in place of a detector's."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from facekp.core.geometry import transform_points
from facekp.core.image import exif_transform

KnownFace = tuple[np.ndarray, np.ndarray]
"""A face's box (4,) and its points (K, 2), of which there may be none."""


class FaceAnnotations:
    """Boxes of faces, and perhaps their points, by photo.

    The entries of a photo are those whose path is the end of its own: `b.jpg` and `a/b.jpg` both
    name `photos/a/b.jpg`, and the longer one is taken.

    Args:
        path: the file that they come from, for messages.
        faces: (file, (box, points)) of each face.
        box_source: what the boxes are, see `Detector.name`.
        stored_pixels: the coordinates refer to the pixels as stored, so the EXIF orientation must
            be applied; otherwise they refer to the upright photo.
    """

    def __init__(
        self,
        path: str | Path,
        faces: Iterable[tuple[str, KnownFace]],
        box_source: str,
        stored_pixels: bool,
    ) -> None:
        self.path, self.box_source = Path(path), box_source
        self._stored = stored_pixels
        self._faces: dict[tuple[str, ...], list[KnownFace]] = {}
        for file, face in faces:
            parts = Path(os.path.normpath(file.replace("\\", "/"))).parts
            while parts and parts[0] == "..":
                parts = parts[1:]
            self._faces.setdefault(parts, []).append(face)
        self._used: set[tuple[str, ...]] = set()

    def boxes_for(self, photo: Path) -> np.ndarray | None:
        """Boxes (N, 4) in pixels of the upright photo; None if it has no entry.

        Raises:
            DataError: the photo cannot be opened.
        """
        found = self._find(photo)
        if found is None:
            return None
        boxes = np.array([box for box, _ in found])
        if not self._stored:
            return boxes
        corners = transform_points(exif_transform(photo), boxes.reshape(-1, 2, 2))
        return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)

    def points_for(self, photo: Path) -> np.ndarray | None:
        """Points (N, K, 2) in pixels of the upright photo; None if it has no entry.

        Raises:
            DataError: the photo cannot be opened.
        """
        found = self._find(photo)
        if found is None:
            return None
        points = np.array([points for _, points in found])
        return transform_points(exif_transform(photo), points) if self._stored else points

    def unused_files(self) -> list[str]:
        """Files with faces that no photo asked for."""
        return ["/".join(parts) for parts in self._faces if parts not in self._used]

    def _find(self, photo: Path) -> list[KnownFace] | None:
        parts = Path(os.path.abspath(photo)).parts  # noqa: PTH100  # resolves `..`, not links
        for first in range(len(parts)):
            if parts[first:] in self._faces:
                self._used.add(parts[first:])
                return self._faces[parts[first:]]
        return None
