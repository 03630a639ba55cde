"""Writing submissions to Kaggle: of the course's competition, and Facial Keypoints Detection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from facekp.core.errors import ConfigError, DataError
from facekp.core.files import atomic_write_text
from facekp.core.landmarks import IBUG68, bundled_schemes
from facekp.core.progress import with_progress
from facekp.data.ibug import check_label_shift, label_offset
from facekp.data.records import FaceRecord
from facekp.inference.predictor import Predictor
from facekp.tasks.common import output_folder
from facekp.tasks.training_data import load_training_data

LOOKUP = "IdLookupTable.csv"
"""Which coordinates Facial Keypoints Detection asks for; beside its `test.csv`."""


def kaggle(
    predictor: Predictor, data_dir: str | None, output: str, label_shift: float = 0.0
) -> Path:
    """Write `submission.csv`: the points of the test images.

    A network of iBUG's 68 points answers the course's competition, one of the 15 points of
    Kaggle's Facial Keypoints Detection that one.

    Args:
        predictor: of a network that was trained on all points of the competition.
        data_dir: where the data is; None: where it was in training.
        output: folder of the file.
        label_shift: share of the box's width by which points of iBUG's photos are moved to the
            right, those of mirrored twins to the left, as its annotations are. For points that are
            averaged with those of the mirrored crop, and for networks that were trained with
            mirrored copies: they cannot know it.

    Returns:
        Path of the file.

    Raises:
        FacekpError: the network or the data cannot be used.
    """
    check_label_shift("task.label_shift", label_shift)
    names = predictor.scheme.point_names
    is_kaggle15 = set(names) == set(bundled_schemes()["kaggle15"].point_names)
    if not (predictor.scheme == IBUG68 or is_kaggle15) or not predictor.description.covers_scheme:
        raise ConfigError(
            f"{predictor.name}: the competitions ask for all 68 points of iBUG, or all 15 of "
            "Facial Keypoints Detection (experiment=kaggle15)"
        )
    datamodule = load_training_data(predictor.description, data_dir)
    records = datamodule.splits.get("predict", [])
    if not records:
        remedy = "no labels_ibug_300W_test_parsed.xml, or a network of the 300w protocol; "
        remedy += "dataset.split=dlib has a test half"
        if is_kaggle15:
            remedy = "the network was trained without dataset.test=test.csv"
        raise ConfigError(f"{datamodule.folder}: {remedy}")
    faces = ((r.load(3), r.bbox) for r in with_progress(records, len(records), "test faces"))
    found = np.stack(predictor.predict_boxes(faces))
    if is_kaggle15:
        table = facial_keypoints_submission(found, records, names)
    else:
        offsets = [label_offset(r.name, r.bbox, label_shift) for r in records]
        table = submission(found + np.array(offsets)[:, None])
    path = output_folder(output) / "submission.csv"
    atomic_write_text(path, table.to_csv(index=False))
    print(f"{path}: {len(records)} entries")
    return path


def submission(keypoints: np.ndarray) -> pd.DataFrame:
    """Points (N, 68, 2) in pixels of their images as the course's competition wants them.

    `Id` = 136 i + 2 k for x and + 1 for y of point k of entry i, in the order of the XML.
    """
    values = keypoints.reshape(-1)
    return pd.DataFrame({"Id": np.arange(len(values)), "Predicted": values})


def facial_keypoints_submission(
    keypoints: np.ndarray, records: Sequence[FaceRecord], names: Sequence[str]
) -> pd.DataFrame:
    """Points as Facial Keypoints Detection wants them: `RowId`, `Location`.

    Args:
        keypoints: (N, 15, 2) pixels.
        records: the N images of `test.csv`, of which each row is an image, in order.
        names: of the points.

    Raises:
        DataError: `IdLookupTable.csv` is missing, or names an image or point that does not exist.
    """
    path = records[0].origin[0].with_name(LOOKUP)
    remedy = "restore it from the competition's archive"
    try:
        lookup = pd.read_csv(path)
        rows = {(record.origin[1] or 0) - 1: at for at, record in enumerate(records)}
        columns = {f"{name}_{axis}": at for at, name in enumerate(names) for axis in "xy"}
        locations = [
            keypoints[rows[int(image)], columns[feature], int(feature.endswith("_y"))]
            for image, feature in zip(lookup["ImageId"], lookup["FeatureName"], strict=True)
        ]
        ids = lookup["RowId"]
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})", remedy) from error
    except KeyError as error:
        raise DataError(path, f"{error.args[0]} is missing, or unknown", remedy) from error
    except ValueError as error:
        raise DataError(path, f"not the table of the competition ({error})", remedy) from error
    side = max(records[0].load(1).shape)
    return pd.DataFrame({"RowId": ids, "Location": np.clip(locations, 0, side)})
