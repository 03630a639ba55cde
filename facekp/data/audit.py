"""Audit of a data set whose entries can all be read: duplicates, leaks, suspicious points."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pandas as pd

from facekp.core.alignment import mean_shape, procrustes_align
from facekp.core.geometry import image_box
from facekp.core.image import image_size
from facekp.core.landmarks import LandmarkScheme
from facekp.core.progress import map_in_threads
from facekp.data.datamodule import FaceDataModule
from facekp.data.flip_pairs import contradicted_pairs, proposed_flip_pairs
from facekp.data.records import FaceRecord, annotated_points

FAR_POINT = 0.5
"""Distance of a point outside its box, in mean sides of the box, from which it is reported."""
ALIKE = 0.92
"""Correlation from which two faces, aligned by their points, are the same picture."""
SAME = 0.98
"""The same for two faces of one group in one split, which may be two pictures of one person."""
TWIN_DISTANCE = 0.05
"""Distance of points of mirrored twins, in mean sides of the box, from which it is reported."""
ODD = 16.0
"""Distance of a point from its mean position, in median absolute deviations, to be reported."""
MANY = 4
"""Points at exactly one place from which on they are taken for marks of missing points."""
MIN_FACES = 8
"""Faces from which on shapes are compared."""
TILE = 48
"""Side of the small pictures that are compared, in pixels."""


@dataclass(frozen=True, eq=False)
class Finding:
    """Something suspicious.

    Args:
        category: e.g. `leak`.
        record: the entry.
        detail: what was found.
        other: a second entry that is involved.
    """

    category: str
    record: FaceRecord
    detail: str
    other: FaceRecord | None = None


@dataclass(frozen=True, eq=False)
class PointAudit:
    """What the data says of the points themselves.

    Args:
        table: one row per point: number, name, labels, occluded, flip pair, proposed flip pair.
        mean: (K, 2) mean shape; None if too few faces have enough points.
        contradicted: what the mean shape says against declared flip pairs.
        proposed: the scheme with the flip pairs that the data suggests, where none are known.
    """

    table: pd.DataFrame
    mean: np.ndarray | None
    contradicted: list[str]
    proposed: LandmarkScheme | None


def audit_points(datamodule: FaceDataModule) -> PointAudit:
    """Labels of each point, and flip pairs compared with the mean shape."""
    scheme = datamodule.scheme
    every = [record for records in datamodule.splits.values() for record in records]
    labelled = [record for record in every if record.keypoints is not None]
    labels, occluded = np.zeros(scheme.count, int), np.zeros(scheme.count, int)
    for record in labelled:
        labels += np.isfinite(annotated_points(record)).all(axis=1)
        occluded += 0 if record.occluded is None else record.occluded
    names = np.array(scheme.point_names)
    table = pd.DataFrame({"number": range(scheme.count), "name": names, "labels": labels})
    if occluded.any():
        table["occluded"] = occluded
    usable = alignable_faces(labelled, scheme)
    mean, contradicted, proposed = None, [], None
    if len(usable) >= MIN_FACES:
        mean = mean_shape(np.stack([annotated_points(r).astype(float) for r in usable]))
        contradicted = contradicted_pairs(mean, scheme)
        if scheme.flip_pairs is None and (pairs := proposed_flip_pairs(mean)):
            proposed = replace(scheme, name=f"{scheme.name}_proposed", flip_pairs=pairs)
    for title, known in (("flip pair", scheme), ("proposed flip pair", proposed)):
        if known is not None and known.flip_pairs is not None:
            partner = known.flip_indices
            alone = partner == np.arange(scheme.count)
            table[title] = np.where(alone, "", names[partner])
    return PointAudit(table, mean, contradicted, proposed)


def audit(datamodule: FaceDataModule) -> list[Finding]:
    """Everything suspicious in a data set that has been read, category by category."""
    splits, scheme = datamodule.splits, datamodule.scheme
    every = [record for records in splits.values() for record in records]
    labelled = [record for record in every if record.keypoints is not None]
    split_of = {id(record): name for name, records in splits.items() for record in records}
    findings = [*duplicate_entries(every), *duplicate_files(every), *far_points(labelled)]
    findings += inconsistent_twins(labelled, datamodule)
    flat = [record for record in labelled if not _has_extent(record, scheme)]
    findings += [Finding("odd shape", record, "its points coincide") for record in flat]
    findings += placeholders(labelled)
    known = {f.record for f in findings if f.category in ("far point", "placeholder")}
    usable = alignable_faces(labelled, scheme, [*flat, *known])
    if len(usable) >= MIN_FACES:
        faces = _AlignedFaces(usable, scheme)
        swapped = [*faces.swapped_sides(), *faces.other_orders()]
        known = {finding.record for finding in swapped}
        findings += [*swapped, *(f for f in faces.odd_shapes() if f.record not in known)]
        findings += faces.alike(split_of)
    return findings


def alignable_faces(
    records: Sequence[FaceRecord], scheme: LandmarkScheme, without: Sequence[FaceRecord] = ()
) -> list[FaceRecord]:
    """Faces with enough points to be aligned: half of the scheme's, at least three.

    None if together they lack a point.
    """
    excluded = set(without)
    enough = [
        record
        for record in records
        if record not in excluded
        and np.isfinite(annotated_points(record)).all(axis=1).sum() >= max(3, scheme.count / 2)
    ]
    present = [np.isfinite(annotated_points(record)).all(axis=1) for record in enough]
    return enough if enough and np.any(present, axis=0).all() else []


def _has_extent(record: FaceRecord, scheme: LandmarkScheme) -> bool:
    """Whether a face's points, and the ends of its normaliser, lie apart."""
    points = annotated_points(record).astype(float)
    extent = np.nanmax(points, axis=0) - np.nanmin(points, axis=0)
    single = np.isfinite(points).all(axis=1).sum() == 1
    ends = scheme.normalizer.ends(points) if scheme.normalizer.first else None
    return bool(single or (extent.max() > 0 and not (ends and np.array_equal(*ends))))


