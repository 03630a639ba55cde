"""One face turned into another: shapes are averaged, photos are warped to them and mixed.

Shape and colour are two things: a mixture of two faces has the mean of their points, and the mean
of their colours once both are warped to these points (G. Wolberg, "Image morphing: a survey", The
Visual Computer 14, 1998).
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import Delaunay

from facekp.core.geometry import Size, apply_map, compose, invert
from facekp.core.image import seen_box, shrink, shrink_factor
from facekp.core.landmarks import LandmarkScheme

EYES_APART = 0.25
"""Distance of the outer eye corners in a frame, in its shorter sides, unless it is zoomed."""
EYES_HEIGHT = 0.42
"""Where the eyes lie between the frame's top and bottom."""
BORDER = 4
"""Parts of each side of the frame: its border has points of its own, which stay where they are."""
MOST_TRIANGLES = 256
"""A triangle's number is one byte, which is what `cv2.LUT` takes."""


@dataclass(frozen=True, eq=False)
class Posed:
    """A photo made ready: its face, and where the frame lies on it.

    Args:
        image: (H, W, 3) uint8 RGB, no larger than the frame needs.
        shape: (K, 2) its points in pixels of the frame.
        from_frame: map (2, 3) from pixels of the frame to pixels of `image`.
    """

    image: np.ndarray
    shape: np.ndarray
    from_frame: np.ndarray


def frame_map(
    keypoints: np.ndarray, scheme: LandmarkScheme, size: Size, zoom: float = 1.0
) -> np.ndarray:
    """Map (2, 3), a similarity, that brings a face's outer eye corners to their place in a frame.

    Args:
        keypoints: (scheme.count, 2) pixels of the photo.
        scheme: which of them are the eye corners.
        size: (height, width) of the frame.
        zoom: faces are so many times as large.

    Raises:
        ValueError: both eye corners are one point.
    """
    right, left = (keypoints[corner].astype(float) for corner in scheme.outer_eye_corners)
    across = left - right
    apart = float(np.hypot(*across))
    if not apart > 1e-6:
        raise ValueError("both eyes are one point")
    cos, sin = zoom * EYES_APART * min(size) / apart * across / apart
    turn = np.array([[cos, sin], [-sin, cos]])
    return np.column_stack([turn, _eyes(size) - turn @ ((right + left) / 2)])


def _eyes(size: Size) -> np.ndarray:
    """The middle between the eyes in a frame, (2,) pixels."""
    return np.array([0.5 * size[1], EYES_HEIGHT * size[0]]) - 0.5


def filling_zoom(
    keypoints: np.ndarray, scheme: LandmarkScheme, size: Size, photo_size: Size
) -> float:
    """The least zoom at which a photo fills its frame; infinite where the eyes lie outside it.

    Args:
        keypoints: (scheme.count, 2) pixels of the photo.
        scheme: see `frame_map`, as its errors.
        size: (height, width) of the frame.
        photo_size: likewise of the photo.
    """
    from_frame = invert(frame_map(keypoints, scheme, size))
    eyes = apply_map(from_frame, _eyes(size)[None])
    corners = apply_map(from_frame, border_points(size)[::BORDER])
    reach = np.stack([eyes - corners, corners - eyes]).max(axis=1)
    edges = np.stack([np.full(2, -0.5), np.array(photo_size[::-1]) - 0.5])
    room = np.stack([eyes[0] - edges[0], edges[1] - eyes[0]])
    return float((reach / room).max()) if room.min() > 0 else np.inf


def pose(image: np.ndarray, keypoints: np.ndarray, to_frame: np.ndarray, size: Size) -> Posed:
    """Lay a frame over a photo (H, W, 3), which is shrunk at most, not yet resampled."""
    image, to_small = shrink(image, shrink_factor(to_frame), seen_box(to_frame, size, margin=2))
    return Posed(image.copy(), apply_map(to_frame, keypoints), compose(to_small, invert(to_frame)))


def border_points(size: Size) -> np.ndarray:
    """Corners of a frame of `size` (height, width), and points between them, (4 * BORDER, 2)."""
    height, width = size
    along = np.arange(BORDER) / BORDER
    x, y = width * along, height * along
    right, bottom = np.full(BORDER, width), np.full(BORDER, height)
    sides = [(x, 0 * y), (right, y), (width - x, bottom), (0 * x, height - y)]
    return np.concatenate([np.column_stack(side) for side in sides]) - 0.5


