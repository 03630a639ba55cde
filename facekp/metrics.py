"""Every metric: its formula, name, unit, direction and format, defined once.

A new metric is a subclass of `FaceMetric` and an entry in `METRICS`; training logs, `metrics.csv`,
printed tables and reports then have it. All are means over faces. The formulas work on NumPy arrays
and on torch tensors.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import Module
from torchmetrics import Metric

from facekp.core.geometry import distances_to_curves
from facekp.core.landmarks import LandmarkScheme

THRESHOLD = 0.08
"""Of AUC and failure rate, as a fraction of the normaliser, where nothing else is chosen."""


@dataclass(frozen=True, eq=False)
class PointErrors:
    """Errors of B faces with K points each.

    Args:
        normalised: (B, K, 2) prediction minus target in normalised coordinates.
        pixels: (B, K, 2) the same in pixels of the photo.
        nme: (B,) normalised mean error, see `nme`.
    """

    normalised: Any
    pixels: Any
    nme: Any


def nme(pixels: Any, normalizer: Any) -> Any:
    """Normalised mean error of each face, (B,): mean point-to-point distance over `normalizer`.

    With the distance of the outer eye corners as the normaliser this is 300-W's error (C. Sagonas
    et al., "300 faces in-the-wild challenge", IMAVIS 2016).

    Args:
        pixels: (B, K, 2) prediction minus target.
        normalizer: (B,) in the same unit.
    """
    return _mean((pixels**2).sum(-1) ** 0.5, (-1,)) / normalizer


def _mean(values: Any, axes: tuple[int, ...]) -> Any:
    """Mean over the values that are not nan; nan if there is none."""
    library: Any = torch if isinstance(values, Tensor) else np
    present = ~library.isnan(values)
    with np.errstate(invalid="ignore"):
        return library.where(present, values, 0.0).sum(axes) / present.sum(axes)


def normalizer_title(name: str) -> str:
    """What a normaliser is, for labels."""
    known = {
        "interocular": "the distance of the outer eye corners",
        "box": "the square root of the box's area",
        "box_diagonal": "the box's diagonal",
        "image": "the square root of the image's area",
    }
    return known.get(name, f"the distance {name}")


class FaceMetric(ABC):
    """A metric of a face.

    Args:
        threshold: T of AUC and failure rate, as a fraction of the normaliser.
        normalizer: name of the NME's normaliser, see `Normalizer`.
    """

    key: ClassVar[str]
    """Beginning of its name, by which it is recognised."""
    title: ClassVar[str]
    """What it is; `{percent}` stands for the threshold, `{normalizer}` for the normaliser."""
    unit: ClassVar[str] = ""
    """`px`, `%` (of a fraction), or empty."""
    higher_is_better: ClassVar[bool] = False
    of_input: ClassVar[bool] = False
    """Whether it is in normalised coordinates of the input, which only training knows."""
    of_nme: ClassVar[bool] = False
    """Whether it is derived from the NME, so that tables of faces need no column for it."""

    def __init__(self, threshold: float, normalizer: str) -> None:
        self.threshold, self.normalizer = threshold, normalizer

    @property
    def name(self) -> str:
        """Name in tables, logs and files."""
        return self.key

    @property
    def label(self) -> str:
        """The title with threshold and normaliser filled in."""
        over = normalizer_title(self.normalizer)
        return self.title.format(percent=f"{100 * self.threshold:g} %", normalizer=over)

    @abstractmethod
    def values(self, errors: PointErrors) -> Any:
        """Value (B,) for each face; nan if it is not defined."""

    @classmethod
    def format(cls, value: float) -> str:
        """The value as it is printed, with its unit."""
        if cls.unit == "%":
            return f"{100 * value:.2f} %"
        return f"{value:.2f} px" if cls.unit == "px" else f"{value:.4g}"


class MeanSquaredError(FaceMetric):
    """Mean squared error in normalised coordinates, as the course plots it."""

    key = "mse"
    title = "MSE, normalised coordinates"
    of_input = True

    def values(self, errors: PointErrors) -> Any:
        """Mean over the coordinates of a face."""
        return _mean(errors.normalised**2, (1, 2))


class MeanAbsoluteError(FaceMetric):
    """Mean absolute error per coordinate in pixels of the photo, the competition's metric."""

    key = "mae_px"
    title = "mean absolute error per coordinate"
    unit = "px"

    def values(self, errors: PointErrors) -> Any:
        """Mean over the coordinates of a face."""
        return _mean(abs(errors.pixels), (1, 2))


