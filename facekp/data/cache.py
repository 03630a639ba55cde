"""Cache of decoded images: on disk (memory-mapped), in memory, or none."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from facekp.core.crop import CONTEXT, PartOfImage, crop_with_context
from facekp.core.errors import ConfigError, DataError
from facekp.core.files import atomic_folder, atomic_write_text, make_folder
from facekp.core.progress import map_in_threads
from facekp.data.records import FaceRecord

_FORMAT = 1


def unreadable_images(
    records: Sequence[FaceRecord], folder: Path | None
) -> dict[FaceRecord, DataError]:
    """Errors of images that cannot be decoded, by record.

    Args:
        records: the faces.
        folder: of the disk cache, which remembers the good images while no file changes; None: do
            not.
    """
    states = b"".join(_file_state(record) for record in records)
    name = f"{hashlib.sha256(states).hexdigest()[:32]}.txt"
    kept = None if folder is None else folder / "checked" / name
    to_check = list(range(len(records)))
    if kept is not None and kept.is_file():
        # A missing decoder or right is no fault of the file, and may be there now.
        to_check = [int(index) for index in kept.read_text().split()]

    def check(at: int) -> DataError | None:
        try:
            records[to_check[at]].load(channels=3)
        except DataError as error:
            return error
        return None

    checked = map_in_threads(check, len(to_check), "checking images")
    found = {at: error for at, error in zip(to_check, checked, strict=True) if error is not None}
    if kept is not None:
        make_folder(kept.parent)
        atomic_write_text(kept, "".join(f"{index}\n" for index in found))
    return {records[index]: error for index, error in found.items()}


def _file_state(record: FaceRecord) -> bytes:
    """Changes with a record's image file."""
    try:
        stat = record.image.stat()
        state = (stat.st_size, stat.st_mtime_ns)
    except OSError:
        state = (-1, -1)  # decoding the file reports the problem
    parts = (str(record.image.absolute()), state, record.size)
    return repr((*parts, "upright") if record.upright else parts).encode()


class DecodedImages:
    """The decoded part of the image around each face, by index.

    Args:
        records: the faces.
        boxes: (N, 4) expanded boxes.
        matrices: (N, 2, 3) transforms from photo to network input, before augmentation.
        channels: 1 (grey) or 3 (RGB).
        mode: `disk` (memory-mapped, shared by processes and runs, rebuilt when a source file
            changes), `memory`, or `off` (decoded on each access).
        folder: of the disk cache.

    Raises:
        ConfigError: another mode.
        DataError: an image cannot be read, or the cache cannot be written.
    """

    def __init__(
        self,
        records: Sequence[FaceRecord],
        boxes: np.ndarray,
        matrices: np.ndarray,
        channels: int,
        mode: str,
        folder: Path,
    ) -> None:
        self.records, self.boxes, self.matrices = records, boxes, matrices
        self.channels = channels
        self._memory: list[PartOfImage] | None = None
        self._folder: Path | None = None
        self._pixels: np.ndarray | None = None
        if mode == "memory":
            self._memory = list(self._decode_all())
        elif mode == "disk":
            self._folder = folder / "decoded" / self._key()
            if not self._folder.is_dir():
                self._build(self._folder)
            self._index = np.load(self._folder / "index.npy")
            self._maps = np.load(self._folder / "maps.npy")
        elif mode != "off":
            raise ConfigError(f"dataset.cache={mode}: choose disk, memory or off")

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> PartOfImage:
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

    def _decode(self, index: int) -> PartOfImage:
        image = self.records[index].load(self.channels)
        return crop_with_context(image, self.boxes[index], self.matrices[index])

    def _decode_all(self) -> Iterator[PartOfImage]:
        """Every face in order, decoded in threads a bounded number ahead."""
        return map_in_threads(self._decode, len(self), "decoding images")

    def _key(self) -> str:
        """Changes with anything that the decoded pixels depend on."""
        digest = hashlib.sha256(json.dumps([_FORMAT, self.channels, CONTEXT]).encode())
        for record, box, matrix in zip(self.records, self.boxes, self.matrices, strict=True):
            digest.update(_file_state(record))
            digest.update(np.concatenate([box.ravel(), matrix.ravel()]).tobytes())
        return digest.hexdigest()[:32]

    def _build(self, folder: Path) -> None:
        index, maps, start = [], [], 0
        with atomic_folder(folder) as scratch:
            with (scratch / "pixels.bin").open("wb") as stream:
                for pixels, to_part in self._decode_all():
                    index.append((start, *pixels.shape[:2]))
                    maps.append(to_part)
                    stream.write(np.ascontiguousarray(pixels).data)
                    start += pixels.size
            np.save(scratch / "index.npy", np.array(index, dtype=np.int64).reshape(-1, 3))
            np.save(scratch / "maps.npy", np.array(maps).reshape(-1, 2, 3))
