"""Landmark schemes: order, parts, skeleton and flip pairs of the points on a face.

Left and right are the subject's own, as in the literature: the right eye is on the left side of the
picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MAX_POINTS = 10_000
"""Largest scheme that a checkpoint may describe."""


@dataclass(frozen=True)
class LandmarkScheme:
    """A fixed order of landmarks on a face.

    Args:
        name: short name, e.g. `ibug68`.
        count: number of points.
        parts: indices of each part of the face, in drawing order.
        closed: names of the parts whose outline returns to its first point.
        flip_pairs: pairs (a, b) of points that are exchanged in a mirrored face.
        outer_eye_corners: (right, left) indices; their distance normalises the NME.
        nose: index of the tip of the nose.

    Raises:
        ValueError: an index out of range, a point in two flip pairs, or an unknown closed part.
    """

    name: str
    count: int
    parts: Mapping[str, tuple[int, ...]]
    closed: frozenset[str]
    flip_pairs: tuple[tuple[int, int], ...]
    outer_eye_corners: tuple[int, int]
    nose: int
    flip_indices: np.ndarray = field(init=False, repr=False, compare=False)
    """(count,) index of the point that takes each point's place in a mirrored face."""

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_POINTS:
            raise ValueError(f"a scheme of {self.count} points")
        paired = [point for pair in self.flip_pairs for point in pair]
        members = [point for part in self.parts.values() for point in part]
        for point in (*paired, *members, *self.outer_eye_corners, self.nose):
            if not 0 <= point < self.count:
                raise ValueError(f"point {point} in a scheme of {self.count}")
        if len(set(paired)) != len(paired) or not self.closed <= self.parts.keys():
            raise ValueError(f"flip pairs {self.flip_pairs}, closed parts {sorted(self.closed)}")
        indices = np.arange(self.count)
        for a, b in self.flip_pairs:
            indices[a], indices[b] = b, a
        indices.setflags(write=False)
        object.__setattr__(self, "flip_indices", indices)

    @property
    def skeleton(self) -> tuple[tuple[int, ...], ...]:
        """Chains of indices to draw, one per part; closed ones end at their first point."""
        return tuple(
            points + points[:1] if name in self.closed else points
            for name, points in self.parts.items()
        )

    @property
    def regions(self) -> dict[str, tuple[int, ...]]:
        """The parts with both sides joined: jaw, brows, eyes, nose, mouth."""
        joined: dict[str, tuple[int, ...]] = {}
        for name, points in self.parts.items():
            side, _, part = name.rpartition("_")
            key = f"{part}s" if side in ("left", "right") else part
            joined[key] = joined.get(key, ()) + points
        return joined

    def interocular_distance(self, keypoints: np.ndarray) -> np.ndarray:
        """Distance of the outer eye corners; (..., count, 2) in, (...) out, in the same unit."""
        right, left = self.outer_eye_corners
        return np.linalg.norm(keypoints[..., right, :] - keypoints[..., left, :], axis=-1)

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, as stored in checkpoints."""
        return {
            "name": self.name,
            "count": self.count,
            "parts": {name: list(points) for name, points in self.parts.items()},
            "closed": sorted(self.closed),
            "flip_pairs": [list(pair) for pair in self.flip_pairs],
            "outer_eye_corners": list(self.outer_eye_corners),
            "nose": self.nose,
        }

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> LandmarkScheme:
        """The scheme that `to_dict` described.

        Raises:
            KeyError, TypeError, ValueError: a missing entry, or one that makes no sense.
        """
        right, left = entry["outer_eye_corners"]
        return cls(
            name=str(entry["name"]),
            count=int(entry["count"]),
            parts={str(name): tuple(map(int, part)) for name, part in entry["parts"].items()},
            closed=frozenset(map(str, entry["closed"])),
            flip_pairs=tuple((int(a), int(b)) for a, b in entry["flip_pairs"]),
            outer_eye_corners=(int(right), int(left)),
            nose=int(entry["nose"]),
        )


def _span(first: int, last: int) -> tuple[int, ...]:
    return tuple(range(first, last + 1))


def _reversing(first: int, last: int) -> tuple[tuple[int, int], ...]:
    """Flip pairs of a chain across the midline: first with last, second with last but one, ..."""
    return tuple((first + i, last - i) for i in range((last - first + 1) // 2))


IMM58 = LandmarkScheme(
    name="imm58",
    count=58,
    parts={
        "jaw": _span(0, 12),
        "left_eye": _span(13, 20),
        "right_eye": _span(21, 28),
        "left_brow": _span(29, 33),
        "right_brow": _span(34, 38),
        "mouth": _span(39, 46),
        "nose": _span(47, 57),
    },
    closed=frozenset({"left_eye", "right_eye", "mouth"}),
    flip_pairs=(
        *_reversing(0, 12),
        *((13 + i, 21 + i) for i in range(8)),
        *((29 + i, 34 + i) for i in range(5)),
        (39, 43),
        (40, 42),
        (44, 46),
        *_reversing(47, 57),
    ),
    outer_eye_corners=(21, 13),
    nose=52,
)
"""IMM Face Database (Nordstrøm et al., DTU 2004): 58 points in seven paths."""

IBUG68 = LandmarkScheme(
    name="ibug68",
    count=68,
    parts={
        "jaw": _span(0, 16),
        "right_brow": _span(17, 21),
        "left_brow": _span(22, 26),
        "upper_nose": _span(27, 30),
        "lower_nose": _span(31, 35),
        "right_eye": _span(36, 41),
        "left_eye": _span(42, 47),
        "outer_mouth": _span(48, 59),
        "inner_mouth": _span(60, 67),
    },
    closed=frozenset({"right_eye", "left_eye", "outer_mouth", "inner_mouth"}),
    flip_pairs=(
        *_reversing(0, 16),
        *_reversing(17, 26),
        *_reversing(31, 35),
        (36, 45),
        (37, 44),
        (38, 43),
        (39, 42),
        (40, 47),
        (41, 46),
        *_reversing(48, 54),
        *_reversing(55, 59),
        *_reversing(60, 64),
        *_reversing(65, 67),
    ),
    outer_eye_corners=(36, 45),
    nose=30,
)
"""Multi-PIE mark-up of iBUG 300-W (Sagonas et al., IMAVIS 2016): 68 points."""

SCHEMES = {scheme.name: scheme for scheme in (IMM58, IBUG68)}
"""The schemes of the data sets that facekp reads, by name."""