class NormalizedMeanError(FaceMetric):
    """NME, as a fraction of the scheme's normaliser."""

    key = "nme"
    title = "NME over {normalizer}"
    unit = "%"

    @property
    def name(self) -> str:
        """With its normaliser."""
        return f"nme_{self.normalizer}"

    def values(self, errors: PointErrors) -> Any:
        """The NME."""
        return errors.nme


class AreaUnderCurve(FaceMetric):
    """Area under the cumulative error curve up to T: `mean(clip(1 - nme / T, 0))`."""

    key = "auc"
    title = "AUC up to {percent}"
    unit = "%"
    of_nme = True
    higher_is_better = True

    @property
    def name(self) -> str:
        """With threshold and normaliser."""
        return f"auc_{self.threshold:g}_{self.normalizer}"

    def values(self, errors: PointErrors) -> Any:
        """A face's share of the area."""
        return (1 - errors.nme / self.threshold).clip(min=0)


class FailureRate(FaceMetric):
    """Share of faces whose NME exceeds T."""

    key = "failure"
    title = "failures, NME above {percent}"
    unit = "%"
    of_nme = True

    @property
    def name(self) -> str:
        """With threshold and normaliser."""
        return f"failure_{self.threshold:g}_{self.normalizer}"

    def values(self, errors: PointErrors) -> Any:
        """1 for a failure, else 0."""
        return 0 * errors.nme + (errors.nme > self.threshold)


METRICS: tuple[type[FaceMetric], ...] = (
    MeanSquaredError,
    MeanAbsoluteError,
    NormalizedMeanError,
    AreaUnderCurve,
    FailureRate,
)


def metric_names(
    threshold: float, normalizer: str, lower_is_better: bool = False
) -> tuple[str, ...]:
    """Names of all metrics, or only of those that are better when lower."""
    metrics = [metric(threshold, normalizer) for metric in METRICS]
    return tuple(m.name for m in metrics if not (lower_is_better and m.higher_is_better))


COUNTS = ("images", "images_in_nme")
"""Numbers of faces in the tables of metrics, see `summarize`."""


def format_metric(name: str, value: float) -> str:
    """A metric as it is printed.

    Args:
        name: e.g. `nme_interocular`, `val/mse` or `nme_jaw`; metrics of other names, such as a
            loss, are printed as plain numbers.
        value: of the metric.
    """
    base = name.rpartition("/")[2]
    if base in COUNTS:
        return "" if math.isnan(value) else str(int(value))
    known = [metric for metric in METRICS if base.startswith(metric.key)]
    # The longest, as a key may be the beginning of another.
    best = max(known, key=lambda metric: len(metric.key), default=MeanSquaredError)
    return best.format(value)


NO_FLOAT64 = ("mps",)
"""Types of devices that cannot hold float64: Apple's GPUs. Sums are kept on the CPU there."""


def device_of_sums(device: torch.device) -> torch.device:
    """Where float64 sums of values on a device are kept."""
    return torch.device("cpu") if device.type in NO_FLOAT64 else device


