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
from functools import cache
from pathlib import Path, PurePosixPath

from facekp.data.datamodule import FaceDataModule, Splits, by, split_groups
from facekp.data.formats.dlib_xml import read_dlib_xml
from facekp.data.download import IBUG_ARCHIVE, fetch_archive
from facekp.data.records import FaceRecord
from facekp.data.registry import IBUG
from facekp.core.errors import ConfigError, DataError, leave_out
from facekp.core.landmarks import IBUG68

TRAIN_XML = "labels_ibug_300W_train.xml"
TEST_XMLS = ("labels_ibug_300W_test.xml", "labels_ibug_300W_test_parsed.xml")

TRAINING_SOURCES = frozenset({"afw", "helen/trainset", "lfpw/trainset"})
COMMON_SOURCES = frozenset({"helen/testset", "lfpw/testset"})
CHALLENGING_SOURCES = frozenset({"ibug"})

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
    """What photo an entry shows: the same for a mirrored twin and for every face of one photo.

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
def _near_copies() -> dict[str, str]:
    """The first name of each picture that is there under several."""
    lines = Path(__file__).with_name("near_copies.txt").read_text().splitlines()
    pictures = [line.split() for line in lines if not line.startswith("#")]
    return {name: names[0] for names in pictures for name in names}


def picture_of(name: str) -> str:
    """`photo_of`, the same also for near-copies of one picture: LFPW has some up to 12 times."""
    photo = photo_of(name)
    return _near_copies().get(photo, photo)


def read_ibug(xml: str | Path, problems: list[DataError] | None = None) -> list[FaceRecord]:
    """Read one of the XML files; every image must be there.

    Args:
        xml: the file.
        problems: what is wrong with single entries goes here, and they are left out; None raises
            the first.

    Raises:
        DataError: see `read_dlib_xml`; an image that is missing.
    """
    xml = Path(xml)
    records = []
    for face in read_dlib_xml(xml, IBUG68.count, problems):
        image = xml.parent / face.file
        if not _is_file(image):
            remedy = "unpack the whole archive, or remove the entry"
            error = DataError(xml, f"the image {face.file} is missing", remedy, face.line)
            leave_out(error, problems)
            continue
        records.append(
            FaceRecord(
                image=image,
                bbox=face.bbox,
                keypoints=face.keypoints,
                name=face.file,
                group=picture_of(face.file),
                source=str(PurePosixPath(face.file).parent),
                place=(xml, face.line),
                size=face.size,
            )
        )
    return records


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


class IBUGDataModule(FaceDataModule):
    """iBUG 300-W by one of two protocols.

    * `dlib`, the course's: the training XML is parted at random into train and val, twins and
      faces of one photo together; the test XML is for prediction. It trains on most of 300-W's
      test images, so its figures are not 300-W figures.
    * `300w`: both XML files together without twins; the folder decides: AFW and the train sets
      train (a part of them validates), the test sets are the common test, `ibug` the challenging
      one. Entries without points are left out.

    Args:
        split: `dlib` or `300w`.
        val_fraction: share of the training faces that validates.
        split_seed: of the random parting.
        **settings: see `FaceDataModule`.
    """

    scheme = IBUG68
    source = IBUG
    box_kind = "dlib"
    source_kind = "folder"

    def __init__(
        self, *, split: str = "dlib", val_fraction: float = 0.2, split_seed: int = 0, **settings
    ) -> None:
        super().__init__(**settings)
        if split not in ("dlib", "300w"):
            raise ConfigError(f"dataset.split={split}: choose dlib or 300w")
        if not 0 < val_fraction < 1:
            raise ConfigError(f"dataset.val_fraction={val_fraction}: must be between 0 and 1")
        self.split, self.val_fraction, self.split_seed = split, val_fraction, split_seed
        self.left_out = 0

    @property
    def protocol(self) -> str:
        """`dlib` or `300w`."""
        return self.split

    def fetch(self) -> None:
        """Download the official archive."""
        fetch_archive(IBUG_ARCHIVE, self.folder)

    def read_splits(self) -> Splits:
        """`train` and `val`; `predict` (dlib's protocol) or `test` (300-W's).

        Raises:
            DataError: a file is missing or broken; a training entry of dlib's protocol without
                points; no test XML where the protocol needs one.
        """
        train = read_ibug(self.folder / TRAIN_XML, self.problems)
        tests = [self.folder / name for name in TEST_XMLS if (self.folder / name).is_file()]
        test = read_ibug(tests[0], self.problems) if tests else []
        if self.split == "dlib":
            for record in train:
                if record.keypoints is None:
                    xml, line = record.place
                    problem = f"{record.name} has no points"
                    leave_out(DataError(xml, problem, "remove the entry", line), self.problems)
            train = [record for record in train if record.keypoints is not None]
            train, val = split_groups(train, self.val_fraction, self.split_seed)
            return {"train": train, "val": val, "predict": test}
        whole = [record for record in train + test if not is_twin(record.name)]
        usable = [record for record in whole if record.keypoints is not None]
        self.left_out = len(whole) - len(usable)
        train, val = split_groups(
            [record for record in usable if record.source in TRAINING_SOURCES],
            self.val_fraction,
            self.split_seed,
        )
        tested = COMMON_SOURCES | CHALLENGING_SOURCES
        return {
            "train": train,
            "val": val,
            "test": [record for record in usable if record.source in tested],
        }

    def describe(self) -> str:
        """Lines about what was found."""
        lines = [f"iBUG 300-W in {self.folder}, protocol {self.split}:"]
        verbs = {"train": "train", "val": "validate", "test": "test", "predict": "to predict"}
        for name, records in self.splits.items():
            parts = ", ".join(f"{n} {source}" for source, n in by(records, _source).items())
            lines.append(f"  {len(records)} faces {verbs[name]} ({parts})")
        if self.left_out:
            lines.append(f"  {self.left_out} entries have no points and are left out")
        return "\n".join(lines)


def _source(record: FaceRecord) -> str:
    return record.source
