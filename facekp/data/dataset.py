"""The torch data set: cropped, augmented batches of faces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from facekp.core.crop import Crop
from facekp.core.geometry import (
    compose_affine,
    crop_transform,
    invert_affine,
    normalize_points,
    transform_points,
)
from facekp.core.landmarks import LandmarkScheme
from facekp.data.augmentation import Augmentation
from facekp.data.cache import DecodedImages
from facekp.data.records import FaceRecord

Key = tuple[int, int]
"""(epoch, sample): with the seed, all that the augmentation of a sample depends on."""

Batch = dict[str, Tensor]


class KeypointDataset(Dataset):
    """Faces of one split, indexed by `(epoch, sample)`.

    A batch (`__getitems__`) is a dict of tensors:

    * `image` (B, C, H, W) uint8;
    * `keypoints` (B, K, 2) float32, normalised coordinates; nan for missing points; absent without
      annotations;
    * `to_photo` (B, 2, 3) float32, transform from pixels of the input to pixels of the photo;
    * `normalizer` (B,) float32, what the NME is divided by, in pixels of the photo; nan if unknown;
    * `index` (B,) int64, position in `records`.

    Args:
        records: the faces.
        scheme: their landmark scheme.
        points: indices in the scheme of the points that the network predicts.
        crop: how a face box becomes the network's input.
        seed: of the augmentation.
        augmentation: of the training split; None: no augmentation.
        cache: `disk`, `memory` or `off`, see `DecodedImages`.
        cache_dir: folder of the disk cache.
    """

    def __init__(
        self,
        records: Sequence[FaceRecord],
        scheme: LandmarkScheme,
        points: Sequence[int],
        crop: Crop,
        seed: int,
        augmentation: Augmentation | None,
        cache: str,
        cache_dir: Path,
    ) -> None:
        self.records, self.scheme, self.points = list(records), scheme, list(points)
        self.crop, self.seed, self.augmentation = crop, seed, augmentation or Augmentation()
        boxes = np.array([crop.expand(record.bbox) for record in records]).reshape(-1, 4)
        self.maps = np.array([crop_transform(box, crop.size) for box in boxes]).reshape(-1, 2, 3)
        self.images = DecodedImages(self.records, boxes, self.maps, crop.channels, cache, cache_dir)
        truth = [r.keypoints for r in self.records if r.keypoints is not None]
        self.labelled = len(truth) == len(self.records)
        # Arrays: loader processes that touched the records would in time hold a copy of each.
        self.truth = np.array(truth, dtype=np.float32) if self.labelled else None
        values = [record.normalizer(scheme) for record in self.records]
        self.normalizer = np.array(values, dtype=np.float32)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: Key) -> Batch:
        """One sample, without the batch dimension."""
        return {name: value[0] for name, value in self.__getitems__([key]).items()}

    def __getitems__(self, keys: Sequence[Key]) -> Batch:
        """A whole batch, see the class."""
        (height, width), channels, count = self.crop.size, self.crop.channels, len(keys)
        indices = [index for _, index in keys]
        decoded = [self.images[index] for index in indices]
        to_part = np.array([transform for _, transform in decoded])
        from_part = invert_affine(to_part)
        to_input = compose_affine(self.maps[indices], from_part)
        truth = None if self.truth is None else transform_points(to_part, self.truth[indices])
        images = np.empty((count, height, width, channels), dtype=np.uint8)
        keypoints = np.empty((count, self.scheme.count, 2))
        for row, key in enumerate(keys):
            image, moved, to_input[row] = self.augmentation(
                decoded[row][0],
                None if truth is None else truth[row],
                to_input[row],
                self.crop.size,
                self.scheme,
                (self.seed, *key),
            )
            images[row] = image.reshape(height, width, channels)
            if moved is not None:
                keypoints[row] = moved
        to_photo = compose_affine(from_part, invert_affine(to_input)).astype(np.float32)
        batch = {
            "image": torch.from_numpy(images).permute(0, 3, 1, 2),
            "to_photo": torch.from_numpy(to_photo),
            "normalizer": torch.from_numpy(self.normalizer[indices]),
            "index": torch.tensor(indices),
        }
        if self.labelled:
            normalised = normalize_points(keypoints[:, self.points], self.crop.size)
            batch["keypoints"] = torch.from_numpy(normalised.astype(np.float32))
        return batch