class KeypointMetrics(Metric):
    """All metrics over all faces seen; `compute` gives a dict of scalars.

    States are sums over faces: exact for any batch sizes and any number of devices. A face counts
    in each metric that is defined for it: without a point of the normaliser not in the NME.

    Args:
        threshold: of AUC and failure rate, as a fraction of the normaliser.
        normalizer: name of the NME's normaliser.
    """

    full_state_update = False
    counts: Tensor
    sums: Tensor

    def __init__(self, threshold: float = THRESHOLD, normalizer: str = "interocular") -> None:
        super().__init__()
        self.threshold, self.normalizer = threshold, normalizer
        self.metrics = [metric(threshold, normalizer) for metric in METRICS]
        zeros = torch.zeros(len(METRICS), dtype=torch.float64)
        self.add_state("sums", default=zeros, dist_reduce_fx="sum")
        self.add_state("counts", default=zeros.clone(), dist_reduce_fx="sum")

    @property
    def names(self) -> tuple[str, ...]:
        """Keys of what `compute` gives."""
        return tuple(metric.name for metric in self.metrics)

    def set_dtype(self, dst_type: object) -> KeypointMetrics:
        """Keep sums in float64, whatever precision the network runs in."""
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], *arguments: Any) -> Module:
        device = fn(torch.zeros(0)).device
        return self if device_of_sums(device) != device else super()._apply(fn, *arguments)

    def update(
        self,
        predicted: Tensor,
        target: Tensor,
        to_photo: Tensor,
        size: tuple[int, int],
        normalizer: Tensor,
    ) -> None:
        """Add a batch.

        Args:
            predicted: (B, K, 2) normalised coordinates.
            target: (B, K, 2) normalised coordinates; nan for missing points.
            to_photo: (B, 2, 3) transforms from pixels of the input to pixels of the photo.
            size: (height, width) of the input.
            normalizer: (B,) what the NME is divided by, in pixels of the photo; nan if unknown.
        """
        tensors = (predicted, target, to_photo, normalizer)
        # First to the device, as the other may have no float64.
        predicted, target, to_photo, normalizer = (
            tensor.to(self.sums.device).to(torch.float64) for tensor in tensors
        )
        found, truth = (to_photo_pixels(points, to_photo, size) for points in (predicted, target))
        pixels = found - truth
        errors = PointErrors(predicted - target, pixels, nme(pixels, normalizer))
        values = [metric.values(errors) for metric in self.metrics]
        self.counts += torch.stack([(~value.isnan()).sum() for value in values])
        self.sums += torch.stack([value.nan_to_num(nan=0.0).sum() for value in values])

    def compute(self) -> dict[str, Tensor]:
        """The metrics by name; nan where no face's normaliser was known."""
        return dict(zip(self.names, self.sums / self.counts, strict=True))


def to_photo_pixels(points: Tensor, to_photo: Tensor, size: tuple[int, int]) -> Tensor:
    """Normalised coordinates (B, K, 2) of an input of `size` (height, width) to photo pixels."""
    scale = torch.tensor([size[1], size[0]], dtype=points.dtype, device=points.device)
    pixels = points * scale - 0.5
    return pixels @ to_photo[:, :, :2].transpose(1, 2) + to_photo[:, None, :, 2]


class AnnotatedFace(Protocol):
    """What the tables need of a face record."""

    def normalizer(self, scheme: LandmarkScheme) -> float:
        """What the face's NME is divided by, in pixels; nan if unknown."""

    @property
    def name(self) -> str:
        """Of the entry."""

    @property
    def subset(self) -> str:
        """Part of the data set."""

    @property
    def keypoints(self) -> np.ndarray | None:
        """(scheme.count, 2) pixels of the photo; nan for missing points."""

    @property
    def occluded(self) -> np.ndarray | None:
        """(scheme.count,) bool, annotated but hidden points; None if unknown."""


def _occluded(faces: Sequence[AnnotatedFace]) -> np.ndarray:
    """Which points of faces are occluded, (N, scheme.count); of faces that do not say: none."""
    return np.stack(
        [
            face.occluded if face.occluded is not None else np.zeros(len(face.keypoints), bool)
            for face in faces
            if face.keypoints is not None
        ]
    )


def _truth(faces: Sequence[AnnotatedFace]) -> np.ndarray:
    """All points (N, scheme.count, 2) of faces that have them."""
    return np.stack([face.keypoints for face in faces if face.keypoints is not None])


def _normalizers(faces: Sequence[AnnotatedFace], scheme: LandmarkScheme) -> np.ndarray:
    """What the NME of each face that has points is divided by, (N,) pixels."""
    return np.array([face.normalizer(scheme) for face in faces if face.keypoints is not None])


def normalized_offsets(
    faces: Sequence[AnnotatedFace],
    found: np.ndarray,
    points: Sequence[int],
    scheme: LandmarkScheme,
) -> np.ndarray:
    """Offsets (N, K, 2) of predicted from annotated points, over the NME's normaliser.

    Args:
        faces: N annotated faces.
        found: (N, K, 2) predicted points in pixels of the photos.
        points: indices of the K points in the scheme.
        scheme: of the annotations.
    """
    return (found - _truth(faces)[:, points]) / _normalizers(faces, scheme)[:, None, None]


