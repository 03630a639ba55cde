"""Decoded images, kept between epochs: on disk (memory-mapped), in memory, or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from rich.progress import track

from facekp.core.folders import made_folder, whole_folder
from facekp.data.records import FaceRecord
from facekp.core.errors import ConfigError, DataError
from facekp.core.files import write_text
from facekp.core.geometry import frame_box
from facekp.core.image import shrink, shrink_factor

T = TypeVar("T")

CONTEXT = 1.6
"""How much of the photo around the framed box is kept, in box sides: what augmentation turns in."""

_FORMAT = 1

Decoded = tuple[np.ndarray, np.ndarray]
"""A face's part of its photo, (H, W[, C]) uint8, and the map (2, 3) from the photo to it."""


def decode(record: FaceRecord, box: np.ndarray, matrix: np.ndarray, channels: int) -> Decoded:
    """The part of a photo around `box`, box-averaged as far as the map (2, 3) allows."""
    return surroundings(record.load(channels), box, matrix)


def surroundings(image: np.ndarray, box: np.ndarray, matrix: np.ndarray) -> Decoded:
    """The part of an image around a framed `box`, averaged as far as the map (2, 3) allows."""
    return shrink(image, shrink_factor(matrix), frame_box(box, CONTEXT))


def unreadable(records: Sequence[FaceRecord], folder: Path | None) -> dict[FaceRecord, DataError]:
    """Why images cannot be decoded, by record; found out once for files that do not change.

    Args:
        records: the faces.
        folder: of the disk cache; None to remember nothing.
    """
    states = b"".join(_state(record) for record in records)
    name = f"{hashlib.sha256(states).hexdigest()[:32]}.json"
    kept = None if folder is None else folder / "checked" / name
    if kept is not None and kept.is_file():
        return {records[at]: DataError(*error) for at, *error in json.loads(kept.read_text())}

    def fault(index: int) -> DataError | None:
        try:
            records[index].load(channels=3)
        except DataError as error:
            return error
        return None

    checked = in_threads(fault, len(records), "checking images")
    found = {index: error for index, error in enumerate(checked) if error is not None}
    if kept is not None:
        made_folder(kept.parent)
        rows = [[at, str(e.path), e.problem, e.remedy, e.line] for at, e in found.items()]
        write_text(kept, json.dumps(rows))
    return {records[at]: error for at, error in found.items()}


def _state(record: FaceRecord) -> bytes:
    """Changes with a record's image file."""
    try:
        stat = record.image.stat()
        state = (stat.st_size, stat.st_mtime_ns)
    except OSError:
        state = (-1, -1)  # decoding it says what is wrong
    return repr((str(record.image.absolute()), state, record.size)).encode()


class DecodedImages:
    """The decoded faces of a data set, by index.

    Args:
        records: the faces.
        boxes: (N, 4) framed boxes.
        matrices: (N, 2, 3) maps from photo to network input, before augmentation.
        channels: 1 (grey) or 3 (RGB).
        keep: `disk` (memory-mapped, shared by processes and runs, rebuilt when a source file
            changes), `memory`, or `off` (decoded anew each time).
        folder: where `disk` puts its files.
    """

    def __init__(
        self,
        records: Sequence[FaceRecord],
        boxes: np.ndarray,
        matrices: np.ndarray,
        channels: int,
        keep: str,
        folder: Path,
    ) -> None:
        self.records, self.boxes, self.matrices = records, boxes, matrices
        self.channels = channels
        self._memory: list[Decoded] | None = None
        self._folder: Path | None = None
        self._pixels: np.ndarray | None = None
        if keep == "memory":
            self._memory = list(self._decode_all())
        elif keep == "disk":
            self._folder = folder / "decoded" / self._key()
            if not self._folder.is_dir():
                self._build(self._folder)
            self._index = np.load(self._folder / "index.npy")
            self._maps = np.load(self._folder / "maps.npy")
        elif keep != "off":
            raise ConfigError(f"dataset.cache={keep}: choose disk, memory or off")

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Decoded:
        if self._memory is not None:
            return self._memory[index]
        if self._folder is None:
            return self._decode(index)
        if self._pixels is None:  # opened late, so that worker processes map the file themselves
            self._pixels = np.memmap(self._folder / "pixels.bin", dtype=np.uint8, mode="r")
        start, height, width = self._index[index]
        shape = (height, width) if self.channels == 1 else (height, width, self.channels)
        pixels = self._pixels[start : start + int(np.prod(shape))].reshape(shape)
        return np.asarray(pixels), self._maps[index]

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_pixels": None}

    def _decode(self, index: int) -> Decoded:
        return decode(self.records[index], self.boxes[index], self.matrices[index], self.channels)

    def _decode_all(self) -> Iterator[Decoded]:
        """Every face in order, decoded in threads, a bounded number ahead, with a progress bar."""
        return in_threads(self._decode, len(self), "decoding images")

    def _key(self) -> str:
        """Changes with anything that the decoded pixels depend on."""
        digest = hashlib.sha256(json.dumps([_FORMAT, self.channels, CONTEXT]).encode())
        for record, box, matrix in zip(self.records, self.boxes, self.matrices, strict=True):
            digest.update(_state(record))
            digest.update(np.concatenate([box.ravel(), matrix.ravel()]).tobytes())
        return digest.hexdigest()[:32]

    def _build(self, folder: Path) -> None:
        index, maps, start = [], [], 0
        with whole_folder(folder) as build:
            with (build / "pixels.bin").open("wb") as stream:
                for pixels, to_small in self._decode_all():
                    index.append((start, *pixels.shape[:2]))
                    maps.append(to_small)
                    stream.write(np.ascontiguousarray(pixels).data)
                    start += pixels.size
            np.save(build / "index.npy", np.array(index, dtype=np.int64).reshape(-1, 3))
            np.save(build / "maps.npy", np.array(maps).reshape(-1, 2, 3))


def in_threads(function: Callable[[int], T], count: int, description: str) -> Iterator[T]:
    """`function` of 0 to `count - 1` in order, a bounded number ahead, with a progress bar."""
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        results = _ahead(pool, function, range(count), 4 * threads)
        yield from track(results, description, total=count, transient=True)


def _ahead(
    pool: ThreadPoolExecutor, function: Callable[[int], T], items: range, ahead: int
) -> Iterator[T]:
    """`pool.map` that runs at most `ahead` items in front of its reader."""
    indices = iter(items)
    pending = [pool.submit(function, item) for item in islice(indices, ahead)]
    while pending:
        yield pending.pop(0).result()
        pending += [pool.submit(function, item) for item in islice(indices, 1)]
