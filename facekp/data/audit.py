"""What may be wrong in a data set whose entries all read well."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from facekp.data.cache import in_threads
from facekp.data.ibug import is_twin, original_of
from facekp.data.records import FaceRecord
from facekp.core.image import image_size
from facekp.core.landmarks import LandmarkScheme

FAR = 0.5
"""Points further out of their box are looked at, in mean sides of the box."""
ALIKE = 0.92
"""Correlation from which two faces, laid over each other by their points, are one picture."""
SAME = 0.98
"""The same for two of a group in one split, which may be one person's twice."""
TWINS = 0.05
"""Mirrored twins' points further apart are looked at, in mean sides of the box."""
ODD = 16.0
"""Distance of a point from where others have it, in median absolute deviations, to be looked at."""
TILE = 48

Splits = Mapping[str, Sequence[FaceRecord]]


@dataclass(frozen=True, eq=False)
class Finding:
    """Something to be looked at.

    Args:
        kind: e.g. `leak`.
        record: the entry.
        detail: what was seen.
        other: a second entry that it is about.
    """

    kind: str
    record: FaceRecord
    detail: str
    other: FaceRecord | None = None


def find_all(splits: Splits, scheme: LandmarkScheme) -> list[Finding]:
    """Everything that is suspicious, in the order of the kinds below."""
    every = [record for records in splits.values() for record in records]
    labelled = [record for record in every if record.keypoints is not None]
    split_of = {id(record): name for name, records in splits.items() for record in records}
    found = [*same_name(every), *same_file(every), *far_points(labelled)]
    found += unlike_twins(labelled, scheme)
    flat = [one for one in labelled if not _spread(one, scheme)]
    found += [Finding("odd shape", one, "its points lie on one spot") for one in flat]
    spread = [one for one in labelled if one not in flat]
    if len(spread) >= 8:
        faces = _Faces(spread, scheme)
        turned = [*faces.swapped(), *faces.out_of_order()]
        known = {one.record for one in turned}
        found += [*turned, *(one for one in faces.odd() if one.record not in known)]
        found += faces.alike(split_of)
    return found


def _spread(record: FaceRecord, scheme: LandmarkScheme) -> bool:
    """Whether a face's points, and its eyes, lie apart."""
    points = np.asarray(record.keypoints, dtype=float)
    return bool(np.ptp(points, axis=0).min() > 0 and scheme.interocular(points) > 0)


def same_name(records: Iterable[FaceRecord]) -> Iterator[Finding]:
    """`twice`: one file and box that is there again."""
    first: dict[tuple, FaceRecord] = {}
    for record in records:
        key = (record.image, *np.round(record.bbox, 2).tolist())
        if key in first:
            yield Finding("twice", record, "the same file and box", first[key])
        first.setdefault(key, record)


def same_file(records: Sequence[FaceRecord]) -> Iterator[Finding]:
    """`same file`: two files with the same bytes."""
    sizes: dict[int, list[FaceRecord]] = {}
    for image, record in {record.image: record for record in records}.items():
        sizes.setdefault(image.stat().st_size, []).append(record)
    first: dict[bytes, FaceRecord] = {}
    for own in sizes.values():
        for record in own if len(own) > 1 else ():
            digest = hashlib.sha256(record.image.read_bytes()).digest()
            if digest in first:
                yield Finding("same file", record, "byte for byte", first[digest])
            first.setdefault(digest, record)


def far_points(records: Iterable[FaceRecord]) -> Iterator[Finding]:
    """`far point`: a point more than `FAR` sides of the box outside it."""
    for record in records:
        assert record.keypoints is not None
        side = (record.bbox[2:] - record.bbox[:2]).mean()
        out = np.maximum(record.bbox[:2] - record.keypoints, record.keypoints - record.bbox[2:])
        worst = out.max(axis=1)
        if worst.max() > FAR * side:
            share = worst.max() / side
            detail = f"point {worst.argmax()} lies {share:.3g} sides of the box outside it"
            yield Finding("far point", record, detail)


def unlike_twins(records: Iterable[FaceRecord], scheme: LandmarkScheme) -> Iterator[Finding]:
    """`twin`: a mirrored copy whose size, points or pixels are not the other's, mirrored."""
    by_name = {record.name: record for record in records}
    for record in by_name.values():
        original = by_name.get(original_of(record.name)) if is_twin(record.name) else None
        if original is None:
            continue
        height, width = image_size(record.image)
        if image_size(original.image) != (height, width):
            yield Finding("twin", record, "its size is not the original's", original)
            continue
        assert record.keypoints is not None
        assert original.keypoints is not None
        expected = original.keypoints[scheme.partners] * (-1, 1) + (width - 1, 0)
        away = np.linalg.norm(record.keypoints - expected, axis=1)
        side = (record.bbox[2:] - record.bbox[:2]).mean()
        if away.max() > TWINS * side:
            detail = f"point {away.argmax()} is {away.max() / side:.3g} sides of the box away"
            yield Finding("twin", record, f"{detail} from the original's, mirrored", original)
        elif _likeness(record.load(1), original.load(1)[:, ::-1]) < ALIKE:
            yield Finding("twin", record, "its pixels are not the original's, mirrored", original)


def _likeness(first: np.ndarray, second: np.ndarray) -> float:
    """Correlation of two grey pictures of one size, seen from afar."""
    small = [cv2.resize(one, (TILE, TILE), interpolation=cv2.INTER_AREA) for one in (first, second)]
    a, b = (one.astype(float).ravel() - one.mean() for one in small)
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-6))


