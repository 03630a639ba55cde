"""Faces as the network sees them, and the order in which it sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from facekp.data.augmentation import Augmentation
from facekp.data.cache import DecodedImages
from facekp.data.records import FaceRecord
from facekp.core.geometry import Size, apply_map, box_map, compose, frame_box, invert, normalize_points
from facekp.core.landmarks import LandmarkScheme

Key = tuple[int, int]
"""(epoch, sample): what the augmentation of a sample depends on, besides the seed."""

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class View:
    """How a face is framed for the network.

    Args:
        size: (height, width) of the network's input.
        channels: 1 (grey) or 3 (RGB).
        box_scale: the face box is taken this many times as large.
        square: whether it is padded to a square first; otherwise it is stretched.
    """

    size: Size
    channels: int
    box_scale: float = 1.0
    square: bool = False

    def frame(self, bbox: np.ndarray) -> np.ndarray:
        """The box (4,) that fills the network's input for a face box (4,)."""
        return frame_box(bbox, self.box_scale, self.square)

    def map(self, bbox: np.ndarray) -> np.ndarray:
        """Map (2, 3) from the photo to the network's input for a face box (4,)."""
        return box_map(self.frame(bbox), self.size)


class KeypointDataset(Dataset):
    """Faces of one split, indexed by `(epoch, sample)`.

    A batch (`__getitems__`) is a dict of tensors:

    * `image` (B, C, H, W) uint8;
    * `keypoints` (B, K, 2) float32, normalised coordinates (left out where the data has no points);
    * `to_photo` (B, 2, 3) float32, map from pixels of the input to pixels of the photo;
    * `interocular` (B,) float32, distance of the outer eye corners in pixels of the photo (nan
      without points);
    * `index` (B,) int64, position in `records`.

    Args:
        records: the faces.
        scheme: what their points are.
        points: the subset that is asked for, as indices of the scheme.
        view: how a face is framed.
        seed: of the augmentation.
        augmentation: of the training data; None shows every face as it is.
        cache: `disk`, `memory` or `off`, see `DecodedImages`.
        cache_dir: folder of the disk cache.
    """

    def __init__(
        self,
        records: Sequence[FaceRecord],
        scheme: LandmarkScheme,
        points: Sequence[int],
        view: View,
        seed: int,
        augmentation: Augmentation | None,
        cache: str,
        cache_dir: Path,
    ) -> None:
        self.records, self.scheme, self.points = list(records), scheme, list(points)
        self.view, self.seed, self.augmentation = view, seed, augmentation or Augmentation()
        boxes = np.array([view.frame(record.bbox) for record in records]).reshape(-1, 4)
        self.maps = np.array([box_map(box, view.size) for box in boxes]).reshape(-1, 2, 3)
        self.images = DecodedImages(self.records, boxes, self.maps, view.channels, cache, cache_dir)
        truth = [r.keypoints for r in self.records if r.keypoints is not None]
        self.labelled = len(truth) == len(self.records)
        # Arrays: loader processes that touched the records would each get a copy of them in time.
        self.truth = np.array(truth, dtype=np.float32) if self.labelled else None
        eyes = [scheme.interocular(points) for points in truth] if self.labelled else np.nan
        self.interocular = np.full(len(self.records), eyes, dtype=np.float32)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: Key) -> Batch:
        """One sample, without the batch dimension."""
        return {name: value[0] for name, value in self.__getitems__([key]).items()}

    def __getitems__(self, keys: Sequence[Key]) -> Batch:
        """A whole batch, see the class."""
        (height, width), channels, count = self.view.size, self.view.channels, len(keys)
        indices = [index for _, index in keys]
        decoded = [self.images[index] for index in indices]
        to_small = np.array([small for _, small in decoded])
        from_small = invert(to_small)
        to_view = compose(self.maps[indices], from_small)
        truth = None if self.truth is None else apply_map(to_small, self.truth[indices])
        images = np.empty((count, height, width, channels), dtype=np.uint8)
        keypoints = np.empty((count, self.scheme.count, 2))
        for row, key in enumerate(keys):
            image, moved, to_view[row] = self.augmentation(
                decoded[row][0],
                None if truth is None else truth[row],
                to_view[row],
                self.view.size,
                self.scheme,
                (self.seed, *key),
            )
            images[row] = image.reshape(height, width, channels)
            if moved is not None:
                keypoints[row] = moved
        to_photo = compose(from_small, invert(to_view)).astype(np.float32)
        batch = {
            "image": torch.from_numpy(images).permute(0, 3, 1, 2),
            "to_photo": torch.from_numpy(to_photo),
            "interocular": torch.from_numpy(self.interocular[indices]),
            "index": torch.tensor(indices),
        }
        if self.labelled:
            normalised = normalize_points(keypoints[:, self.points], self.view.size)
            batch["keypoints"] = torch.from_numpy(normalised.astype(np.float32))
        return batch


class EpochSampler(Sampler[Key]):
    """Yields `(epoch, sample)`: the order is a function of (seed, epoch), also after a resume.

    On several devices each takes every n-th sample. Shuffled (training) orders are cut to equal
    parts; others are not, so that every sample is judged exactly once.

    Args:
        length: number of samples.
        seed: of the order.
        shuffle: draw a new order each epoch.
    """

    def __init__(self, length: int, seed: int, shuffle: bool) -> None:
        self.length, self.seed, self.shuffle, self.epoch = length, seed, shuffle, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def _part(self) -> range:
        rank, world = 0, 1
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
        end = self.length - self.length % world if self.shuffle else self.length
        return range(rank, end, world)

    def __len__(self) -> int:
        return len(self._part())

    def __iter__(self) -> Iterator[Key]:
        order = np.arange(self.length)
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        return iter([(self.epoch, int(order[place])) for place in self._part()])
