"""Face morphing: shapes are averaged, photos are warped to the average shape and blended.

Shape and colour are treated separately: an average of two faces has the mean of their points, and
the mean of their colours once both are warped to these points (G. Wolberg, "Image morphing: a
survey", The Visual Computer 14, 1998).
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import Delaunay

from facekp.core.geometry import (
    Size,
    bounding_box,
    compose_affine,
    invert_affine,
    transform_points,
)
from facekp.core.image import downscale, downscale_factor, source_region
from facekp.core.landmarks import LandmarkScheme

EYE_DISTANCE = 0.25
"""Distance of the outer eye corners in a frame at zoom 1, in units of its shorter side."""
EYE_HEIGHT = 0.42
"""Vertical position of the eyes between the frame's top and bottom."""
BORDER = 4
"""Fixed points on each side of the frame."""
LUT_SIZE = 256
"""Triangles up to which their numbers are single bytes, as `cv2.LUT` needs them."""


@dataclass(frozen=True, eq=False)
class AlignedPhoto:
    """A photo aligned to the frame by its face.

    Args:
        image: (H, W, 3) uint8 RGB, no larger than the frame needs.
        shape: (K, 2) points of its face in pixels of the frame.
        from_frame: transform (2, 3) from pixels of the frame to pixels of `image`.
    """

    image: np.ndarray
    shape: np.ndarray
    from_frame: np.ndarray


def alignment_transform(
    keypoints: np.ndarray, scheme: LandmarkScheme, size: Size, zoom: float = 1.0
) -> np.ndarray:
    """Similarity (2, 3) that moves a face's eyes to their position in a frame.

    The eyes are the ends of the scheme's normalising distance; without one, the left and right
    quarter of the points' bounding box at its middle height.

    Args:
        keypoints: (scheme.count, 2) pixels of the photo.
        scheme: which of them are the eyes.
        size: (height, width) of the frame.
        zoom: factor by which faces are enlarged.

    Raises:
        ValueError: the ends of the normaliser coincide.
    """
    right, left = _ends(keypoints.astype(float), scheme)
    between = left - right
    distance = float(np.hypot(*between))
    if not distance > 1e-6:
        raise ValueError("the points lie at one place")
    cos, sin = zoom * EYE_DISTANCE * min(size) / distance * between / distance
    rotation = np.array([[cos, sin], [-sin, cos]])
    return np.column_stack([rotation, _eyes(size) - rotation @ ((right + left) / 2)])


def _ends(keypoints: np.ndarray, scheme: LandmarkScheme) -> tuple[np.ndarray, np.ndarray]:
    """Right and left eye (2,), or what stands for them."""
    if scheme.normalizer.first:
        return scheme.normalizer.ends(keypoints)
    left, top, right, bottom = bounding_box(keypoints)
    quarter, middle = (right - left) / 4, (top + bottom) / 2
    return np.array([left + quarter, middle]), np.array([right - quarter, middle])


def _eyes(size: Size) -> np.ndarray:
    """Midpoint between the eyes in a frame, (2,) pixels."""
    return np.array([0.5 * size[1], EYE_HEIGHT * size[0]]) - 0.5


def zoom_to_fill(
    keypoints: np.ndarray, scheme: LandmarkScheme, size: Size, photo_size: Size
) -> float:
    """The lowest zoom at which a photo fills its frame; infinite if the eyes lie outside the photo.

    Args:
        keypoints: (scheme.count, 2) pixels of the photo.
        scheme: see `alignment_transform`, which also raises its errors.
        size: (height, width) of the frame.
        photo_size: (height, width) of the photo.
    """
    from_frame = invert_affine(alignment_transform(keypoints, scheme, size))
    eyes = transform_points(from_frame, _eyes(size)[None])
    corners = transform_points(from_frame, border_points(size)[::BORDER])
    reach = np.stack([eyes - corners, corners - eyes]).max(axis=1)
    edges = np.stack([np.full(2, -0.5), np.array(photo_size[::-1]) - 0.5])
    room = np.stack([eyes[0] - edges[0], edges[1] - eyes[0]])
    return float((reach / room).max()) if room.min() > 0 else np.inf


def align_photo(
    image: np.ndarray, keypoints: np.ndarray, to_frame: np.ndarray, size: Size
) -> AlignedPhoto:
    """Align a photo (H, W, 3) to the frame; it is downscaled at most, not yet resampled."""
    image, to_small = downscale(
        image, downscale_factor(to_frame), source_region(to_frame, size, margin=2)
    )
    return AlignedPhoto(
        image.copy(),
        transform_points(to_frame, keypoints),
        compose_affine(to_small, invert_affine(to_frame)),
    )


def border_points(size: Size) -> np.ndarray:
    """Corners of a frame of `size` (height, width) and points between them, (4 * BORDER, 2)."""
    height, width = size
    along = np.arange(BORDER) / BORDER
    x, y = width * along, height * along
    right, bottom = np.full(BORDER, width), np.full(BORDER, height)
    sides = [(x, 0 * y), (right, y), (width - x, bottom), (0 * x, height - y)]
    return np.concatenate([np.column_stack(side) for side in sides]) - 0.5