def lay(shapes: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lay shapes (N, K, 2) onto a mean shape (K, 2) by the similarities of least squares.

    S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    PAMI 1991; none is mirrored.

    Returns:
        The shapes (N, K, 2), and the maps (N, 2, 3) that laid them.
    """
    centre, middle = shapes.mean(axis=1), mean.mean(axis=0)
    a = (shapes - centre[:, None]) @ (1, 1j)
    b = (mean - middle) @ (1, 1j)
    turn = (a.conj() @ b) / np.maximum((np.abs(a) ** 2).sum(axis=1), 1e-12)
    linear = np.stack([turn.real, -turn.imag, turn.imag, turn.real], axis=-1).reshape(-1, 2, 2)
    offset = middle - np.einsum("nij,nj->ni", linear, centre)
    maps = np.concatenate([linear, offset[..., None]], axis=-1)
    return np.einsum("nij,nkj->nki", linear, shapes) + offset[:, None], maps


class _Faces:
    """Faces laid over each other by their points."""

    def __init__(self, records: list[FaceRecord], scheme: LandmarkScheme) -> None:
        self.records, self.scheme = records, scheme
        self.shapes = np.stack([np.asarray(r.keypoints, dtype=float) for r in records])
        size = self.shapes.std(axis=(1, 2), keepdims=True)
        mean = np.median((self.shapes - self.shapes.mean(axis=1, keepdims=True)) / size, axis=0)
        for _ in range(4):
            laid, _ = lay(self.shapes, mean)
            mean = np.median(laid, axis=0)
        mean = mean - mean.min(axis=0)
        self.mean = (0.05 + 0.9 * mean / mean.max()) * TILE
        self.laid, self.maps = lay(self.shapes, self.mean)
        self.errors = np.linalg.norm(self.laid - self.mean, axis=-1)

    def swapped(self) -> Iterator[Finding]:
        """`left and right`: the shape fits better with its sides exchanged."""
        other, _ = lay(self.shapes[:, self.scheme.partners], self.mean)
        exchanged = np.linalg.norm(other - self.mean, axis=-1).mean(axis=1)
        own = self.errors.mean(axis=1)
        for index in np.flatnonzero(exchanged < own):
            yield Finding("left and right", self.records[index], "its sides are exchanged")

    def out_of_order(self) -> Iterator[Finding]:
        """`order`: a part of the face fits far better with its points counted another way."""
        for name, members in self.scheme.groups.items():
            part, mean = self.laid[:, list(members)], self.mean[list(members)]
            part = part - part.mean(axis=1, keepdims=True)
            mean = mean - mean.mean(axis=0)
            own = np.linalg.norm(part - mean, axis=-1).mean(axis=1)
            turns = range(len(members)) if name in self.scheme.closed else (0,)
            ways = [np.roll(part[:, ::step], turn, axis=1) for step in (1, -1) for turn in turns]
            best = np.min([np.linalg.norm(w - mean, axis=-1).mean(axis=1) for w in ways], axis=0)
            for index in np.flatnonzero((best < own / 2) & (own > 3 * np.median(own))):
                detail = f"{name}: its points are counted in another order"
                yield Finding("order", self.records[index], detail)

    def odd(self) -> Iterator[Finding]:
        """`odd shape`: a point very far from where the other faces have it."""
        middle = np.median(self.errors, axis=0)
        spread = np.median(np.abs(self.errors - middle), axis=0)
        scores = (self.errors - middle) / np.maximum(spread, 1e-6)
        for index in np.argsort(-scores.max(axis=1)):
            if scores[index].max() > ODD:
                point = scores[index].argmax()
                detail = f"point {point} is {scores[index].max():.0f} deviations from the others'"
                yield Finding("odd shape", self.records[index], detail)

    def alike(self, split_of: dict[int, str]) -> Iterator[Finding]:
        """`leak`: one picture in two splits, or `near-copy`: in one; other than twins."""
        tiles = in_threads(self._tile, len(self.records), "comparing faces")
        vectors = np.stack(list(tiles))
        for index in range(len(vectors)):
            likeness = vectors[index + 1 :] @ vectors[index]
            for at in index + 1 + np.flatnonzero(likeness > ALIKE):
                first, second = self.records[index], self.records[at]
                sides, value = (split_of[id(first)], split_of[id(second)]), likeness[at - index - 1]
                related = sides[0] == sides[1] and first.group == second.group
                if first.image == second.image or (related and value < SAME):
                    continue
                kind = "near-copy" if sides[0] == sides[1] else "leak"
                detail = f"{sides[0]} and {sides[1]}: {value:.2f} alike"
                yield Finding(kind, first, detail, second)

    def _tile(self, index: int) -> np.ndarray:
        """A face's fine structure, laid onto the mean shape, as a vector of length 1."""
        image = self.records[index].load(channels=1)
        tile = cv2.warpAffine(image, self.maps[index], (TILE, TILE), flags=cv2.INTER_AREA)
        fine = cv2.GaussianBlur(tile.astype(np.float32), (0, 0), 1)
        fine = cv2.subtract(fine, cv2.GaussianBlur(fine, (0, 0), 8))
        vector = (fine - fine.mean()).ravel()
        return vector / max(float(np.linalg.norm(vector)), 1e-6)
