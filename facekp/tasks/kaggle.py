"""Writing the submission of the course's competition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from facekp.core.errors import ConfigError
from facekp.core.landmarks import IBUG68
from facekp.core.progress import with_progress
from facekp.inference.predictor import Predictor
from facekp.tasks.common import load_training_data, output_folder


def kaggle(predictor: Predictor, data_dir: str | None, output: str) -> Path:
    """Write `submission.csv`: the points of each entry of iBUG's test XML.

    Args:
        predictor: of a network that was trained on all 68 points by dlib's protocol.
        data_dir: where the data is; None: where it was in training.
        output: folder of the file.

    Returns:
        Path of the file.

    Raises:
        FacekpError: the network or the data cannot be used.
    """
    if predictor.scheme != IBUG68 or not predictor.description.covers_scheme:
        raise ConfigError(f"{predictor.name}: the competition asks for all 68 points of iBUG")
    datamodule = load_training_data(predictor.description, data_dir)
    records = datamodule.splits.get("predict", [])
    if not records:
        raise ConfigError(
            f"{datamodule.folder}: no labels_ibug_300W_test_parsed.xml, or a network of the 300w "
            "protocol; dataset.split=dlib has a test half"
        )
    faces = ((r.load(3), r.bbox) for r in with_progress(records, len(records), "test faces"))
    path = output_folder(output) / "submission.csv"
    submission(np.stack(predictor.predict_boxes(faces))).to_csv(path, index=False)
    print(f"{path}: {len(records)} entries")
    return path


def submission(keypoints: np.ndarray) -> pd.DataFrame:
    """Points (N, 68, 2) in pixels of their images as the competition's table.

    `Id` = 136 i + 2 k for x and + 1 for y of point k of entry i, in the order of the XML.
    """
    values = keypoints.reshape(-1)
    return pd.DataFrame({"Id": np.arange(len(values)), "Predicted": values})
