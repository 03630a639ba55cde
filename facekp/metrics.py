"""Metrics in the field's language, over a whole split and in pixels of the original photo."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


def point_errors(predicted: Tensor, target: Tensor) -> Tensor:
    """Euclidean distance of each point; (B, K, 2) and (B, K, 2) pixels to (B, K) pixels."""
    return torch.linalg.vector_norm(predicted - target, dim=-1)


def nme(predicted: Tensor, target: Tensor, normalizer: Tensor) -> Tensor:
    """Normalised mean error of each face, (B,): mean point error over the face's `normalizer` (B,).

    With the distance of the outer eye corners as the normaliser this is 300-W's error (C. Sagonas
    et al., "300 faces in-the-wild challenge", IMAVIS 2016).
    """
    return point_errors(predicted, target).mean(dim=-1) / normalizer


class KeypointMetrics(Metric):
    """Errors of all faces seen; `compute` gives a dict of scalars.

    * `mse`: mean squared error in normalised coordinates, as the course plots it;
    * `mae_px`: mean absolute error per coordinate in pixels of the photo, the competition's metric;
    * `nme_interocular`: mean over faces of the NME over the outer eye corners, as a fraction;
    * `auc_T_interocular`: area under the cumulative error curve up to T, `mean(clip(1 - nme / T,
      0))`;
    * `failure_T_interocular`: share of faces whose NME exceeds T.

    The last three are nan where the normaliser is unknown. States are sums: exact for any batch
    sizes and any number of devices.

    Args:
        threshold: T, as a fraction of the inter-ocular distance.
    """

    full_state_update = False
    faces: Tensor
    coordinates: Tensor
    squared: Tensor
    absolute: Tensor
    nme: Tensor
    area: Tensor
    failures: Tensor

    def __init__(self, threshold: float = 0.08) -> None:
        super().__init__()
        self.threshold = threshold
        for name in ("faces", "coordinates", "squared", "absolute", "nme", "area", "failures"):
            zero = torch.zeros((), dtype=torch.float64)
            self.add_state(name, default=zero, dist_reduce_fx="sum")

    @property
    def names(self) -> tuple[str, ...]:
        """Keys of what `compute` gives."""
        at = f"{self.threshold:g}_interocular"
        return "mse", "mae_px", "nme_interocular", f"auc_{at}", f"failure_{at}"

    def set_dtype(self, dst_type: object) -> KeypointMetrics:
        """Sums stay in float64, whatever precision the network runs in."""
        return self

    def update(
        self,
        predicted: Tensor,
        target: Tensor,
        to_photo: Tensor,
        size: tuple[int, int],
        interocular: Tensor,
    ) -> None:
        """Add a batch.

        Args:
            predicted: (B, K, 2) normalised coordinates.
            target: likewise.
            to_photo: (B, 2, 3) maps from pixels of the input to pixels of the photo.
            size: (height, width) of the input.
            interocular: (B,) pixels of the photo.
        """
        predicted, target, to_photo = (t.to(torch.float64) for t in (predicted, target, to_photo))
        difference = predicted - target
        found, truth = (to_photo_pixels(points, to_photo, size) for points in (predicted, target))
        error = nme(found, truth, interocular.to(torch.float64))
        self.faces += len(predicted)
        self.coordinates += difference.numel()
        self.squared += difference.square().sum()
        self.absolute += (found - truth).abs().sum()
        self.nme += error.sum()
        self.area += (1 - error / self.threshold).clamp(min=0).sum()
        self.failures += torch.where(error.isnan(), error, (error > self.threshold).double()).sum()

    def compute(self) -> dict[str, Tensor]:
        """The metrics by name."""
        sums = (self.squared, self.absolute, self.nme, self.area, self.failures)
        counts = (self.coordinates, self.coordinates, self.faces, self.faces, self.faces)
        return {n: total / count for n, total, count in zip(self.names, sums, counts, strict=True)}


def to_photo_pixels(points: Tensor, to_photo: Tensor, size: tuple[int, int]) -> Tensor:
    """Normalised coordinates (B, K, 2) of an input of `size` (height, width) to photo pixels."""
    scale = torch.tensor([size[1], size[0]], dtype=points.dtype, device=points.device)
    pixels = points * scale - 0.5
    return pixels @ to_photo[:, :, :2].transpose(1, 2) + to_photo[:, None, :, 2]