def duplicate_entries(records: Iterable[FaceRecord]) -> Iterator[Finding]:
    """`twice`: a file and box that is listed again."""
    first: dict[tuple, FaceRecord] = {}
    for record in records:
        key = (record.image, *np.round(record.bbox, 2).tolist())
        if key in first:
            yield Finding("twice", record, "the same file and box", first[key])
        first.setdefault(key, record)


def duplicate_files(records: Sequence[FaceRecord]) -> Iterator[Finding]:
    """`same file`: two files with the same bytes."""
    sizes: dict[int, list[FaceRecord]] = {}
    for image, record in {record.image: record for record in records}.items():
        sizes.setdefault(image.stat().st_size, []).append(record)
    first: dict[bytes, FaceRecord] = {}
    for same_size in sizes.values():
        for record in same_size if len(same_size) > 1 else ():
            digest = hashlib.sha256(record.image.read_bytes()).digest()
            if digest in first:
                yield Finding("same file", record, "byte for byte", first[digest])
            first.setdefault(digest, record)


def far_points(records: Iterable[FaceRecord]) -> Iterator[Finding]:
    """`far point`: a point more than `FAR_POINT` sides outside its box, or outside the image."""
    for record in records:
        points = annotated_points(record)
        image = image_box(image_size(record.image, upright=record.upright))
        for what, box in (("box", record.bbox), ("image", image)):
            side = (box[2:] - box[:2]).mean()
            outside = np.maximum(box[:2] - points, points - box[2:]).max(axis=1)
            outside = np.nan_to_num(outside, nan=-np.inf)
            if outside.max() > FAR_POINT * side:
                share = outside.max() / side
                detail = f"point {outside.argmax()} lies {share:.3g} sides of the {what} outside it"
                yield Finding("far point", record, detail)
                break


def placeholders(records: Sequence[FaceRecord]) -> Iterator[Finding]:
    """`placeholder`: many points at one place in the corner, such as (0, 0), or (-1, -1)."""
    places: dict[tuple[float, float], list[FaceRecord]] = {}
    for record in records:
        points = annotated_points(record)
        for x, y in points[(points <= 0).all(axis=1)].tolist():
            places.setdefault((x, y), []).append(record)
    for (x, y), faces in places.items():
        if len(faces) >= MANY:
            for record in dict.fromkeys(faces):
                detail = f"a point at ({x:g}, {y:g}), as {len(faces) - 1} others: is it missing?"
                yield Finding("placeholder", record, detail)


