"""What a network is: the description in every checkpoint and every exported network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from facekp.core.crop import Crop
from facekp.core.geometry import box_prior
from facekp.core.landmarks import LandmarkScheme, bundled_schemes

DESCRIPTION_KEY = "facekp"
"""Entry of a checkpoint, and of an ONNX file's metadata, that holds the description."""
FORMAT = 4
"""Of what `to_dict` gives; files of format 1, without the entry, 2 and 3 are read too."""
MAX_INPUT_SIDE = 4096
"""Pixels; a checkpoint with a larger input is refused, as it could ask for all memory."""
MAX_BOX_PRIOR = 1000.0
"""Largest distance of a box from the points in it, in sizes of their bounding box."""
MAX_BOX_SCALE = 100.0
"""The same for the expansion of face boxes."""

# Classes that have moved since format 1, as they stand in configurations.
_MOVED = {
    "facekp.augmentation.": "facekp.data.augmentation.",
    "facekp.losses.": "facekp.training.losses.",
    "facekp.trainer.": "facekp.training.trainer.",
    "facekp.callbacks.": "facekp.training.callbacks.",
}


@dataclass(frozen=True, eq=False)
class NetworkDescription:
    """Everything that is needed to use a network: points, crop, box prior, configuration.

    It is validated once, when it is made.

    Args:
        scheme: the landmark scheme of the training data.
        points: indices in the scheme of the K points that the network predicts.
        crop: how a face box becomes the network's input.
        box_source: what the boxes of the training data are: `image`, or a detector's name.
        box_prior: (4,) a training face's box relative to the bounding box of the K points, see
            `geometry.relative_box`.
        detector_prior: (4,) the same relative to the points of a whole face, as detectors'
            `points_prior` describe them; None: the K points are such, so that `box_prior` is it.
        mean_shape: (K, 2) mean of the training faces' points, in normalised coordinates.
        config: the resolved configuration of the training.
        protocol: name of the split protocol; it decides what figures may be compared with.
        data_fingerprint: SHA-256 of the training data, see `FaceDataModule.fingerprint`.
        seed: of the training.
        version: of facekp.
        environment: versions and machine of the training.

    Raises:
        ValueError: a value out of range, or values that contradict each other.
    """

    scheme: LandmarkScheme
    points: tuple[int, ...]
    crop: Crop
    box_source: str
    box_prior: np.ndarray
    mean_shape: np.ndarray
    config: Mapping[str, Any]
    protocol: str = ""
    data_fingerprint: str = ""
    seed: int = 0
    version: str = ""
    environment: Mapping[str, Any] = field(default_factory=dict)
    detector_prior: np.ndarray | None = None

    def __post_init__(self) -> None:
        crop = self.crop
        sides_fit = 1 <= min(crop.size) <= max(crop.size) <= MAX_INPUT_SIDE
        if not sides_fit or crop.channels not in (1, 3):
            raise ValueError(f"crop: {crop}")
        if not 0 < crop.box_scale <= MAX_BOX_SCALE:
            raise ValueError(f"box_scale={crop.box_scale}")
        indices = set(self.points)
        if not indices or len(indices) != len(self.points):
            raise ValueError(f"points: {list(self.points)}")
        if not indices <= set(range(self.scheme.count)):
            raise ValueError(f"points: {list(self.points)} of {self.scheme.count}")
        if self.mean_shape.shape != (len(self.points), 2) or self.box_prior.shape != (4,):
            raise ValueError("mean_shape or box_prior does not match the points")
        if not np.isfinite(self.mean_shape).all():
            raise ValueError("mean_shape is not finite")
        _check_prior("box_prior", self.box_prior)
        if self.detector_prior is not None:
            _check_prior("detector_prior", self.detector_prior)

    @property
    def flip_order(self) -> list[int] | None:
        """Order of the K points in a mirrored face; None if a counterpart is missing or unknown."""
        if self.scheme.flip_pairs is None:
            return None
        counterparts = [int(self.scheme.flip_indices[point]) for point in self.points]
        if set(counterparts) != set(self.points):
            return None
        return [self.points.index(point) for point in counterparts]

    @property
    def covers_scheme(self) -> bool:
        """Whether the network predicts all points of its scheme, in order."""
        return list(self.points) == list(range(self.scheme.count))

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, as stored in checkpoints and exported networks."""
        crop = self.crop
        return {
            "format": FORMAT,
            "facekp": self.version,
            "seed": self.seed,
            "scheme": self.scheme.to_dict(),
            "points": list(self.points),
            "protocol": self.protocol,
            "box_source": self.box_source,
            "box_prior": self.box_prior.tolist(),
            "detector_prior": None if self.detector_prior is None else self.detector_prior.tolist(),
            "mean_shape": self.mean_shape.tolist(),
            "crop": {
                "size": list(crop.size),
                "channels": crop.channels,
                "box_scale": crop.box_scale,
                "square": crop.square,
            },
            "data_fingerprint": self.data_fingerprint,
            "environment": dict(self.environment),
            "config": dict(self.config),
        }

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> NetworkDescription:
        """The description that `to_dict` gave, by this version of facekp or an earlier one.

        Args:
            entry: plain containers, perhaps untrusted.

        Raises:
            ValueError: an entry is missing or makes no sense; the message names it.
        """
        try:
            return cls._parse(_upgraded(entry))
        except KeyError as error:
            raise ValueError(f"{error.args[0]} is missing") from error
        except (TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError(str(error)) from error

    @classmethod
    def _parse(cls, entry: Mapping[str, Any]) -> NetworkDescription:
        height, width = entry["crop"]["size"]
        crop = Crop(
            (int(height), int(width)),
            int(entry["crop"]["channels"]),
            float(entry["crop"]["box_scale"]),
            bool(entry["crop"]["square"]),
        )
        scheme = LandmarkScheme.from_dict(entry["scheme"])
        points = tuple(int(point) for point in entry["points"])
        mean_shape = np.array(entry["mean_shape"], dtype=float).reshape(-1, 2)
        prior, detector = entry["box_prior"], entry.get("detector_prior")
        if entry.get("format") != FORMAT and len(points) < scheme.count:
            # Earlier versions measured `box_prior` with all points of the scheme.
            detector = prior if detector is None else detector
            prior = _box_prior_of(mean_shape, crop)
        return cls(
            scheme=scheme,
            points=points,
            crop=crop,
            box_source=str(entry["box_source"]),
            box_prior=np.array(prior, dtype=float),
            detector_prior=None if detector is None else np.array(detector, dtype=float),
            mean_shape=mean_shape,
            config=dict(entry["config"]),
            protocol=str(entry.get("protocol", "")),
            data_fingerprint=str(entry.get("data_fingerprint", "")),
            seed=int(entry.get("seed", 0)),
            version=str(entry.get("facekp", "")),
            environment=dict(entry.get("environment", {})),
        )


def _box_prior_of(mean_shape: np.ndarray, crop: Crop) -> np.ndarray:
    """(4,) box prior of a mean shape (K, 2): the box is the crop's centre, over its expansion."""
    side = np.array(crop.size[::-1], dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):  # a scale of 0 is refused later
        box = np.concatenate([-side, side]) / (2 * crop.box_scale) + np.tile(side / 2, 2)
        return box_prior([(box, mean_shape * side)])