def _distances_to_curves(
    found: np.ndarray, truth: np.ndarray, points: Sequence[int], scheme: LandmarkScheme
) -> np.ndarray:
    """Distances (N, K) of predicted points from the annotated curve of their part, in pixels.

    Nan for missing points, and for those of a part with less than three points, which has no curve.

    Args:
        found: (N, K, 2) predicted points.
        truth: (N, scheme.count, 2) all annotated points.
        points: indices of the K points in the scheme.
        scheme: of the annotations.
    """
    # An annotated point is on the curve, also where its neighbours are missing.
    to_point = np.linalg.norm(found - truth[:, points], axis=-1)
    distances = np.full(found.shape[:2], np.nan)
    for name, part in scheme.parts.items():
        chosen = [at for at, point in enumerate(points) if point in part]
        if len(part) > 2 and chosen:
            corners = [*part, part[0]] if name in scheme.closed else list(part)
            to_curve = distances_to_curves(found[:, chosen], truth[:, corners])
            distances[:, chosen] = np.fmin(to_curve, to_point[:, chosen])
    distances[np.isnan(to_point)] = np.nan
    return distances


def face_errors(
    faces: Sequence[AnnotatedFace],
    found: np.ndarray,
    points: Sequence[int],
    scheme: LandmarkScheme,
) -> pd.DataFrame:
    """One row per face: `image`, `subset`, metrics such as `mae_px`, and the NME of each region.

    Where occluded points are known, also the NME of visible and of occluded ones. For regions that
    are curves, such as the jaw, also `nme_jaw_to_curve`: the distance to the annotated curve in
    place of the annotated point, as annotators agree least on where along a curve a point lies (the
    point-to-curve error of T. Cootes and C. Taylor, "Statistical models of appearance for computer
    vision", 2004).

    Its arguments are those of `normalized_offsets`.
    """
    truth, normalizers = _truth(faces), _normalizers(faces, scheme)
    pixels = found - truth[:, points]
    offsets = pixels / normalizers[:, None, None]
    errors = PointErrors(offsets, pixels, nme(offsets, 1.0))
    columns: dict[str, Any] = {
        "image": [face.name for face in faces],
        "subset": [face.subset for face in faces],
    }
    for metric in _face_metrics(scheme.normalizer.name):
        columns[metric.name] = metric.values(errors)
    if any(face.occluded is not None for face in faces):
        hidden = _occluded(faces)[:, points]
        for name, mask in (("visible", ~hidden), ("occluded", hidden)):
            columns[f"nme_{name}"] = nme(np.where(mask[..., None], offsets, np.nan), 1.0)
    to_curve = _distances_to_curves(found, truth, points, scheme) / normalizers[:, None]
    for region, members in scheme.regions.items():
        chosen = [at for at, point in enumerate(points) if point in members]
        if chosen:
            columns[f"nme_{region}"] = nme(offsets[:, chosen], 1.0)
            if not np.isnan(to_curve[:, chosen]).all():
                columns[f"nme_{region}_to_curve"] = _mean(to_curve[:, chosen], (1,))
    return pd.DataFrame(columns)


def summarize(errors: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """One row with the metrics of a table of face errors, and the NME of each region.

    `nme_standard_error` is the standard error of the mean NME (nan for one face). Two networks on
    the same faces can be told apart more finely: compare their difference face by face.

    Args:
        errors: see `face_errors`.
        threshold: of AUC and failure rate.
    """
    normalizer = nme_column(errors).removeprefix("nme_")
    names = [metric.name for metric in _face_metrics(normalizer)]
    error = errors[f"nme_{normalizer}"]
    row: dict[str, Any] = {"images": len(errors), **errors[names].mean()}
    if error.isna().any():
        row["images_in_nme"] = int(error.notna().sum())
    row["nme_standard_error"] = error.sem()
    of_nme = PointErrors(None, None, error.to_numpy())
    for metric in (metric(threshold, normalizer) for metric in METRICS if metric.of_nme):
        row[metric.name] = float(_mean(metric.values(of_nme), (0,)))
    regions = errors.columns.drop(["image", "subset", *names])
    return pd.DataFrame([row | errors[regions].mean().to_dict()])


def nme_column(errors: pd.DataFrame) -> str:
    """The column of a table of face errors that holds the NME, e.g. `nme_interocular`."""
    return next(name for name in errors.columns if name.startswith("nme_"))


def _face_metrics(normalizer: str) -> list[FaceMetric]:
    """The metrics that tables of faces have as columns; none of them depends on the threshold."""
    metrics = [metric(THRESHOLD, normalizer) for metric in METRICS]
    return [metric for metric in metrics if not (metric.of_input or metric.of_nme)]
