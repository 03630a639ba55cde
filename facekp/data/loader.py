"""The data loader and its sampler: the order depends on (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from facekp.core.errors import FacekpError
from facekp.data.dataset import Batch, Key, KeypointDataset


class EpochSampler(Sampler[Key]):
    """Yields `(epoch, sample)`: the order is a function of (seed, epoch), also after a resume.

    With several devices each takes every n-th sample. Shuffled (training) orders are cut to equal
    parts; others are not, so that every sample is evaluated exactly once.

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


class ChunkedLoader(DataLoader[Batch]):
    """A data loader that prepares several batches at once and yields them one by one.

    Between two steps of a network the caches are cold, which costs most with small batches.

    Args:
        dataset: gives whole batches.
        batch_size: of what is yielded.
        chunk: number of batches prepared together.
        **settings: torch's own.
    """

    def __init__(self, dataset: KeypointDataset, batch_size: int, chunk: int, **settings: Any):
        super().__init__(
            _ErrorsAsValues(dataset),
            batch_size=batch_size * chunk,
            collate_fn=_identity,  # the data set makes whole batches
            **settings,
        )
        self.yielded_size = batch_size

    def __len__(self) -> int:
        return -(-len(cast("EpochSampler", self.sampler)) // self.yielded_size)

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # an iterator is enough
        for batch in super().__iter__():
            if isinstance(batch, FacekpError):
                raise batch
            for start in range(0, len(batch["index"]), self.yielded_size):
                yield {name: v[start : start + self.yielded_size] for name, v in batch.items()}


class _ErrorsAsValues(Dataset[Batch]):
    """Returns facekp's errors as values: torch's workers would rebuild them from their text."""

    def __init__(self, dataset: KeypointDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, keys: Sequence[Key]) -> Batch | FacekpError:
        try:
            return self.dataset.__getitems__(keys)
        except FacekpError as error:
            return error


def _identity(batch: Any) -> Any:
    return batch
