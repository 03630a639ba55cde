"""Known data sets: their folders and download addresses. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from facekp.core.errors import DataError


@dataclass(frozen=True)
class DatasetInfo:
    """Where a data set lies and comes from.

    Args:
        folder_name: of its folder inside `data_dir`.
        urls: of the official archive and its mirrors.
        synthetic: the `dataset=` that draws faces in the same format.
    """

    folder_name: str
    urls: tuple[str, ...]
    synthetic: str

    def require(self, data_dir: str | Path) -> None:
        """Check that the data set is in `data_dir`.

        Raises:
            DataError: it is not; the message says how to get it.
        """
        folder = Path(data_dir) / self.folder_name
        if not folder.is_dir():
            raise DataError(
                folder,
                "the data set is not here",
                f"set data_dir= or FACEKP_DATA_DIR to the folder that holds {self.folder_name}/, "
                f"fetch {self.urls[0]} and unpack it there (dataset.download=true does both), "
                f"or use dataset={self.synthetic}, drawn faces that need no download",
            )


IMM = DatasetInfo(
    folder_name="imm_face_db",
    urls=(
        "http://www2.imm.dtu.dk/~aam/datasets/imm_face_db.zip",
        "https://web.archive.org/web/20210305094647/http://www2.imm.dtu.dk/~aam/datasets/imm_face_db.tar.gz",
        "http://datasets.openimaj.org/imm_face_db.zip",
    ),
    synthetic="synthetic_imm",
)
IBUG = DatasetInfo(
    folder_name="ibug_300W_large_face_landmark_dataset",
    urls=(
        "http://dlib.net/files/data/ibug_300W_large_face_landmark_dataset.tar.gz",
        "https://people.eecs.berkeley.edu/~zhecao/ibug_300W_large_face_landmark_dataset.zip",
    ),
    synthetic="synthetic_ibug",
)
IBUG_TRAIN_XML = "labels_ibug_300W_train.xml"
IBUG_TEST_XMLS = ("labels_ibug_300W_test.xml", "labels_ibug_300W_test_parsed.xml")
"""With points (dlib's archive), and with boxes only (the course's)."""
DATASETS = {"IMMDataModule": IMM, "IBUGDataModule": IBUG}
"""By name of the data module that reads them."""
