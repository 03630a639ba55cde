"""What the data modules share: from records to data loaders."""

from __future__ import annotations

import hashlib
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import platformdirs
import pytorch_lightning as L
import torch
from torch.utils.data import DataLoader, Dataset

from facekp.data.augmentation import Augmentation
from facekp.data.cache import unreadable
from facekp.data.dataset import Batch, EpochSampler, Key, KeypointDataset, View
from facekp.data.records import FaceRecord
from facekp.data.registry import Source
from facekp.core.errors import ConfigError, DataError
from facekp.core.geometry import apply_map, box_of_points, normalize_points, relative_box
from facekp.core.landmarks import LandmarkScheme

log = logging.getLogger(__name__)

Splits = dict[str, list[FaceRecord]]


class _Handed(Dataset[Batch]):
    """A data set whose own errors are handed over: torch would rebuild them from their text."""

    def __init__(self, dataset: KeypointDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, keys: Sequence[Key]) -> Batch | DataError:
        try:
            return self.dataset.__getitems__(keys)
        except DataError as error:
            return error


class PortionedLoader(DataLoader[Batch]):
    """A data loader that makes several batches at once and hands them out one by one.

    Between two steps of a network the caches are cold: that is where small batches lose time.

    Args:
        dataset: gives whole batches.
        batch_size: of what is handed out.
        at_once: batches that are made together.
        **settings: torch's own.
    """

    def __init__(self, dataset: KeypointDataset, batch_size: int, at_once: int, **settings: Any):
        super().__init__(_Handed(dataset), batch_size=batch_size * at_once, **settings)
        self.portion = batch_size

    def __len__(self) -> int:
        return -(-len(cast("EpochSampler", self.sampler)) // self.portion)

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # an iterator is enough
        for batch in super().__iter__():
            if isinstance(batch, DataError):
                raise batch
            for start in range(0, len(batch["index"]), self.portion):
                yield {name: v[start : start + self.portion] for name, v in batch.items()}


def default_cache_dir() -> Path:
    """`$FACEKP_CACHE_DIR`, else the user's cache folder of this platform."""
    return Path(os.environ.get("FACEKP_CACHE_DIR") or platformdirs.user_cache_dir("facekp"))


class FaceDataModule(L.LightningDataModule, ABC):
    """Base of the data modules. A subclass names its scheme and source and reads its splits.

    Args:
        data_dir: folder that holds the data set's folder.
        input_size: (height, width) of the network's input.
        channels: 1 (grey) or 3 (RGB).
        points: indices of the scheme that are asked for; None for all.
        batch_size: faces a step.
        num_workers: loader processes; None chooses: none on the CPU, up to 8 on a GPU.
        augmentation: of the training data.
        box_scale: the face box is taken this many times as large.
        square: pad the box to a square; otherwise it is stretched to the input.
        seed: of the order and the augmentation.
        download: fetch the official archive when the folder is missing.
        cache: keep decoded images on `disk`, in `memory`, or not (`off`).
        cache_dir: folder for the disk cache; None for the platform's own.
        on_error: `stop` at the first entry that is broken, or `skip` such entries and name them.
    """

    scheme: ClassVar[LandmarkScheme]
    source: ClassVar[Source]
    box_kind: ClassVar[str]
    """What its boxes are: `image` (the whole of it) or the detector they were made with."""
    source_kind: ClassVar[str]
    """What a record's `source` is, e.g. `folder`."""

    def __init__(
        self,
        data_dir: str | Path,
        input_size: Sequence[int],
        channels: int = 1,
        points: Sequence[int] | None = None,
        batch_size: int = 16,
        num_workers: int | None = None,
        augmentation: Augmentation | None = None,
        box_scale: float = 1.0,
        square: bool = False,
        seed: int = 0,
        download: bool = False,
        cache: str = "disk",
        cache_dir: str | Path | None = None,
        on_error: str = "stop",
    ) -> None:
        super().__init__()
        self.data_dir = Path(data_dir)
        self.points = self._checked_points(points)
        if batch_size < 1:
            raise ConfigError(f"dataset.batch_size={batch_size}: at least 1 is needed")
        if channels not in (1, 3):
            raise ConfigError(f"channels={channels}: choose 1 (grey) or 3 (RGB)")
        if box_scale <= 0:
            raise ConfigError(f"dataset.box_scale={box_scale}: must be above 0")
        if on_error not in ("stop", "skip"):
            raise ConfigError(f"dataset.on_error={on_error}: choose stop or skip")
        height, width = input_size
        self.view = View((int(height), int(width)), channels, float(box_scale), square)
        self.batch_size, self.num_workers = batch_size, num_workers
        self.augmentation, self.seed = augmentation, seed
        self.download, self.cache = download, cache
        self.cache_dir = Path(cache_dir) if cache_dir else default_cache_dir()
        self.splits: Splits = {}
        self.problems: list[DataError] | None = [] if on_error == "skip" else None
        """Why entries were left out; None where the first broken one is to stop all."""
        self._datasets: dict[str, KeypointDataset] = {}

    def _checked_points(self, points: Sequence[int] | None) -> list[int]:
        chosen = list(range(self.scheme.count) if points is None else points)
        wrong = [point for point in chosen if not 0 <= point < self.scheme.count]
        if wrong or not chosen or len(set(chosen)) != len(chosen):
            raise ConfigError(
                f"dataset.points={chosen}: give different indices from 0 to {self.scheme.count - 1}"
            )
        return chosen

    @property
    def folder(self) -> Path:
        """Folder of the data set inside `data_dir`."""
        return self.data_dir / self.source.folder_name

    @property
    def num_keypoints(self) -> int:
        """How many points the network has to find."""
        return len(self.points)

    @abstractmethod
    def fetch(self) -> None:
        """Download the official archive to `folder`."""

    @abstractmethod
    def read_splits(self) -> Splits:
        """Records by split: `train` and `val`; `test` and `predict` where there are some."""

    @abstractmethod
    def describe(self) -> str:
        """One line about what was found, for people."""

    @property
    @abstractmethod
    def protocol(self) -> str:
        """Name of the split rule, which decides what a figure may be compared with."""

    def prepare_data(self) -> None:
        """Fetch the data if asked to; otherwise say how to get it.

        Raises:
            DataError: the folder is missing and `download` is off.
        """
        if self.download and not self.folder.is_dir():
            self.fetch()
        self.source.require(self.data_dir)

    def setup(self, stage: str | None = None) -> None:
        """Read the annotations; images are decoded when a loader is first asked for.

        Raises:
            ConfigError: no face to train or none to validate with.
            DataError: an entry is broken, where that is to stop all.
        """
        if self.splits:
            return
        self.read()
        for name in ("train", "val"):
            if not self.splits.get(name):
                raise ConfigError(self._no_faces(name))
        log.info(self.describe())

    def _no_faces(self, split: str) -> str:
        problems = self.problems or []
        out = f"; {len(problems)} entries were left out, first {problems[0]}" if problems else ""
        return f"{self.folder}: the {split} split has no faces{out}"

    def read(self) -> None:
        """Read `splits`, which may come out empty."""
        splits = self.read_splits()
        if self.problems is not None:
            splits = self._readable(splits, self.problems)
            for problem in self.problems:
                log.warning(f"left out: {problem}")
        self.splits = splits

    def _readable(self, splits: Splits, problems: list[DataError]) -> Splits:
        """The records whose images can be decoded."""
        every = [record for records in splits.values() for record in records]
        wrong = unreadable(every, self.cache_dir if self.cache == "disk" else None)
        problems += wrong.values()
        return {
            name: [record for record in records if record not in wrong]
            for name, records in splits.items()
        }

    def mean_shape(self) -> torch.Tensor:
        """Mean of the training faces' points, (K, 2) float32 normalised coordinates."""
        shapes = [
            normalize_points(apply_map(self.view.map(r.bbox), r.keypoints), self.view.size)
            for r in self.splits["train"]
            if r.keypoints is not None
        ]
        return torch.tensor(np.mean(shapes, axis=0)[self.points], dtype=torch.float32)

    def framing(self) -> list[float]:
        """Where a training face's box lies from its points' extent, see `relative_box`; medians."""
        boxes = [
            relative_box(r.bbox, box_of_points(r.keypoints))
            for r in self.splits["train"]
            if r.keypoints is not None
        ]
        return [float(value) for value in np.median(boxes, axis=0)]

    def fingerprint(self) -> str:
        """SHA-256 over names, boxes, points and image file sizes of every split."""
        digest = hashlib.sha256()
        for split, records in sorted(self.splits.items()):
            for record in records:
                size = record.image.stat().st_size if record.image.is_file() else -1
                digest.update(f"{split}/{record.name}/{size}".encode())
                digest.update(np.asarray(record.bbox, dtype=float).tobytes())
                if record.keypoints is not None:
                    digest.update(np.asarray(record.keypoints, dtype=float).tobytes())
        return digest.hexdigest()

    def dataset(self, split: str) -> KeypointDataset:
        """The data set of a split; its images are decoded on the first call.

        Raises:
            ConfigError: the split is empty or does not exist.
        """
        if split not in self._datasets:
            records = self.splits.get(split)
            if not records:
                raise ConfigError(f"{type(self).__name__}: the {split} split has no faces")
            self._datasets[split] = KeypointDataset(
                records,
                self.scheme,
                self.points,
                self.view,
                self.seed,
                self.augmentation if split == "train" else None,
                self.cache,
                self.cache_dir,
            )
        return self._datasets[split]

    def loader(self, split: str) -> DataLoader[Batch]:
        """Data loader of a split; only `train` is shuffled and augmented."""
        dataset = self.dataset(split)
        workers = self._workers()
        return PortionedLoader(
            dataset,
            self.batch_size,
            at_once=1 if workers else max(1, 64 // self.batch_size),
            sampler=EpochSampler(len(dataset), self.seed, shuffle=split == "train"),
            collate_fn=_identity,  # the data set makes whole batches
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # its own, so that a start of workers draws from no other
        )

    def _workers(self) -> int:
        if self.num_workers is not None:
            return self.num_workers
        on_gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return min(8, os.cpu_count() or 1) if on_gpu else 0

    def train_dataloader(self) -> DataLoader[Batch]:
        """Loader of the shuffled, augmented training split."""
        cores = os.cpu_count() or 1
        if (self.num_workers or 0) > cores:
            log.warning(f"dataset.num_workers={self.num_workers}: more than the {cores} cores here")
        return self.loader("train")

    def val_dataloader(self) -> DataLoader[Batch]:
        """Loader of the validation split."""
        return self.loader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Loader of the labelled test split, where the protocol has one."""
        return self.loader("test")


def _identity(batch: Any) -> Any:
    return batch


def split_groups(
    records: Sequence[FaceRecord], fraction: float, seed: int
) -> tuple[list[FaceRecord], list[FaceRecord]]:
    """Part records at random so that no group is on both sides.

    Args:
        records: what to part.
        fraction: share of the records for the second side, met as closely as the groups allow.
        seed: of the draw.

    Returns:
        Both sides, each in the order given.
    """
    sizes: dict[str, int] = {}
    for record in records:
        sizes[record.group] = sizes.get(record.group, 0) + 1
    groups = sorted(sizes)
    np.random.default_rng(seed).shuffle(groups)
    held: set[str] = set()
    room = round(fraction * len(records))
    for group in groups:
        if sizes[group] <= room:
            held.add(group)
            room -= sizes[group]
    first = [record for record in records if record.group not in held]
    return first, [record for record in records if record.group in held]


def by(records: Sequence[FaceRecord], key: Callable[[FaceRecord], str]) -> dict[str, int]:
    """How many records have each value of `key`, sorted by it."""
    counts: dict[str, int] = {}
    for record in records:
        counts[key(record)] = counts.get(key(record), 0) + 1
    return dict(sorted(counts.items()))
