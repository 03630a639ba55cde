"""Base class of the data modules: from records to data loaders."""

from __future__ import annotations

import hashlib
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import platformdirs
import pytorch_lightning as L
import torch
from torch.utils.data import DataLoader

from facekp.core.crop import Crop
from facekp.core.errors import ConfigError, DataError
from facekp.core.geometry import box_prior, normalize_points, transform_points
from facekp.core.landmarks import LandmarkScheme
from facekp.data.augmentation import NO_FLIP_PAIRS, Augmentation
from facekp.data.cache import unreadable_images
from facekp.data.dataset import Batch, KeypointDataset
from facekp.data.loader import ChunkedLoader, EpochSampler
from facekp.data.records import FaceRecord, Splits
from facekp.data.registry import DatasetInfo

log = logging.getLogger(__name__)


def default_cache_dir() -> Path:
    """`$FACEKP_CACHE_DIR`, else the platform's cache folder of the user."""
    return Path(os.environ.get("FACEKP_CACHE_DIR") or platformdirs.user_cache_dir("facekp"))


class FaceDataModule(L.LightningDataModule, ABC):
    """Base class of the data modules.

    A subclass names its scheme and its source and reads its splits. It also answers what only its
    data set can know: which faces are evaluated together (`evaluation_subsets`), which entry is the
    mirrored copy of which (`original_name`), and what its figures may be compared with
    (`comparison_note`).

    Args:
        data_dir: folder that holds the data set's folder; None: `data`.
        input_size: (height, width) of the network's input.
        channels: 1 (grey) or 3 (RGB).
        points: indices in the scheme of the points to predict; None: all.
        batch_size: faces per step.
        num_workers: loader processes; None: none on the CPU, up to 8 on a GPU.
        augmentation: of the training split.
        box_scale: factor by which face boxes are expanded.
        square: extend boxes to squares; otherwise they are stretched to the input.
        seed: of order and augmentation.
        download: fetch the official archive if the folder is missing.
        cache: keep decoded images on `disk`, in `memory`, or not (`off`).
        cache_dir: folder of the disk cache; None: the platform's own.
        on_error: `stop` at the first broken entry, or `skip` broken entries and name them.

    Raises:
        ConfigError: a setting that cannot work.
    """

    scheme: LandmarkScheme
    """Of its points; of data sets that tell it themselves only once they have been read."""
    info: ClassVar[DatasetInfo | None] = None
    """Where it lies in `data_dir`, if it has a place of its own."""
    box_source: str
    """What its boxes are: `image` (all of it), the name of the detector that made them, `points`
    (their extent), or `annotation` (drawn by hand)."""
    subset_label: ClassVar[str]
    """What a record's `subset` is, e.g. `folder`."""

    def __init__(
        self,
        data_dir: str | Path | None,
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
        self.data_dir = Path(data_dir or "data")
        self._points = points
        if batch_size < 1:
            raise ConfigError(f"dataset.batch_size={batch_size}: at least 1 is needed")
        if channels not in (1, 3):
            raise ConfigError(f"channels={channels}: choose 1 (grey) or 3 (RGB)")
        if box_scale <= 0:
            raise ConfigError(f"dataset.box_scale={box_scale}: must be above 0")
        if on_error not in ("stop", "skip"):
            raise ConfigError(f"dataset.on_error={on_error}: choose stop or skip")
        height, width = input_size
        self.crop = Crop((int(height), int(width)), channels, float(box_scale), square)
        self.batch_size, self.num_workers = batch_size, num_workers
        self.augmentation, self.seed = augmentation, seed
        self.download, self.cache = download, cache
        self.cache_dir = Path(cache_dir) if cache_dir else default_cache_dir()
        self.splits: Splits = {}
        self.problems: list[DataError] | None = [] if on_error == "skip" else None
        """Errors of skipped entries; None if the first broken entry is to stop everything."""
        self._datasets: dict[str, KeypointDataset] = {}

    @cached_property
    def points(self) -> list[int]:
        """Indices in the scheme of the points that the network predicts.

        Raises:
            ConfigError: there are no such points.
        """
        chosen = list(range(self.scheme.count) if self._points is None else self._points)
        wrong = [point for point in chosen if not 0 <= point < self.scheme.count]
        if wrong or not chosen or len(set(chosen)) != len(chosen):
            raise ConfigError(
                f"dataset.points={chosen}: give different indices from 0 to {self.scheme.count - 1}"
            )
        return chosen

    @property
    def folder(self) -> Path:
        """Folder of the data set inside `data_dir`."""
        return self.data_dir / self.info.folder_name if self.info else self.data_dir

    @property
    def num_keypoints(self) -> int:
        """Number of points that the network predicts."""
        return len(self.points)

    def fetch(self) -> None:
        """Download the official archive to `folder`.

        Raises:
            ConfigError: there is none.
        """
        raise ConfigError("dataset.download=true: this data set has no archive to download")

    @abstractmethod
    def read_splits(self) -> Splits:
        """Records by split: `train` and `val`; `test` and `predict` if there are such."""

    @abstractmethod
    def summary(self) -> str:
        """What was read, in one line or a few."""

    @property
    @abstractmethod
    def protocol(self) -> str:
        """Name of the split protocol, which decides what a figure may be compared with."""

    @property
    def comparison_note(self) -> str:
        """What figures by this protocol must not be taken for; empty: nothing to say."""
        return ""

    def evaluation_subsets(
        self, split: str, records: Sequence[FaceRecord]
    ) -> dict[str, np.ndarray]:
        """Faces that are evaluated together, as masks (N,) by name; by default all of them.

        Args:
            split: name of the split.
            records: N faces of it.
        """
        return {split: np.ones(len(records), dtype=bool)}

    def original_name(self, record: FaceRecord) -> str | None:
        """Name of the entry whose mirrored copy a record is; None: it is no mirrored copy."""
        return None

    def prepare_data(self) -> None:
        """Download the data if asked to.

        Raises:
            DataError: the folder is missing and `download` is off; says how to get the data.
        """
        if self.download and not self.folder.is_dir():
            self.fetch()
        if self.info is not None:
            self.info.require(self.data_dir)

    def setup(self, stage: str | None = None) -> None:
        """Read the annotations; images are decoded when a loader is first asked for.

        Raises:
            ConfigError: the training or the validation split is empty, or no validation face has
                a point to predict.
            DataError: a broken entry, unless broken entries are skipped.
        """
        if self.splits:
            return
        self.read()
        for name in ("train", "val"):
            if not self.splits.get(name):
                raise ConfigError(self._empty_split_message(name))
        chosen = self.points  # refused here if there are no such points
        labels = (r.keypoints for r in self.splits["val"] if r.keypoints is not None)
        if not any(np.isfinite(keypoints[chosen]).any() for keypoints in labels):
            raise ConfigError(
                f"{self.folder}: no validation face has any of the points that are to be "
                "predicted; give other dataset.points=, or other validation faces"
            )
        if self.augmentation and self.augmentation.mirrors and self.scheme.flip_pairs is None:
            raise ConfigError(NO_FLIP_PAIRS.format(name=self.scheme.name))
        log.info(self.summary())

    def _empty_split_message(self, split: str) -> str:
        problems = self.problems or []
        skipped = f"; {len(problems)} entries were skipped, first {problems[0]}" if problems else ""
        return f"{self.folder}: the {split} split has no faces{skipped}"

    def read(self) -> None:
        """Read `splits`, which may be empty."""
        splits = self.read_splits()
        if self.problems is not None:
            splits = self._readable(splits, self.problems)
            for problem in self.problems:
                log.warning(f"skipped: {problem}")
        self.splits = splits

    def _readable(self, splits: Splits, problems: list[DataError]) -> Splits:
        """The records whose images can be decoded."""
        every = [record for records in splits.values() for record in records]
        wrong = unreadable_images(every, self.cache_dir if self.cache == "disk" else None)
        problems += wrong.values()
        return {
            name: [record for record in records if record not in wrong]
            for name, records in splits.items()
        }

    def mean_shape(self) -> torch.Tensor:
        """Mean of the training faces' points, (K, 2) float32 normalised coordinates.

        Raises:
            ConfigError: a point that no training face has.
        """
        shapes = [
            normalize_points(
                transform_points(self.crop.transform(r.bbox), r.keypoints), self.crop.size
            )[self.points]
            for r in self.splits["train"]
            if r.keypoints is not None
        ]
        counts = np.isfinite(shapes).all(axis=2).sum(axis=0)
        if not counts.all():
            names = [self.scheme.point_names[point] for point in np.array(self.points)[counts == 0]]
            raise ConfigError(
                f"{self.folder}: no training face has the points {', '.join(names[:5])}; give "
                "dataset.points= without them"
            )
        mean = np.nanmean if np.isnan(shapes).any() else np.mean
        return torch.tensor(mean(shapes, axis=0), dtype=torch.float32)

    def box_prior(self, points: Sequence[int]) -> np.ndarray:
        """(4,) median of the training faces' boxes relative to the bounding boxes of points.

        The identity if no face has three of them apart, so that they say nothing about boxes.

        Args:
            points: indices in the scheme.
        """
        chosen = list(points)
        return box_prior(
            (record.bbox, record.keypoints[chosen])
            for record in self.splits["train"]
            if record.keypoints is not None
        )

    @cached_property
    def has_missing(self) -> bool:
        """Whether a face of any split lacks a point."""
        return any(
            record.keypoints is not None and bool(np.isnan(record.keypoints).any())
            for records in self.splits.values()
            for record in records
        )

    def fingerprint(self) -> str:
        """SHA-256 over names, boxes, points and image file sizes of all splits."""
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
        """The torch data set of a split; its images are decoded on the first call.

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
                self.crop,
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
        return ChunkedLoader(
            dataset,
            self.batch_size,
            chunk=1 if workers else max(1, 64 // self.batch_size),
            sampler=EpochSampler(len(dataset), self.seed, shuffle=split == "train"),
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # so that starting workers draws from no other generator
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
        """Loader of the annotated test split, if the protocol has one."""
        return self.loader("test")