def triangulate(first: np.ndarray, second: np.ndarray, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Triangles over a frame of which none turns over on the way from one shape to another.

    Delaunay's on the mean shape and the frame's border. Points outside the frame are left out, and
    those of triangles that would turn over (a jaw seen from the side against one from the front).

    Args:
        first: (K, 2) pixels of the frame.
        second: likewise.
        size: (height, width) of the frame.

    Returns:
        Indices (M,) of the points that are used, and triangles (T, 3) over these, followed by
        `border_points`.
    """
    border = border_points(size)
    inside = [((s > 0) & (s < (size[1] - 1, size[0] - 1))).all(axis=1) for s in (first, second)]
    used = np.flatnonzero(inside[0] & inside[1])
    while True:
        ends = [np.concatenate([shape[used], border]) for shape in (first, second)]
        middle = (ends[0] + ends[1]) / 2
        triangles = Delaunay(middle).simplices
        half = _areas(middle[triangles])
        whole = np.abs(half) > 1e-9  # no slivers between points of one side
        triangles, half = triangles[whole], half[whole]
        triangles = np.where(half[:, None] < 0, triangles[:, ::-1], triangles)
        start, end = (_areas(shape[triangles]) for shape in ends)
        # On the way the area is (1 - t)^2 start + 2 t (1 - t) mixed + t^2 end.
        mixed = 2 * np.abs(half) - (start + end) / 2
        lowest = np.sqrt(np.maximum(start * end, 0))
        over = (start <= 0) | (end <= 0) | (mixed <= -lowest)
        points = triangles[over]
        points = points[points < len(used)]
        if not len(points):
            return used, triangles
        used = np.delete(used, np.bincount(points).argmax())


def _areas(corners: np.ndarray) -> np.ndarray:
    """Twice the signed areas (T,) of triangles (T, 3, 2)."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


class Mesh:
    """Triangles that carry photos from either of two shapes to any shape between them.

    Args:
        first: (K, 2) pixels of the frame.
        second: likewise.
        size: (height, width) of the frame.
    """

    def __init__(self, first: np.ndarray, second: np.ndarray, size: Size) -> None:
        self.size = size
        self.used, self.triangles = triangulate(first, second, size)
        self.border = border_points(size)
        columns, rows = np.arange(size[1]), np.arange(size[0])
        self._x, self._y = np.meshgrid(columns.astype(np.float32), rows.astype(np.float32))

    def labels(self, shape: np.ndarray) -> np.ndarray:
        """Which triangle each pixel lies in, (height, width) uint8, for points (K, 2)."""
        corners = self._vertices(shape)[self.triangles]
        labels = np.zeros(self.size, np.uint8)
        bits = 8
        for number, corner in enumerate(np.round(corners * 2**bits).astype(np.int32)):
            cv2.fillConvexPoly(labels, corner, number, shift=bits)
        return labels

    def warp(self, posed: Posed, shape: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """A photo with its points brought to `shape`.

        Args:
            posed: the photo.
            shape: (K, 2) pixels of the frame.
            labels: of this shape.

        Returns:
            (height, width, 3) uint8 RGB.
        """
        own = apply_map(posed.from_frame, self._vertices(posed.shape))[self.triangles]
        corners = self._vertices(shape)[self.triangles]
        corners = np.concatenate([corners, np.ones((*corners.shape[:2], 1))], axis=2)
        # Of each triangle (3, 2): from (x, y, 1) of the frame to a pixel of the photo.
        table = np.zeros((MOST_TRIANGLES, 3, 2), np.float32)
        table[: len(corners)] = np.linalg.solve(corners, own)
        x, y = (self._places(labels, table[..., axis]) for axis in (0, 1))
        return cv2.remap(posed.image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def _places(self, labels: np.ndarray, table: np.ndarray) -> np.ndarray:
        """One coordinate (height, width) of each pixel in the photo."""
        # A few passes of OpenCV's; numpy's indexing takes several times as long.
        along, down, offset = (cv2.LUT(labels, column) for column in table.T)
        along, down = cv2.multiply(along, self._x), cv2.multiply(down, self._y)
        return cv2.add(cv2.add(along, down), offset)

    def _vertices(self, shape: np.ndarray) -> np.ndarray:
        return np.concatenate([shape[self.used], self.border])


class Morph:
    """The way from one face to another.

    Args:
        first: where it begins.
        second: where it ends.
        size: (height, width) of the frames.
    """

    def __init__(self, first: Posed, second: Posed, size: Size) -> None:
        self.first, self.second = first, second
        self.mesh = Mesh(first.shape, second.shape, size)
        self._pool = ThreadPoolExecutor(2)

    def shape(self, share: float) -> np.ndarray:
        """Points (K, 2) in pixels of the frame, `share` of the way along."""
        return (1 - share) * self.first.shape + share * self.second.shape

    def frame(self, share: float) -> np.ndarray:
        """The frame (height, width, 3) uint8 RGB, `share` of the way along, from 0 to 1."""
        shape = self.shape(share)
        labels = self.mesh.labels(shape)
        ends = (self.first, self.second)
        first, second = self._pool.map(lambda end: self.mesh.warp(end, shape, labels), ends)
        return cv2.addWeighted(first, 1 - share, second, share, 0.0)


def mean_face(photos: Iterable[Posed], shape: np.ndarray, size: Size) -> np.ndarray:
    """The mean of photos whose points are all brought to one shape.

    Args:
        photos: one at a time is held.
        shape: (K, 2) pixels of the frame: their mean shape.
        size: (height, width) of the frame.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    total, count = np.zeros((*size, 3), np.float32), 0
    for posed in photos:
        mesh = Mesh(posed.shape, shape, size)
        total += mesh.warp(posed, shape, mesh.labels(shape))
        count += 1
    return np.round(total / count).astype(np.uint8)
