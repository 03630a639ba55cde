"""Splitting records so that no person or photo is on both sides."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

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