def _check_prior(name: str, prior: np.ndarray) -> None:
    """Check a box (dx, dy, width, height) that is relative to another, see `relative_box`.

    Raises:
        ValueError: it is not finite, empty, or implausibly large.
    """
    if prior.shape != (4,) or not np.isfinite(prior).all():
        raise ValueError(f"{name} is not four finite numbers")
    if not 0 < prior[2:].min() <= np.abs(prior).max() <= MAX_BOX_PRIOR:
        raise ValueError(f"{name}: {prior.tolist()}")


def _upgraded(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of any format as one of today's."""
    entry = dict(entry)
    if entry.get("format") == 2:
        scheme = dict(entry["scheme"])
        ends = [[point] for point in scheme.pop("outer_eye_corners")]
        scheme["normalizer"] = {"name": "interocular", "points": ends}
        return entry | {"scheme": scheme}
    if "format" in entry:
        if entry["format"] not in (3, FORMAT):
            raise ValueError(f"format {entry['format']} is newer than this version of facekp")
        return entry
    if entry["scheme"] not in ("imm58", "ibug68"):
        raise ValueError(f"scheme {entry['scheme']!r} is unknown")
    entry["scheme"] = bundled_schemes()[entry["scheme"]].to_dict()
    for old, new in (("view", "crop"), ("framing", "box_prior"), ("box_kind", "box_source")):
        entry[new] = entry.pop(old)
    entry["config"] = _with_moved_classes(entry["config"])
    return entry


def _with_moved_classes(node: Any) -> Any:
    """A configuration whose `_target_` entries name classes where they are today."""
    if isinstance(node, dict):
        return {key: _with_moved_classes(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_with_moved_classes(value) for value in node]
    if isinstance(node, str):
        for old, new in _MOVED.items():
            if node.startswith(old):
                return new + node.removeprefix(old)
    return node