def inconsistent_twins(
    records: Iterable[FaceRecord], datamodule: FaceDataModule
) -> Iterator[Finding]:
    """`twin`: a mirrored copy whose size, points or pixels differ from the original, mirrored."""
    by_name = {record.name: record for record in records}
    for record in by_name.values():
        original = by_name.get(datamodule.original_name(record) or "")
        if original is None:
            continue
        height, width = image_size(record.image)
        if image_size(original.image) != (height, width):
            yield Finding("twin", record, "its size is not the original's", original)
            continue
        mirrored = annotated_points(original)[datamodule.scheme.flip_indices] * (-1, 1)
        distance = np.linalg.norm(annotated_points(record) - mirrored - (width - 1, 0), axis=1)
        distance = np.nan_to_num(distance)
        side = (record.bbox[2:] - record.bbox[:2]).mean()
        if distance.max() > TWIN_DISTANCE * side:
            detail = f"point {distance.argmax()} is {distance.max() / side:.3g} sides of the box"
            yield Finding("twin", record, f"{detail} away from the original's, mirrored", original)
        elif _correlation(record.load(1), original.load(1)[:, ::-1]) < ALIKE:
            yield Finding("twin", record, "its pixels are not the original's, mirrored", original)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Correlation of two grey pictures of one size, downscaled."""
    small = [cv2.resize(x, (TILE, TILE), interpolation=cv2.INTER_AREA) for x in (first, second)]
    a, b = (x.astype(float).ravel() - x.mean() for x in small)
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-6))


class _AlignedFaces:
    """Faces aligned to their mean shape."""

    def __init__(self, records: list[FaceRecord], scheme: LandmarkScheme) -> None:
        self.records, self.scheme = records, scheme
        self.shapes = np.stack([annotated_points(r).astype(float) for r in records])
        mean = mean_shape(self.shapes)
        mean = mean - np.nanmin(mean, axis=0)
        self.mean = (0.05 + 0.9 * mean / np.nanmax(mean)) * TILE
        self.aligned, self.transforms = procrustes_align(self.shapes, self.mean)
        self.errors = np.linalg.norm(self.aligned - self.mean, axis=-1)

    def swapped_sides(self) -> Iterator[Finding]:
        """`left and right`: the shape fits better with its sides exchanged."""
        if not self.scheme.flip_pairs:
            return
        other, _ = procrustes_align(self.shapes[:, self.scheme.flip_indices], self.mean)
        exchanged = np.nanmean(np.linalg.norm(other - self.mean, axis=-1), axis=1)
        present = np.isfinite(self.shapes).all(axis=2)
        pairs = np.array(self.scheme.flip_pairs)
        enough = present[:, pairs].all(axis=2).sum(axis=1) >= max(2, len(pairs) / 2)
        for index in np.flatnonzero(enough & (exchanged < np.nanmean(self.errors, axis=1))):
            yield Finding("left and right", self.records[index], "its sides are exchanged")

    def other_orders(self) -> Iterator[Finding]:
        """`order`: a part of the face fits far better with its points in another order."""
        for name, members in self.scheme.parts.items():
            part, mean = self.aligned[:, list(members)], self.mean[list(members)]
            part = part - part.mean(axis=1, keepdims=True)
            mean = mean - mean.mean(axis=0)
            error = np.linalg.norm(part - mean, axis=-1).mean(axis=1)
            shifts = range(len(members)) if name in self.scheme.closed else (0,)
            orders = [np.roll(part[:, ::s], shift, axis=1) for s in (1, -1) for shift in shifts]
            best = np.min([np.linalg.norm(o - mean, axis=-1).mean(axis=1) for o in orders], axis=0)
            usual = np.median(error[np.isfinite(error)]) if np.isfinite(error).any() else 0.0
            for index in np.flatnonzero((best < error / 2) & (error > 3 * usual)):
                detail = f"{name}: its points are counted in another order"
                yield Finding("order", self.records[index], detail)

    def odd_shapes(self) -> Iterator[Finding]:
        """`odd shape`: a point very far from its position on the other faces."""
        middle = np.nanmedian(self.errors, axis=0)
        spread = np.nanmedian(np.abs(self.errors - middle), axis=0)
        scores = np.nan_to_num((self.errors - middle) / np.maximum(spread, 1e-6))
        for index in np.argsort(-scores.max(axis=1)):
            if scores[index].max() > ODD:
                point = scores[index].argmax()
                detail = f"point {point} is {scores[index].max():.0f} deviations from the others'"
                yield Finding("odd shape", self.records[index], detail)

    def alike(self, split_of: Mapping[int, str]) -> Iterator[Finding]:
        """`leak`: a picture in two splits; `near-duplicate`: in one; mirrored twins excepted."""
        vectors = np.stack(list(map_in_threads(self._tile, len(self.records), "comparing faces")))
        for index in range(len(vectors)):
            correlation = vectors[index + 1 :] @ vectors[index]
            for at in index + 1 + np.flatnonzero(correlation > ALIKE):
                first, second = self.records[index], self.records[at]
                sides = (split_of[id(first)], split_of[id(second)])
                value = correlation[at - index - 1]
                related = sides[0] == sides[1] and first.group == second.group
                if first.image == second.image or (related and value < SAME):
                    continue
                category = "near-duplicate" if sides[0] == sides[1] else "leak"
                detail = f"{sides[0]} and {sides[1]}: {value:.2f} alike"
                yield Finding(category, first, detail, second)

    def _tile(self, index: int) -> np.ndarray:
        """A face's fine structure, aligned to the mean shape, as a vector of length 1."""
        image = self.records[index].load(channels=1)
        tile = cv2.warpAffine(image, self.transforms[index], (TILE, TILE))
        fine = cv2.GaussianBlur(tile.astype(np.float32), (0, 0), 1)
        fine = cv2.subtract(fine, cv2.GaussianBlur(fine, (0, 0), 8))
        vector = (fine - fine.mean()).ravel()
        return vector / max(float(np.linalg.norm(vector)), 1e-6)
