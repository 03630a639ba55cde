"""Landmark schemes: names, parts, skeleton, flip pairs and normaliser of a fixed order of points.

Left and right are the subject's own, as in the literature: the right eye is on the left side of the
picture. Bundled schemes are the files in `conf/landmarks/`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from facekp.core.conf import CONF
from facekp.core.errors import ConfigError, DataError
from facekp.core.geometry import Size

MAX_POINTS = 10_000
"""Largest scheme that a file may describe."""
ENTRIES = (
    "name", "names", "count", "parts", "closed", "skeleton", "flip_pairs", "normalizer",
)  # fmt: skip
"""Of a scheme's YAML file."""
NORMALIZERS = ("box", "box_diagonal", "image")
"""Normalisers that need no points: square root of the box's area, its diagonal, and the square root
of the image's area."""
_NAME = re.compile(r"\w[\w .()+-]{0,99}")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SIDES = (
    re.compile(r"(?<![a-z])left(?![a-z])"),
    re.compile(r"(?<![a-z])right(?![a-z])"),
    re.compile(r"(?<![a-z])l(?![a-z])"),
    re.compile(r"(?<![a-z])r(?![a-z])"),
)


@dataclass(frozen=True)
class Normalizer:
    """What the NME is divided by.

    Args:
        name: part of the metric's name, e.g. `interocular` in `nme_interocular`.
        first: indices of points whose mean is one end of the normalising distance; empty for one of
            `NORMALIZERS`.
        second: the same of its other end.
    """

    name: str
    first: tuple[int, ...] = ()
    second: tuple[int, ...] = ()

    def distance(self, keypoints: np.ndarray) -> np.ndarray:
        """Distance (...) of both ends in points (..., count, 2), in their unit.

        It is nan if a point is missing, or if the ends coincide, which normalises nothing.
        """
        first, second = self.ends(keypoints)
        distance = np.linalg.norm(first - second, axis=-1)
        return np.where(distance > 0, distance, np.nan)

    def ends(self, keypoints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both ends (..., 2) of the distance in points (..., count, 2)."""
        first, second = list(self.first), list(self.second)
        return keypoints[..., first, :].mean(axis=-2), keypoints[..., second, :].mean(axis=-2)

    def value(self, keypoints: np.ndarray, bbox: np.ndarray, size: Size) -> float:
        """The normaliser of a face in pixels; nan if unknown, see `distance`.

        Args:
            keypoints: (count, 2) pixels.
            bbox: (4,) `xyxy`.
            size: (height, width) of the image.
        """
        if self.first:
            return float(self.distance(keypoints))
        width, height = bbox[2:] - bbox[:2]
        if self.name == "box_diagonal":
            return float(np.hypot(width, height))
        area = width * height if self.name == "box" else size[0] * size[1]
        return float(np.sqrt(area))


@dataclass(frozen=True)
class LandmarkScheme:
    """A fixed order of landmarks.

    Args:
        name: short name, e.g. `ibug68`.
        point_names: name of each point.
        parts: indices of each part, in drawing order; each is a line of the skeleton.
        closed: names of the parts whose outline returns to its first point.
        edges: further lines of the skeleton, chains of indices.
        flip_pairs: pairs (a, b) of points that are exchanged in a mirrored picture; None if they
            are not known, so that pictures must not be mirrored.
        normalizer: of the NME.

    Raises:
        ValueError: a name that no file can have, duplicate names, an index out of range, a point
            in two flip pairs, an unknown closed part, or an unknown normaliser.
    """

    name: str
    point_names: tuple[str, ...]
    parts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    closed: frozenset[str] = frozenset()
    edges: tuple[tuple[int, ...], ...] = ()
    flip_pairs: tuple[tuple[int, int], ...] | None = None
    normalizer: Normalizer = Normalizer("box")
    flip_indices: np.ndarray = field(init=False, repr=False, compare=False)
    """(count,) index of the point that takes each point's place in a mirrored picture."""

    def __post_init__(self) -> None:
        for name in (self.name, self.normalizer.name):  # they become parts of file names
            if not _NAME.fullmatch(name):
                raise ValueError(f"the name {name[:40]!r}: use letters, digits, and _ - . ( )")
        if not 1 <= self.count <= MAX_POINTS:
            raise ValueError(f"a scheme of {self.count} points")
        if len(set(self.point_names)) != self.count:
            twice = {n for n in self.point_names if self.point_names.count(n) > 1}
            raise ValueError(f"points with the same name: {', '.join(sorted(twice))}")
        self._check_normalizer()
        ends = self.normalizer.first, self.normalizer.second
        paired = [point for pair in self.flip_pairs or () for point in pair]
        chains = [*self.parts.values(), *self.edges, *ends]
        for point in (*paired, *(point for chain in chains for point in chain)):
            if not 0 <= point < self.count:
                raise ValueError(f"point {point} in a scheme of {self.count}")
        if len(set(paired)) != len(paired) or not self.closed <= self.parts.keys():
            raise ValueError(f"flip pairs {self.flip_pairs}, closed parts {sorted(self.closed)}")
        indices = np.arange(self.count)
        for a, b in self.flip_pairs or ():
            indices[a], indices[b] = b, a
        indices.setflags(write=False)
        object.__setattr__(self, "flip_indices", indices)

    def _check_normalizer(self) -> None:
        name, ends = self.normalizer.name, (self.normalizer.first, self.normalizer.second)
        if all(ends) != any(ends) or (not any(ends) and name not in NORMALIZERS):
            choices = f"give two sets of points, or {', '.join(NORMALIZERS)}"
            raise ValueError(f"normalizer {name}: {choices}")

    @property
    def count(self) -> int:
        """Number of points."""
        return len(self.point_names)

    @property
    def skeleton(self) -> tuple[tuple[int, ...], ...]:
        """Chains of indices to draw; closed parts end at their first point."""
        parts = tuple(
            points + points[:1] if name in self.closed else points
            for name, points in self.parts.items()
        )
        return parts + self.edges

    @property
    def regions(self) -> dict[str, tuple[int, ...]]:
        """The parts with both sides joined: jaw, brows, eyes, nose, mouth."""
        joined: dict[str, tuple[int, ...]] = {}
        for name, points in self.parts.items():
            side, _, part = name.rpartition("_")
            key = f"{part}s" if side in ("left", "right") else part
            joined[key] = joined.get(key, ()) + points
        return joined

    def subset(self, points: Sequence[int]) -> LandmarkScheme:
        """The scheme of some of the points, in their order.

        Parts and skeleton keep what remains of them. Flip pairs are unknown if a counterpart is
        missing; without a point of the normaliser, the normaliser is the box.
        """
        if list(points) == list(range(self.count)):
            return self
        place = {point: at for at, point in enumerate(points)}
        chains = {
            name: tuple(place[point] for point in chain if point in place)
            for name, chain in self.parts.items()
        }
        edges = [tuple(place[point] for point in edge if point in place) for edge in self.edges]
        pairs = self.flip_pairs
        if pairs is not None:
            kept = [pair for pair in pairs if set(pair) & place.keys()]
            whole = all(set(pair) <= place.keys() for pair in kept)
            pairs = tuple((place[a], place[b]) for a, b in kept) if whole else None
        ends = self.normalizer.first, self.normalizer.second
        normalizer = Normalizer("box")
        if {*ends[0], *ends[1]} <= place.keys():
            first, second = (tuple(place[point] for point in end) for end in ends)
            normalizer = Normalizer(self.normalizer.name, first, second)
        return LandmarkScheme(
            name=f"{self.name}_{len(points)}",
            point_names=tuple(self.point_names[point] for point in points),
            parts={name: chain for name, chain in chains.items() if chain},
            closed=frozenset(name for name in self.closed if len(chains[name]) > 2),
            edges=tuple(edge for edge in edges if len(edge) > 1),
            flip_pairs=pairs,
            normalizer=normalizer,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, as stored in checkpoints and read from `conf/landmarks/`."""
        pairs = self.flip_pairs
        ends = [list(self.normalizer.first), list(self.normalizer.second)]
        return {
            "name": self.name,
            "names": list(self.point_names),
            "parts": {name: list(points) for name, points in self.parts.items()},
            "closed": sorted(self.closed),
            "skeleton": [list(edge) for edge in self.edges],
            "flip_pairs": None if pairs is None else [list(pair) for pair in pairs],
            "normalizer": {"name": self.normalizer.name, "points": ends if ends[0] else None},
        }

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> LandmarkScheme:
        """The scheme that `to_dict` or a YAML file describes.

        Points are given by index, by name, or as a range `3-7`; `count: 5` in place of `names`
        names the points 0 to 4; `normalizer: box` is short for `normalizer: {name: box}`.

        Raises:
            KeyError, TypeError, ValueError: a missing entry, or one that makes no sense.
        """
        count = int(entry.get("count", 0))
        if count > MAX_POINTS:
            raise ValueError(f"a scheme of {count} points")
        names = tuple(map(str, entry["names"] if "names" in entry else range(count)))
        index = {name: at for at, name in enumerate(names)}
        pairs = entry.get("flip_pairs")
        normalizer = entry.get("normalizer") or "box"
        if isinstance(normalizer, str):
            normalizer = {"name": normalizer}
        first, second = normalizer.get("points") or ((), ())
        return cls(
            name=str(entry["name"]),
            point_names=names,
            parts={str(n): _indices(p, index) for n, p in (entry.get("parts") or {}).items()},
            closed=frozenset(map(str, entry.get("closed") or ())),
            edges=tuple(_indices(edge, index) for edge in entry.get("skeleton") or ()),
            flip_pairs=None if pairs is None else tuple(_pair(pair, index) for pair in pairs),
            normalizer=Normalizer(
                str(normalizer["name"]), _indices(first, index), _indices(second, index)
            ),
        )

    def to_yaml(self) -> str:
        """The scheme as a file for `conf/landmarks/` or `dataset.landmarks=`."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, default_flow_style=None, width=100)


def _indices(points: Any, index: Mapping[str, int]) -> tuple[int, ...]:
    """Indices of points given by index, name or range."""
    entries = [points] if isinstance(points, int | str) else points
    found: list[int] = []
    for entry in entries:
        span = re.fullmatch(r"(\d{1,5})-(\d{1,5})", entry) if isinstance(entry, str) else None
        if span and int(span[1]) > int(span[2]):
            raise ValueError(f"the range {entry} is empty")
        if span:
            found += range(int(span[1]), min(int(span[2]), MAX_POINTS) + 1)
        elif isinstance(entry, str):
            if entry not in index:
                raise ValueError(f"there is no point {entry}")
            found.append(index[entry])
        else:
            found.append(int(entry))
    return tuple(found)


def _pair(pair: Any, index: Mapping[str, int]) -> tuple[int, int]:
    a, b = _indices(pair, index)
    return a, b


def flip_pairs_by_name(names: Sequence[str]) -> tuple[tuple[int, int], ...] | None:
    """Flip pairs read off `left` and `right` (or `l` and `r`) in the names; None if there are none.

    Raises:
        ValueError: a name with one side whose counterpart is missing.
    """
    lower = [_CAMEL.sub("_", name).lower() for name in names]
    place = {name: at for at, name in enumerate(lower)}
    pairs: list[tuple[int, int]] = []
    for left, right in (_SIDES[:2], _SIDES[2:]):
        # In `left_eye_l` and its like, `l` is no side.
        free = _without(place, pairs)
        keys = {left.sub("*", name): at for name, at in free.items() if left.search(name)}
        others = {right.sub("*", name): at for name, at in free.items() if right.search(name)}
        # Beside `left_lip` and `right_lip`, `lip_l` may be the lower one.
        if not pairs and keys.keys() != others.keys():
            alone = sorted(keys.keys() ^ others.keys())
            raise ValueError(f"no counterpart on the other side: {', '.join(alone)}")
        pairs += [(keys[key], others[key]) for key in keys if key in others]
    # `lefteye` and `righteye`: only if each has its counterpart, as `cleft` has none.
    free = _without(place, pairs)
    for name, at in free.items():
        other = free.get(name.replace("left", "right"), at)
        if other != at:
            pairs.append((at, other))
    return tuple(pairs) or None


def _without(place: Mapping[str, int], pairs: Sequence[tuple[int, int]]) -> dict[str, int]:
    """The indices by name of the points that are in no pair."""
    paired = {at for pair in pairs for at in pair}
    return {name: at for name, at in place.items() if at not in paired}


def read_scheme(path: str | Path) -> LandmarkScheme:
    """Read a scheme from a YAML file, see `LandmarkScheme.from_dict`.

    Raises:
        DataError: the file is missing or describes no scheme.
    """
    path = Path(path)
    remedy = "give names (or count), flip_pairs and normalizer as in conf/landmarks/kaggle15.yaml"
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        entry = yaml.load(path.read_text(encoding="utf-8"), loader)
        if unknown := [str(key) for key in entry if key not in ENTRIES]:
            raise ValueError(f"unknown entry {unknown[0]}: choose from {', '.join(ENTRIES)}")
        scheme = LandmarkScheme.from_dict({"name": path.stem, **entry})
        # Figures of regions are called nme_REGION, beside nme_NORMALIZER. Networks that were
        # trained before this was refused can still be used.
        if taken := scheme.regions.keys() & {scheme.normalizer.name, "visible", "occluded"}:
            raise ValueError(f"the part or normalizer {min(taken)}: give it another name")
        return scheme
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})", "check the path") from error
    except KeyError as error:
        raise DataError(path, f"{error.args[0]} is missing", remedy) from error
    except (TypeError, ValueError, AttributeError, RecursionError, yaml.YAMLError) as error:
        problem = " ".join(f"not a landmark scheme ({error})".split())
        raise DataError(path, problem, remedy) from error


@cache
def bundled_schemes() -> dict[str, LandmarkScheme]:
    """The schemes of `conf/landmarks/`, by name."""
    return {path.stem: read_scheme(path) for path in sorted((CONF / "landmarks").glob("*.yaml"))}


def find_scheme(name: str | Path) -> LandmarkScheme:
    """A bundled scheme by name, or the scheme of a YAML file.

    Raises:
        ConfigError: neither.
        DataError: see `read_scheme`.
    """
    if str(name) in bundled_schemes():
        return bundled_schemes()[str(name)]
    if not Path(name).is_file():
        choices = ", ".join(bundled_schemes())
        raise ConfigError(f"landmarks={name}: no such file; give a YAML file, or one of {choices}")
    return read_scheme(name)


IMM58 = bundled_schemes()["imm58"]
"""IMM Face Database (Nordstrøm et al., DTU 2004): 58 points in seven paths."""
IBUG68 = bundled_schemes()["ibug68"]
"""Multi-PIE mark-up of iBUG 300-W (Sagonas et al., IMAVIS 2016): 68 points."""