def triangulate(first: np.ndarray, second: np.ndarray, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """A triangulation of the frame in which no triangle flips between two shapes.

    Delaunay triangulation of the mean shape and the frame's border. Points outside the frame are
    not used, nor those of triangles that would flip (a profile jaw against a frontal one).

    Args:
        first: (K, 2) pixels of the frame.
        second: likewise.
        size: (height, width) of the frame.

    Returns:
        Indices (M,) of the points that are used, and triangles (T, 3) of these and, after them, of
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
        proper = np.abs(half) > 1e-9  # no slivers between points of one side
        triangles, half = triangles[proper], half[proper]
        triangles = np.where(half[:, None] < 0, triangles[:, ::-1], triangles)
        start, end = (_areas(shape[triangles]) for shape in ends)
        # At share t the area is (1 - t)^2 start + 2 t (1 - t) mixed + t^2 end.
        mixed = 2 * np.abs(half) - (start + end) / 2
        lowest = np.sqrt(np.maximum(start * end, 0))
        flipped = (start <= 0) | (end <= 0) | (mixed <= -lowest)
        points = triangles[flipped]
        points = points[points < len(used)]
        if not len(points):
            return used, triangles
        used = np.delete(used, np.bincount(points).argmax())


def _areas(corners: np.ndarray) -> np.ndarray:
    """Twice the signed areas (T,) of triangles (T, 3, 2)."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


class Mesh:
    """A triangulation that warps photos between two shapes.

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
        """Number of the triangle at each pixel, (height, width), for points (K, 2)."""
        corners = self._vertices(shape)[self.triangles]
        few = len(corners) <= LUT_SIZE
        labels = np.zeros(self.size, np.uint8 if few else np.int32)
        bits = 8
        for number, corner in enumerate(np.round(corners * 2**bits).astype(np.int32)):
            cv2.fillConvexPoly(labels, corner, number, shift=bits)
        return labels

    def warp(self, photo: AlignedPhoto, shape: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """A photo warped so that its points lie at `shape`.

        Args:
            photo: the photo.
            shape: (K, 2) pixels of the frame.
            labels: see `labels`, for this shape.

        Returns:
            (height, width, 3) uint8 RGB.
        """
        source = transform_points(photo.from_frame, self._vertices(photo.shape))[self.triangles]
        corners = self._vertices(shape)[self.triangles]
        corners = np.concatenate([corners, np.ones((*corners.shape[:2], 1))], axis=2)
        # Per triangle (3, 2): from (x, y, 1) of the frame to a pixel of the photo.
        table = np.zeros((max(LUT_SIZE, len(corners)), 3, 2), np.float32)
        table[: len(corners)] = np.linalg.solve(corners, source)
        x, y = (self._source_coordinate(labels, table[..., axis]) for axis in (0, 1))
        return cv2.remap(photo.image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def _source_coordinate(self, labels: np.ndarray, table: np.ndarray) -> np.ndarray:
        """One coordinate in the photo of each pixel, (height, width)."""
        # A few passes of OpenCV; indexing in numpy takes several times as long.
        by_lut = len(table) == LUT_SIZE
        along, down, offset = (
            cv2.LUT(labels, column) if by_lut else column[labels] for column in table.T
        )
        along, down = cv2.multiply(along, self._x), cv2.multiply(down, self._y)
        return cv2.add(cv2.add(along, down), offset)

    def _vertices(self, shape: np.ndarray) -> np.ndarray:
        return np.concatenate([shape[self.used], self.border])


class Morph:
    """A morph from one face to another.

    Args:
        first: the start.
        second: the end.
        size: (height, width) of the frames.
    """

    def __init__(self, first: AlignedPhoto, second: AlignedPhoto, size: Size) -> None:
        self.first, self.second = first, second
        self.mesh = Mesh(first.shape, second.shape, size)
        self._pool = ThreadPoolExecutor(2)

    def shape(self, share: float) -> np.ndarray:
        """Points (K, 2) in pixels of the frame at `share` of the morph, from 0 to 1."""
        return (1 - share) * self.first.shape + share * self.second.shape

    def frame(self, share: float) -> np.ndarray:
        """The frame (height, width, 3) uint8 RGB at `share` of the morph, from 0 to 1."""
        shape = self.shape(share)
        labels = self.mesh.labels(shape)
        ends = (self.first, self.second)
        first, second = self._pool.map(lambda end: self.mesh.warp(end, shape, labels), ends)
        return cv2.addWeighted(first, 1 - share, second, share, 0.0)


def mean_face(photos: Iterable[AlignedPhoto], shape: np.ndarray, size: Size) -> np.ndarray:
    """The mean of photos that are all warped to one shape.

    Args:
        photos: only one at a time is held in memory.
        shape: (K, 2) pixels of the frame: their mean shape.
        size: (height, width) of the frame.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    total, count = np.zeros((*size, 3), np.float32), 0
    for photo in photos:
        mesh = Mesh(photo.shape, shape, size)
        total += mesh.warp(photo, shape, mesh.labels(shape))
        count += 1
    return np.round(total / count).astype(np.uint8)
