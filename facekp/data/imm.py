"""IMM Face Database: 240 photographs of 40 people with 58 points each.

    imm_face_db/
        01-1m.asf  01-1m.jpg      person 01, view 1, male
        ...
        40-6m.asf  40-6m.jpg

Views: 1 frontal, neutral; 2 frontal, happy; 3 turned to the person's right; 4 to the left;
5 frontal with spot light; 6 frontal, arbitrary expression.

Licence: free for education and research with a citation:
M. B. Stegmann, B. K. Ersbøll, R. Larsen, "FAME - a flexible appearance modelling environment",
IEEE TMI 22(10), 2003; M. M. Nordstrøm, M. Larsen, J. Sierakowski, M. B. Stegmann, "The IMM Face
Database - an annotated dataset of 240 face images", DTU, 2004.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from facekp.core.errors import DataError, skip_or_raise
from facekp.core.geometry import image_box
from facekp.core.image import image_size
from facekp.core.landmarks import IMM58
from facekp.data.datamodule import FaceDataModule
from facekp.data.download import IMM_ARCHIVE, fetch_archive
from facekp.data.formats.asf import read_asf
from facekp.data.records import FaceRecord, Splits
from facekp.data.registry import IMM
from facekp.data.splits import split_by_fold

_NAME = re.compile(r"(\d+)-(\d+)[mf]")

VIEWS = {
    "1": "1 frontal, neutral",
    "2": "2 frontal, happy",
    "3": "3 turned to their right",
    "4": "4 turned to their left",
    "5": "5 frontal, spot light",
    "6": "6 frontal, joker",
}
"""The six photographs of a person, as named in the official note."""


def read_imm(folder: str | Path, problems: list[DataError] | None = None) -> list[FaceRecord]:
    """Read every `.asf` of an IMM folder; the box is the whole image.

    Args:
        folder: with the `.asf` files and the images.
        problems: broken entries are skipped and their errors appended here; None: the first one is
            raised.

    Raises:
        DataError: no `.asf` at all, a broken one, a missing image, or a name that is not
            `<person>-<view><m|f>`.
    """
    folder = Path(folder)
    paths = sorted(folder.glob("*.asf"))
    if not paths:
        raise DataError(folder, "no .asf file in this folder", "unpack the IMM archive into it")
    records = []
    for path in paths:
        try:
            records.append(_read_face(path))
        except DataError as error:
            skip_or_raise(error, problems)
    return records


def _read_face(path: Path) -> FaceRecord:
    named = _NAME.fullmatch(path.stem)
    if named is None:
        raise DataError(path, "the name is not <person>-<view><m|f>", "restore or remove the file")
    shape = read_asf(path)
    image = path.parent / shape.image_name
    size = image_size(image)
    return FaceRecord(
        image=image,
        bbox=image_box(size),
        keypoints=shape.keypoints(size),
        name=path.stem,
        group=named[1],
        subset=VIEWS.get(named[2], f"view {named[2]}"),
        origin=(path, None),
        size=size,
    )


class IMMDataModule(FaceDataModule):
    """IMM, split by person: `val_people` validate, all others train.

    Args:
        val_people: numbers of the people held out.
        fold: `K/N`: the people of fold K of an N-fold cross-validation are held out instead; None:
            `val_people`.
        split_seed: of the folds.
        **settings: see `FaceDataModule`.
    """

    scheme = IMM58
    info = IMM
    box_source = "image"
    subset_label = "view"
    protocol = "imm"

    def __init__(
        self,
        *,
        val_people: Sequence[int] = tuple(range(33, 41)),
        fold: str | None = None,
        split_seed: int = 0,
        **settings,
    ) -> None:
        super().__init__(**settings)
        self.val_people = frozenset(int(person) for person in val_people)
        self.fold, self.split_seed = fold, split_seed

    def fetch(self) -> None:
        """Download the official archive."""
        fetch_archive(IMM_ARCHIVE, self.folder)

    def read_splits(self) -> Splits:
        """`train` and `val`, no person in both."""
        records = read_imm(self.folder, self.problems)
        if self.fold:
            train, val = split_by_fold(records, self.fold, self.split_seed)
            return {"train": train, "val": val}
        splits: Splits = {"train": [], "val": []}
        for record in records:
            splits["val" if int(record.group) in self.val_people else "train"].append(record)
        return splits

    def _empty_split_message(self, split: str) -> str:
        people = sorted({r.group for records in self.splits.values() for r in records})
        if not people:
            return super()._empty_split_message(split)
        return (
            f"dataset.val_people={sorted(self.val_people)}: the {split} split has no faces; "
            f"the people in {self.folder} are {', '.join(people)}"
        )

    def summary(self) -> str:
        """What was read, in one line."""
        parts = [
            f"{len(records)} faces of {len({record.group for record in records})} people {verb}"
            for verb, records in zip(("train", "validate"), self.splits.values(), strict=True)
        ]
        fold = f", fold {self.fold}" if self.fold else ""
        return f"IMM in {self.folder}{fold}: " + ", ".join(parts)
