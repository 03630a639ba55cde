"""Random splits and folds: no person and no photo on both sides."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facekp.data.records import FaceRecord
from facekp.data.splits import draw_validation, shared_by_splits


def record(image: str | Path, group: str) -> FaceRecord:
    path = Path(image)
    box = np.array([0.0, 0, 9, 9])
    return FaceRecord(path, box, np.zeros((1, 2)), path.name, group, "", (path, None))


def on_both_sides(records: list[FaceRecord], key: Callable, fold: str | None, seed: int) -> set:
    first, second = draw_validation(records, 0.3, fold, seed)
    assert len(first) + len(second) == len(records)
    assert first
    assert second
    return {key(r) for r in first} & {key(r) for r in second}


@pytest.mark.parametrize("fold", [None, "2/3"])
def test_people_who_share_a_photo_stay_together(fold: str | None) -> None:
    """Each photo shows two people, and one of them is in the next photo, too, within five."""
    records = [
        record(f"{photo}.jpg", f"person {photo + at if (photo + 1) % 5 else photo}")
        for photo in range(30)
        for at in range(2)
    ]
    for seed in range(10):
        assert not on_both_sides(records, lambda r: r.image, fold, seed)
        assert not on_both_sides(records, lambda r: r.group, fold, seed)


def test_the_same_photo_by_other_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "links").symlink_to("photos")
    names = [f"{at}.jpg" for at in range(9)]
    for name in names:
        (tmp_path / "photos" / name).touch()
        (tmp_path / f"link_{name}").symlink_to(f"photos/{name}")
    spellings = ["photos/", f"{tmp_path}/photos/", "links/", "link_"]
    records = [record(s + name, s + name) for s in spellings for name in names]
    assert not on_both_sides(records, lambda r: os.path.realpath(r.image), None, 0)
    for spelling in spellings[1:]:
        other = [record(spelling + name, spelling + name) for name in names[:4]]
        shared = shared_by_splits({"train": records[:9], "val": other})
        assert list(shared) == [("train", "val", "photos", 4, 4)]


def test_photos_of_other_groups_are_named_beside_shared_groups() -> None:
    """Files that name people in two ways share a person by name, and more photos than hers."""
    train = [record(f"{at}.jpg", f"person {at // 2}") for at in range(8)]
    val = [record(f"{at}.jpg", "person 0" if at < 2 else f"{at}.jpg") for at in range(6)]
    shared = list(shared_by_splits({"train": train, "val": val}))
    assert shared == [("train", "val", "groups", 1, 5), ("train", "val", "photos", 6, 6)]
    assert [what for _, _, what, *_ in shared_by_splits({"train": train, "val": train})] == [
        "groups"
    ]
