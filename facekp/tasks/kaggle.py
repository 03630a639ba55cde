"""The course's competition file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from facekp.core.errors import ConfigError
from facekp.core.landmarks import IBUG68
from facekp.inference.predictor import Predictor
from facekp.tasks.common import output_folder, trained_on, with_progress


def kaggle(
    ckpt_path: str,
    data_dir: str | None,
    mirror: bool,
    looks: int,
    batch_size: int,
    device: str,
    output: str,
) -> Path:
    """Write `submission.csv`: the points of every entry of iBUG's test XML.

    Args:
        ckpt_path: checkpoint or exported network, trained on all 68 points by dlib's protocol.
        data_dir: where the data is.
        mirror: average with the mirrored view.
        looks: at each face, see `Predictor`.
        batch_size: faces at once.
        device: as torch names it.
        output: folder for the file.

    Returns:
        Path of the file.

    Raises:
        FacekpError: the checkpoint or the data cannot be used.
    """
    predictor = Predictor.load(
        ckpt_path, mirror=mirror, looks=looks, batch_size=batch_size, device=device
    )
    if predictor.scheme is not IBUG68 or predictor.points != list(range(68)):
        raise ConfigError(f"{ckpt_path}: the competition asks for all 68 points of iBUG")
    datamodule = trained_on(predictor.description, data_dir)
    records = datamodule.splits.get("predict", [])
    if not records:
        raise ConfigError(
            f"{datamodule.folder}: no labels_ibug_300W_test_parsed.xml, or a network of the 300w "
            "protocol; dataset.split=dlib has a test half"
        )
    faces = ((r.load(3), r.bbox) for r in with_progress(records, len(records), "test faces"))
    path = output_folder(output) / "submission.csv"
    submission(np.stack(predictor.locate(faces))).to_csv(path, index=False)
    print(f"{path}: {len(records)} entries")
    return path


def submission(keypoints: np.ndarray) -> pd.DataFrame:
    """Points (N, 68, 2) in pixels of their images as the competition's table.

    `Id` = 136 i + 2 k for x and + 1 for y of point k of entry i, in the XML's order.
    """
    values = keypoints.reshape(-1)
    return pd.DataFrame({"Id": np.arange(len(values)), "Predicted": values})
