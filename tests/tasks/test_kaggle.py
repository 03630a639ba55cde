"""The submission of the competition."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from facekp.core.description import NetworkDescription
from facekp.core.errors import ConfigError
from facekp.core.geometry import (
    normalize_points,
    transform_points,
)
from facekp.data.ibug import IBUGDataModule, read_ibug
from facekp.inference.predictor import Predictor
from facekp.tasks.kaggle import kaggle, submission
from tests.conftest import composed


def oracle(
    description: NetworkDescription, truth: Callable[[], np.ndarray], **settings: Any
) -> Predictor:
    """A predictor whose network knows the answer: normalised points (B, K, 2)."""
    return Predictor(lambda crops: truth(), description, **settings)


def test_known_points_come_out_of_the_competition_file(
    description: NetworkDescription, ibug_data: Path, tmp_path: Path
) -> None:
    records = read_ibug(ibug_data / IBUGDataModule.info.folder_name / "labels_ibug_300W_test.xml")
    boxes = [record.bbox for record in records]
    boxes[0] = boxes[0] - 200.0  # far out of the image
    predictor = oracle(description, lambda: truth, batch_size=len(records))
    size = predictor.crop.size
    truth = np.stack(
        [
            normalize_points(transform_points(predictor.crop.transform(box), r.keypoints), size)
            for r, box in zip(records, boxes, strict=True)
        ]
    )
    faces = ((r.load(3), box) for r, box in zip(records, boxes, strict=True))
    submission(np.stack(predictor.predict_boxes(faces))).to_csv(tmp_path / "s.csv", index=False)
    read = pd.read_csv(tmp_path / "s.csv")
    assert list(read.columns) == ["Id", "Predicted"]
    assert list(read["Id"]) == list(range(136 * len(records)))
    points = read["Predicted"].to_numpy().reshape(-1, 68, 2)
    np.testing.assert_allclose(points, [r.keypoints for r in records], atol=1e-3)


def test_competition_file_of_a_checkpoint(
    checkpoints: dict[str, Path], ibug_data: Path, tmp_path: Path
) -> None:
    def run(name: str) -> Path:
        predictor = Predictor.load(checkpoints[name], batch_size=4)
        return kaggle(predictor, str(ibug_data), str(tmp_path))

    path = run("ibug")
    assert len(pd.read_csv(path)) == 136 * 6
    with pytest.raises(ConfigError, match="all 68 points"):
        run("imm")
    with pytest.raises(ConfigError, match="split=dlib has a test half"):
        run("300w")


def test_the_competition_gets_the_most_accurate_network_unless_asked() -> None:
    def chosen(*overrides: str) -> tuple[str, bool, int]:
        settings = composed(*overrides, of="predict").task.predictor
        return settings.path, settings.flip_test, settings.tta_passes

    assert chosen("task=kaggle") == ("ibug68_best", True, 6)
    assert chosen("task=kaggle", "ckpt_path=C", "tta_passes=1") == ("C", True, 1)
    assert chosen("task=evaluate") == chosen() == ("ibug68", False, 1)
