"""A user's own annotations, in any of the formats of `facekp.data.formats`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facekp.core.errors import ConfigError, DataError
from facekp.core.files import exists
from facekp.core.landmarks import LandmarkScheme, find_scheme
from facekp.data.annotation_scheme import scheme_of
from facekp.data.datamodule import FaceDataModule
from facekp.data.entry_records import BOXES, RecordBuilder, Source, group_rule
from facekp.data.formats.base import ReadOptions
from facekp.data.formats.recognition import read_annotation_file
from facekp.data.records import SPLIT_VERBS, FaceRecord, Splits
from facekp.data.splits import (
    draw_validation,
    shared_by_splits,
    split_by_group,
)


class AnnotationsDataModule(FaceDataModule):
    """Annotations of any points in any of the known formats.

    * Points: names, skeleton and flip pairs come from `landmarks`, else from the file, else a
      bundled scheme with the same names, else pairs from `left` and `right` in the names.
    * Boxes: that of the annotation; else the points' extent with a margin, if there are three;
      else the whole image. `box` forces one of them.
    * Splits: `val` and `test`, or what the file says, or at random by group.

    A face without any point is left out of training and validation. A test file without points is
    for prediction.

    Args:
        train: file or folder of annotations, or a list of them; relative to the working folder or
            to `data_dir`.
        val: the same for validation, whatever the files say of splits; None: what those of `train`
            say, or a part of them.
        test: the same for the final test.
        images: folder of the images, or a list of folders, one per file of `train`, `val` and
            `test`; None: beside the annotations.
        format: of the annotations, by name; None: recognised by content.
        landmarks: name of a bundled scheme, a YAML file, or a scheme; None: as above.
        category: of a file with several.
        box: `annotation`, `points` or `image`; None: as above.
        group: heading of the column with the person or photo, or a regular expression on the
            image's name whose first group is it, e.g. `(.+)_[0-9]+`; None: a column `group` or
            `person`, else the photo.
        val_fraction: share of the faces that validates, where nothing says which.
        test_fraction: the same for the final test.
        fold: `K/N`: fold K of an N-fold cross-validation validates, of all faces that are not for
            the test; None: `val_fraction`.
        split_seed: of the random split, and of the folds.
        file_splits: whether training and validation are as the files of `train` say; else they are
            drawn.
        **settings: see `FaceDataModule`.

    Raises:
        ConfigError: a setting that cannot work.
    """

    subset_label = "folder"
    protocol = "annotations"

    def __init__(
        self,
        *,
        train: str | Sequence[str] | None = None,
        val: str | Sequence[str] | None = None,
        test: str | Sequence[str] | None = None,
        images: str | Sequence[str] | None = None,
        format: str | None = None,  # noqa: A002  # the setting's name
        landmarks: str | LandmarkScheme | None = None,
        category: str | None = None,
        box: str | None = None,
        group: str | None = None,
        val_fraction: float = 0.2,
        test_fraction: float = 0.0,
        fold: str | None = None,
        split_seed: int = 0,
        file_splits: bool = True,
        **settings,
    ) -> None:
        super().__init__(**settings)
        if not train:
            raise ConfigError("dataset.train= is missing: give a file or folder of annotations")
        if box is not None and box not in BOXES:
            raise ConfigError(f"dataset.box={box}: choose one of {', '.join(BOXES)}, or null")
        if not (val_fraction > 0 and test_fraction >= 0 and val_fraction + test_fraction < 1):
            raise ConfigError(
                f"dataset.val_fraction={val_fraction}, test_fraction={test_fraction}: give "
                "fractions that leave faces to train on"
            )
        if fold and val:
            raise ConfigError(
                f"dataset.fold={fold}, val={val}: a fold is drawn from dataset.train, so give "
                "val=null, or the files of both as train=[...]"
            )
        self.files = {"train": listed(train), "val": listed(val), "test": listed(test)}
        self.images, self.format, self.landmarks = listed(images), format, landmarks
        count = sum(map(len, self.files.values()))
        if len(self.images) not in (0, 1, count):
            raise ConfigError(f"dataset.images: give one folder, or {count}, one per file")
        self.category, self.box = category, box
        self.group = group
        self.group_column, self.group_pattern = group_rule(None if group is None else str(group))
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        self.fold, self.split_seed, self.file_splits = fold, split_seed, file_splits
        self.box_source = box or "annotation"
        self.notes: list[str] = []
        """What was found in the files, and should be known."""

    @property
    def folder(self) -> Path:
        """The first file of annotations, for messages."""
        return self._located(self.files["train"][0])

    def prepare_data(self) -> None:
        """Check that the files exist.

        Raises:
            ConfigError: they are to be downloaded.
            DataError: one does not.
        """
        if self.download:
            self.fetch()
        for path in (path for paths in self.files.values() for path in paths):
            self._located(path)

    def _located(self, name: str) -> Path:
        """A file or folder: as given, or in `data_dir`, by the longest end that exists there."""
        path = Path(name)
        if not exists(path):
            path = _expanded(name)  # a shell leaves ~ alone within `dataset.train=~/faces.csv`
        parts = path.parts[1:] if path.is_absolute() else path.parts
        ends = [self.data_dir.joinpath(*parts[first:]) for first in range(len(parts))]
        choices = [path, *ends]
        archives = [choice.with_suffix(".zip") for choice in choices if choice.name]
        for choice in (*choices, *archives):
            if exists(choice):
                return choice
        remedy = (
            "check dataset.train= (or val=, test=, images=); a relative name is also looked up in "
            f"data_dir={self.data_dir}"
        )
        raise DataError(path, "there is no such file or folder", remedy)

    def read_splits(self) -> Splits:
        """`train` and `val`; `test`, or `predict` if it has no points.

        Raises:
            ConfigError: settings that do not fit the files.
            DataError: a broken file, or an image that is missing.
        """
        self.notes = []
        named = [(split, name) for split, names in self.files.items() for name in names]
        folders = [self._located(name) for name in self.images]
        folders = folders * len(named) if len(folders) == 1 else folders
        sources = [
            self._source(split, self._located(name), folders[at : at + 1])
            for at, (split, name) in enumerate(named)
        ]
        self.notes += [
            f"{name} is not there: {source.path} is used"
            for (_, name), source in zip(named, sources, strict=True)
            if source.path not in (Path(name), _expanded(name), self.data_dir / name)
        ]
        self.scheme = self._scheme_of(sources)
        builder = RecordBuilder(
            self.scheme, self.box, self.group_pattern, self.problems, self.file_splits
        )
        splits: Splits = {}
        boxes: Counter[str] = Counter()
        every: Counter[str] = Counter()
        for source in sources:
            for split, record, box in builder.records(source, self.notes):
                splits.setdefault(split, []).append(record)
                every[box] += 1
                boxes[box] += split == "train"
        self.box_source = max(boxes, key=lambda box: boxes[box], default=self.box_source)
        if len(every) > 1:
            counts = ", ".join(f"{count} by {box}" for box, count in every.items())
            self.notes.append(f"boxes of several kinds: {counts}; dataset.box= forces one")
        splits = self._without_empty(splits)
        if splits.get("val") and self.fold:
            raise ConfigError(
                f"dataset.fold={self.fold}: {self.folder} says itself which faces validate; "
                "dataset.file_splits=false draws all folds anew"
            )
        splits |= self._drawn(splits)
        splits = {n: splits[n] for n in ("train", "val", "test", "predict") if n in splits}
        evaluated = {name: records for name, records in splits.items() if name != "predict"}
        self.notes += [
            f"LEAK: {shared} of the {total} {what} in {second} are in {first}, too: figures on "
            f"{second} are too good; keep each on one side, e.g. by giving all files as "
            "dataset.train=[...] (dataset.file_splits=false if they name splits) and "
            "dataset.group= a column or a regular expression"
            for first, second, what, shared, total in shared_by_splits(evaluated)
        ]
        return splits

    def _source(self, split: str, path: Path, images: list[Path]) -> Source:
        options = ReadOptions(self.category, self.group_column, self.cache_dir, self.problems)
        known = len(self.problems or ())
        content, annotation_format = read_annotation_file(path, options, self.format)
        if self.group_column and any(face.group is None for face in content.faces):
            raise ConfigError(
                f"dataset.group={self.group_column}: {path} has no such column; give a regular "
                "expression on the image's name, e.g. '(.+)_[0-9]+'"
            )
        if len(set(content.names)) < len(content.names):
            twice = sorted({n for n in content.names if list(content.names).count(n) > 1})
            problem = f"two points called {', '.join(twice[:5])}"
            raise DataError(path, problem, "give each point a name of its own")
        lacks_points = not content.names and split != "test"  # of which boxes are enough
        if lacks_points or not content.faces:
            if self.problems and len(self.problems) > known:
                raise self.problems[known]
            what = "points" if lacks_points else "faces"
            raise DataError(path, f"there are no {what} in it", "is it the right file?")
        self.notes += [f"{path.name}: {note}" for note in content.notes]
        folders = images or annotation_format.image_folders(path)
        return Source(split, path, content, folders, annotation_format.upright)

    def _scheme_of(self, sources: list[Source]) -> LandmarkScheme:
        files = [(source.path, source.content) for source in sources if source.content.names]
        chosen = self.landmarks
        if chosen is not None and not isinstance(chosen, LandmarkScheme):
            chosen = find_scheme(chosen)
        scheme, notes = scheme_of(files, chosen)
        self.notes += notes
        return scheme

    def _without_empty(self, splits: Splits) -> Splits:
        """Faces without points removed; a test split without any becomes `predict`."""
        kept: Splits = {}
        for name, records in splits.items():
            labelled = [record for record in records if record.keypoints is not None]
            if name == "predict" or (name == "test" and not labelled):
                kept["predict"] = kept.get("predict", []) + records
                continue
            kept[name] = labelled
            if len(labelled) < len(records):
                count = len(records) - len(labelled)
                self.notes.append(f"{count} faces of {name} have no points and are left out")
        return kept

    def _drawn(self, splits: Splits) -> Splits:
        """`val`, and `test` if asked for, drawn from `train` by group where there are none."""
        drawn: Splits = {}
        records, fraction = splits.get("train", []), self.val_fraction
        if self.test_fraction and "test" not in splits:
            records, drawn["test"] = split_by_group(records, self.test_fraction, self.split_seed)
            fraction /= 1 - self.test_fraction
        if not splits.get("val"):
            if self.files["val"]:
                problem = "none of its faces has points, so they cannot validate"
                raise DataError(self._located(self.files["val"][0]), problem, "give another one")
            records, drawn["val"] = draw_validation(records, fraction, self.fold, self.split_seed)
        return drawn | ({"train": records} if "train" in splits or "val" in drawn else {})

    def _empty_split_message(self, split: str) -> str:
        groups = {record.group for records in self.splits.values() for record in records}
        if split == "val" and len(groups) == 1:
            return (
                f"{self.folder}: all faces belong to one group ({groups.pop()}), so none can "
                "validate; give dataset.val=, or another dataset.group="
            )
        return "; ".join([super()._empty_split_message(split), *self.notes])

    def evaluation_subsets(
        self, split: str, records: Sequence[FaceRecord]
    ) -> dict[str, np.ndarray]:
        """All faces, and those of each tag, e.g. WFLW's attributes."""
        tags = dict.fromkeys(tag for record in records for tag in record.tags)
        masks = {tag: np.array([tag in record.tags for record in records]) for tag in tags}
        return super().evaluation_subsets(split, records) | masks

    def summary(self) -> str:
        """What was read: files, faces per split, points, missing labels, boxes."""
        counts = ", ".join(f"{len(r)} faces {SPLIT_VERBS[name]}" for name, r in self.splits.items())
        files = ", ".join(name for names in self.files.values() for name in names)
        points = [r.keypoints for rs in self.splits.values() for r in rs if r.keypoints is not None]
        missing = sum(int(np.isnan(face[:, 0]).sum()) for face in points)
        labels = len(points) * self.scheme.count
        pairs = self.scheme.flip_pairs
        fold = f" (fold {self.fold})" if self.fold else ""
        lines = [
            f"{files}: {counts}{fold}",
            f"  {self.scheme.count} points ({self.scheme.name}), {missing} of {labels} labels "
            f"missing; box: {self.box_source}; "
            f"{'no' if pairs is None else len(pairs)} flip pairs known",
        ]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def _expanded(name: str) -> Path:
    """A path whose `~` is the home folder."""
    try:
        return Path(name).expanduser()
    except RuntimeError:  # of an unknown user
        return Path(name)


def listed(names: str | Sequence[str] | None) -> list[str]:
    """A setting that is a file or folder, or several, as a list."""
    if names is None:
        return []
    return [names] if isinstance(names, str) else [str(name) for name in names]
