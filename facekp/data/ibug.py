"""iBUG 300-W in dlib's packaging: 68 points on faces in the wild.

    ibug_300W_large_face_landmark_dataset/
        labels_ibug_300W_train.xml           6666 entries (3333 images and their mirrored twins)
        labels_ibug_300W_test.xml            1008 entries with points (dlib's archive)
        labels_ibug_300W_test_parsed.xml     the same with boxes only (the course's archive)
        afw/  helen/{trainset,testset}/  ibug/  lfpw/{trainset,testset}/

Licence: research use only. C. Sagonas, E. Antonakos, G. Tzimiropoulos, S. Zafeiriou, M. Pantic,
"300 faces in-the-wild challenge: database and results", IMAVIS 2016.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np

from facekp.core.errors import ConfigError, DataError, skip_or_raise
from facekp.core.files import is_file
from facekp.core.landmarks import IBUG68
from facekp.data.datamodule import FaceDataModule
from facekp.data.download import IBUG_ARCHIVE, fetch_archive
from facekp.data.formats.dlib_xml import read_dlib_xml
from facekp.data.records import SPLIT_VERBS, FaceRecord, Splits
from facekp.data.registry import IBUG, IBUG_TEST_XMLS, IBUG_TRAIN_XML
from facekp.data.splits import count_by, draw_validation

TRAINING_SUBSETS = frozenset({"afw", "helen/trainset", "lfpw/trainset"})
COMMON_SUBSETS = frozenset({"helen/testset", "lfpw/testset"})
CHALLENGING_SUBSETS = frozenset({"ibug"})

MAX_LABEL_SHIFT = 0.1
"""More is no shift, but a mistake in the setting."""
_TWIN = "_mirror"
_FLICKR = re.compile(r"(\d+)_\d+")
_NUMBERED = re.compile(r"(image_\d+).*")


def is_twin(name: str) -> bool:
    """Whether an entry is the mirrored copy of another one."""
    return PurePosixPath(name).stem.endswith(_TWIN)


def original_of(name: str) -> str:
    """The entry of which a mirrored twin is the copy; any other entry itself."""
    path = PurePosixPath(name)
    return str(path.with_stem(path.stem.removesuffix(_TWIN)))


def photo_of(name: str) -> str:
    """The photo that an entry shows: the same for a mirrored twin and for all faces of a photo.

    AFW and HELEN name files `<photo>_<face>` with the same Flickr numbers; LFPW and iBUG number
    their images within a folder.
    """
    path = PurePosixPath(name)
    stem = path.stem.removesuffix(_TWIN)
    if flickr := _FLICKR.fullmatch(stem):
        return flickr[1]
    if numbered := _NUMBERED.fullmatch(stem):
        stem = numbered[1]
    return f"{path.parent}/{stem}"


@cache
def _near_duplicates() -> dict[str, str]:
    """The first name of each picture that the data set holds under several."""
    lines = Path(__file__).with_name("ibug_near_duplicates.txt").read_text().splitlines()
    pictures = [line.split() for line in lines if not line.startswith("#")]
    return {name: names[0] for names in pictures for name in names}


def picture_of(name: str) -> str:
    """`photo_of`, the same also for near-duplicates of a picture: LFPW has some up to 12 times."""
    photo = photo_of(name)
    return _near_duplicates().get(photo, photo)


def check_label_shift(setting: str, label_shift: object) -> None:
    """Check a share of the box's width.

    Raises:
        ConfigError: no number, or one that is no share of a shift.
    """
    if not (isinstance(label_shift, int | float) and abs(label_shift) <= MAX_LABEL_SHIFT):
        raise ConfigError(
            f"{setting}={label_shift}: give a share of the box's width, from -{MAX_LABEL_SHIFT} "
            f"to {MAX_LABEL_SHIFT}"
        )


def label_offset(name: str, bbox: np.ndarray, label_shift: float) -> np.ndarray:
    """Offset (2,) in pixels of an entry's annotated points, to the left in mirrored twins.

    Args:
        name: of the entry.
        bbox: its face box (4,) `xyxy`.
        label_shift: share of the box's width by which annotations of originals lie to the right.
    """
    side = -1 if is_twin(name) else 1
    return np.array([side * label_shift * (bbox[2] - bbox[0]), 0.0])


def read_ibug(
    xml: str | Path, problems: list[DataError] | None = None, label_shift: float = 0.0
) -> list[FaceRecord]:
    """Read one of the XML files; every image must exist.

    Args:
        xml: the file.
        problems: broken entries are skipped and their errors appended here; None: the first one is
            raised.
        label_shift: points are moved back by this share of the box's width, see `label_offset`.

    Raises:
        DataError: see `read_dlib_xml`; a missing image.
    """
    xml = Path(xml)
    records = []
    for face in read_dlib_xml(xml, IBUG68.count, problems):
        image = xml.parent / face.file
        if not is_file(image):
            remedy = "unpack the whole archive, or remove the entry"
            error = DataError(xml, f"the image {face.file} is missing", remedy, face.line)
            skip_or_raise(error, problems)
            continue
        keypoints = face.keypoints
        if keypoints is not None and label_shift:
            keypoints = keypoints - label_offset(face.file, face.bbox, label_shift)
        records.append(
            FaceRecord(
                image=image,
                bbox=face.bbox,
                keypoints=keypoints,
                name=face.file,
                group=picture_of(face.file),
                subset=str(PurePosixPath(face.file).parent),
                origin=(xml, face.line),
                size=face.size,
            )
        )
    return records


class IBUGDataModule(FaceDataModule):
    """iBUG 300-W by one of two protocols.

    * `dlib`, the course's: the training XML is split at random into train and val, twins and faces
      of one photo together; the test XML is for prediction. It trains on most of 300-W's test
      images, so its figures are not 300-W figures.
    * `300w`: both XML files together without twins; the folder decides: AFW and the train sets
      train (a part of them validates), the test sets are the common test, `ibug` the challenging
      one. Entries without points are ignored.

    Args:
        split: `dlib` or `300w`.
        val_fraction: share of the training faces that validates.
        fold: `K/N`: fold K of an N-fold cross-validation validates instead; None: `val_fraction`.
        split_seed: of the random split, or of the folds.
        label_shift: share of the box's width by which annotated points lie to the right, in
            mirrored twins to the left. It is removed when they are read, for training and
            evaluation; 0: points are as annotated.
        **settings: see `FaceDataModule`.

    Raises:
        ConfigError: a setting that cannot work.
    """

    scheme = IBUG68
    info = IBUG
    box_source = "dlib"
    subset_label = "folder"

    def __init__(
        self,
        *,
        split: str = "dlib",
        val_fraction: float = 0.2,
        fold: str | None = None,
        split_seed: int = 0,
        label_shift: float = 0.0,
        **settings,
    ) -> None:
        super().__init__(**settings)
        if split not in ("dlib", "300w"):
            raise ConfigError(f"dataset.split={split}: choose dlib or 300w")
        if not 0 < val_fraction < 1:
            raise ConfigError(f"dataset.val_fraction={val_fraction}: must be between 0 and 1")
        check_label_shift("dataset.label_shift", label_shift)
        self.split, self.val_fraction = split, val_fraction
        self.label_shift = label_shift
        self.fold, self.split_seed = fold, split_seed
        self.unlabelled = 0
        """Entries without points that the 300-W protocol ignores."""

    @property
    def protocol(self) -> str:
        """`dlib` or `300w`."""
        return self.split

    @property
    def comparison_note(self) -> str:
        """Dlib's split trains on 300-W's test images; moved annotations."""
        notes = []
        if self.split == "dlib":
            notes.append(
                "dlib's split trains on most of 300-W's test images: these are not 300-W figures."
            )
        if self.label_shift:
            notes.append(self._shift_note())
        return "\n".join(notes)

    def _shift_note(self) -> str:
        return (
            f"Annotated points were moved by {-self.label_shift:+.2%} of the box's width along x "
            "(dataset.label_shift)."
        )

    def evaluation_subsets(
        self, split: str, records: Sequence[FaceRecord]
    ) -> dict[str, np.ndarray]:
        """300-W's common, challenging and full test, by its own protocol only."""
        if self.split != "300w" or split != "test":
            return super().evaluation_subsets(split, records)
        common, challenging = (
            np.array([record.subset in subsets for record in records])
            for subsets in (COMMON_SUBSETS, CHALLENGING_SUBSETS)
        )
        if not challenging.any():
            return {"300-W common": common}
        full = np.ones(len(records), dtype=bool)
        return {"300-W common": common, "300-W challenging": challenging, "300-W full": full}

    def original_name(self, record: FaceRecord) -> str | None:
        """Name of the entry whose mirrored twin a record is."""
        return original_of(record.name) if is_twin(record.name) else None

    def fetch(self) -> None:
        """Download the official archive."""
        fetch_archive(IBUG_ARCHIVE, self.folder)

    def read_splits(self) -> Splits:
        """`train` and `val`; `predict` (dlib's protocol) or `test` (300-W's).

        Raises:
            DataError: a missing or broken file; an entry of dlib's training XML without points.
        """
        train = read_ibug(self.folder / IBUG_TRAIN_XML, self.problems, self.label_shift)
        tests = [self.folder / name for name in IBUG_TEST_XMLS if (self.folder / name).is_file()]
        test = read_ibug(tests[0], self.problems, self.label_shift) if tests else []
        if self.split == "dlib":
            for record in train:
                if record.keypoints is None:
                    xml, line = record.origin
                    problem = f"{record.name} has no points"
                    skip_or_raise(DataError(xml, problem, "remove the entry", line), self.problems)
            train = [record for record in train if record.keypoints is not None]
            train, val = self._draw(train)
            return {"train": train, "val": val, "predict": test}
        originals = [record for record in train + test if not is_twin(record.name)]
        usable = [record for record in originals if record.keypoints is not None]
        self.unlabelled = len(originals) - len(usable)
        train, val = self._draw([r for r in usable if r.subset in TRAINING_SUBSETS])
        tested = COMMON_SUBSETS | CHALLENGING_SUBSETS
        return {
            "train": train,
            "val": val,
            "test": [record for record in usable if record.subset in tested],
        }

    def _draw(self, records: list[FaceRecord]) -> tuple[list[FaceRecord], list[FaceRecord]]:
        return draw_validation(records, self.val_fraction, self.fold, self.split_seed)

    def summary(self) -> str:
        """What was read, one line per split."""
        fold = f", fold {self.fold}" if self.fold else ""
        lines = [f"iBUG 300-W in {self.folder}, protocol {self.split}{fold}:"]
        for name, records in self.splits.items():
            counts = count_by(records, lambda record: record.subset)
            parts = ", ".join(f"{n} {subset}" for subset, n in counts.items())
            lines.append(f"  {len(records)} faces {SPLIT_VERBS[name]} ({parts})")
        if self.unlabelled:
            lines.append(f"  {self.unlabelled} entries have no points and are ignored")
        if self.label_shift:
            lines.append(f"  {self._shift_note()}")
        return "\n".join(lines)
