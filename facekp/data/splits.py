"""Splitting records so that no person or photo is on both sides."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from facekp.core.errors import ConfigError

if TYPE_CHECKING:
    from facekp.data.records import FaceRecord


def split_by_group(
    records: Sequence[FaceRecord], fraction: float, seed: int
) -> tuple[list[FaceRecord], list[FaceRecord]]:
    """Split records at random, keeping each group on one side.

    Args:
        records: the records.
        fraction: share of the records on the second side, met as closely as the groups allow; it
            gets the smallest group at least, if there are several.
        seed: of the draw.

    Returns:
        Both sides, each in the given order.
    """
    sizes = count_by(records, lambda record: record.group)
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
    first = [record for record in records if record.group not in held]
    return first, [record for record in records if record.group in held]


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
    """Split records for cross-validation: each group is in exactly one of N folds.

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
    sizes = count_by(records, lambda record: record.group)
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
    held = folds[number - 1]
    first = [record for record in records if record.group not in held]
    return first, [record for record in records if record.group in held]


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

    The count refers to the second, later split. A photo is only named where its group is not.
    """
    for first, second in itertools.combinations(splits, 2):
        for what in ("groups", "photos"):
            sides = [
                {r.group if what == "groups" else str(r.image) for r in splits[name]}
                for name in (first, second)
            ]
            shared = sides[0] & sides[1]
            if shared:
                yield first, second, what, len(shared), len(sides[1])
                break


def count_by(records: Sequence[FaceRecord], key: Callable[[FaceRecord], str]) -> dict[str, int]:
    """Number of records per value of `key`, sorted by value."""
    counts: dict[str, int] = {}
    for record in records:
        counts[key(record)] = counts.get(key(record), 0) + 1
    return dict(sorted(counts.items()))
