"""Splitting records so that no person or photo is on both sides."""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facekp.core.errors import ConfigError

if TYPE_CHECKING:
    from facekp.data.records import FaceRecord


def split_by_group(
    records: Sequence[FaceRecord], fraction: float, seed: int
) -> tuple[list[FaceRecord], list[FaceRecord]]:
    """Split records at random, keeping each group and each photo on one side.

    Args:
        records: the records.
        fraction: share of the records on the second side, met as closely as the groups allow; it
            gets the smallest group at least, if there are several.
        seed: of the draw.

    Returns:
        Both sides, each in the given order.
    """
    members = _joined_groups(records)
    sizes = _counts(members)
    groups = list(sizes)
    np.random.default_rng(seed).shuffle(groups)
    held: set[str] = set()
    room = round(fraction * len(records))
    for group in groups:
        if sizes[group] <= room:
            held.add(group)
            room -= sizes[group]
    if not held and len(groups) > 1:
        held.add(min(groups, key=lambda group: sizes[group]))
    return _sides(records, members, held)


def parse_fold(fold: object) -> tuple[int, int]:
    """Fold `K/N` of a cross-validation as (K, N), counted from 1.

    Raises:
        ConfigError: it is not such a text.
    """
    match = re.fullmatch(r"([1-9][0-9]*)/([1-9][0-9]*)", str(fold))
    number, count = map(int, match.groups()) if match else (0, 0)
    if count < 2 or number > count:
        raise ConfigError(f"dataset.fold={fold}: give K/N, e.g. 1/5, the first of five folds")
    return number, count


def split_by_fold(
    records: Sequence[FaceRecord], fold: str, seed: int
) -> tuple[list[FaceRecord], list[FaceRecord]]:
    """Split records for cross-validation: each group and photo is in exactly one of N folds.

    Args:
        records: the records.
        fold: `K/N`, see `parse_fold`; fold K is the second side.
        seed: of the draw of all N folds.

    Returns:
        Both sides, each in the given order. The folds' sizes differ by one group at most.

    Raises:
        ConfigError: `fold` is not `K/N`, or there are fewer groups than folds.
    """
    number, count = parse_fold(fold)
    members = _joined_groups(records)
    sizes = _counts(members)
    if len(sizes) < count:
        raise ConfigError(
            f"dataset.fold={fold}: there are only {len(sizes)} groups (people or photos)"
        )
    groups = list(sizes)
    np.random.default_rng(seed).shuffle(groups)
    folds: list[set[str]] = [set() for _ in range(count)]
    totals = [0] * count
    for group in sorted(groups, key=lambda group: -sizes[group]):
        smallest = totals.index(min(totals))
        folds[smallest].add(group)
        totals[smallest] += sizes[group]
    return _sides(records, members, folds[number - 1])


def draw_validation(
    records: Sequence[FaceRecord], fraction: float, fold: str | None, seed: int
) -> tuple[list[FaceRecord], list[FaceRecord]]:
    """Training and validation records: by `split_by_fold` if there is a fold, else at random."""
    if fold:
        return split_by_fold(records, fold, seed)
    return split_by_group(records, fraction, seed)


def shared_by_splits(
    splits: Mapping[str, Sequence[FaceRecord]],
) -> Iterator[tuple[str, str, str, int, int]]:
    """What two splits share: (first, second, `groups` or `photos`, how many, of how many).

    The count refers to the second, later split. Photos are only named if some of them are of other
    groups than those that are.
    """
    photos = {name: _photos(records) for name, records in splits.items()}
    groups = {name: [record.group for record in records] for name, records in splits.items()}
    for first, second in itertools.combinations(splits, 2):
        shared = set(groups[first]) & set(groups[second])
        if shared:
            yield first, second, "groups", len(shared), len(set(groups[second]))
        both = set(photos[first]) & set(photos[second])
        pairs = zip(photos[second], groups[second], strict=True)
        if any(photo in both and group not in shared for photo, group in pairs):
            yield first, second, "photos", len(both), len(set(photos[second]))


def count_by(records: Sequence[FaceRecord], key: Callable[[FaceRecord], str]) -> dict[str, int]:
    """Number of records per value of `key`, sorted by value."""
    return _counts(map(key, records))


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _sides(
    records: Sequence[FaceRecord], members: Sequence[str], held: set[str]
) -> tuple[list[FaceRecord], list[FaceRecord]]:
    """The records whose group is not in `held`, and those whose group is."""
    sides: tuple[list[FaceRecord], list[FaceRecord]] = ([], [])
    for record, group in zip(records, members, strict=True):
        sides[group in held].append(record)
    return sides


def _joined_groups(records: Sequence[FaceRecord]) -> list[str]:
    """Each record's group; groups that share a photo become one, called like the first of them."""
    parents: dict[str, str] = {}

    def root(group: str) -> str:
        while (parent := parents.get(group, group)) != group:
            parents[group] = parents.get(parent, parent)  # halves the path
            group = parent
        return group

    by_photo: dict[str, str] = {}
    for record, photo in zip(records, _photos(records), strict=True):
        first, second = sorted((root(record.group), root(by_photo.setdefault(photo, record.group))))
        parents[second] = first
    return [root(record.group) for record in records]


def _photos(records: Sequence[FaceRecord]) -> list[str]:
    """Each record's image file, whichever way its path is written."""
    folders: dict[Path, str] = {}
    found = []
    for record in records:
        folder = record.image.parent
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        path = os.path.join(folders[folder], record.image.name)  # noqa: PTH118
        found.append(os.path.realpath(path) if os.path.islink(path) else path)  # noqa: PTH114
    return found
