"""What the points are: names, left/right partners and lines of the two landmark schemes.

Left and right are the subject's own, as in the literature: the right eye is on the left side of the
picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class LandmarkScheme:
    """A fixed order of landmarks on a face.

    Args:
        name: short name, as stored in checkpoints.
        count: number of points.
        groups: indices of each part of the face, in drawing order.
        closed: names of the groups whose line returns to its first point.
        swaps: pairs (a, b) of points that change places in a mirrored face.
        outer_eye_corners: (right, left) indices; their distance normalises the NME.
        nose: index of the nose point.
    """

    name: str
    count: int
    groups: Mapping[str, tuple[int, ...]]
    closed: frozenset[str]
    swaps: tuple[tuple[int, int], ...]
    outer_eye_corners: tuple[int, int]
    nose: int
    partners: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        partners = np.arange(self.count)
        for a, b in self.swaps:
            partners[a], partners[b] = b, a
        partners.setflags(write=False)
        object.__setattr__(self, "partners", partners)

    @property
    def lines(self) -> tuple[tuple[int, ...], ...]:
        """Index chains to draw, one a group; closed ones end where they began."""
        return tuple(
            points + points[:1] if name in self.closed else points
            for name, points in self.groups.items()
        )

    @property
    def regions(self) -> dict[str, tuple[int, ...]]:
        """The groups with both sides joined: jaw, brows, eyes, nose, mouth."""
        joined: dict[str, tuple[int, ...]] = {}
        for name, points in self.groups.items():
            side, _, part = name.rpartition("_")
            key = f"{part}s" if side in ("left", "right") else part
            joined[key] = joined.get(key, ()) + points
        return joined

    def interocular(self, keypoints: np.ndarray) -> np.ndarray:
        """Distance of the outer eye corners; (..., count, 2) in, (...) out, in the same unit."""
        right, left = self.outer_eye_corners
        return np.linalg.norm(keypoints[..., right, :] - keypoints[..., left, :], axis=-1)


def _span(first: int, last: int) -> tuple[int, ...]:
    return tuple(range(first, last + 1))


def _reversing(first: int, last: int) -> tuple[tuple[int, int], ...]:
    """Swaps of a chain that crosses the midline: first with last, second with last but one, ..."""
    return tuple((first + i, last - i) for i in range((last - first + 1) // 2))


IMM58 = LandmarkScheme(
    name="imm58",
    count=58,
    groups={
        "jaw": _span(0, 12),
        "left_eye": _span(13, 20),
        "right_eye": _span(21, 28),
        "left_brow": _span(29, 33),
        "right_brow": _span(34, 38),
        "mouth": _span(39, 46),
        "nose": _span(47, 57),
    },
    closed=frozenset({"left_eye", "right_eye", "mouth"}),
    swaps=(
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
    groups={
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
    swaps=(
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
