"""The submission of the competition."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import facekp
from facekp.core.description import NetworkDescription
from facekp.core.errors import ConfigError, DataError
from facekp.core.geometry import (
    normalize_points,
    transform_points,
)
from facekp.core.landmarks import bundled_schemes
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


def test_points_are_moved_to_where_annotations_lie(
    checkpoints: dict[str, Path], ibug_data: Path, tmp_path: Path
) -> None:
    """To the right, and in mirrored twins to the left."""
    predictor = Predictor.load(checkpoints["ibug"], batch_size=4)

    def points(shift: float) -> np.ndarray:
        path = kaggle(predictor, str(ibug_data), str(tmp_path), shift)
        return pd.read_csv(path)["Predicted"].to_numpy().reshape(-1, 68, 2)

    moved = points(0.01) - points(0.0)
    folder = ibug_data / IBUGDataModule.info.folder_name
    records = read_ibug(folder / "labels_ibug_300W_test.xml")
    signs = [-1 if "mirror" in record.name else 1 for record in records]
    assert set(signs) == {-1, 1}
    expected = [s * 0.01 * (r.bbox[2] - r.bbox[0]) for s, r in zip(signs, records, strict=True)]
    np.testing.assert_allclose(
        moved[:, :, 0], np.repeat(np.array(expected)[:, None], 68, 1), atol=1e-6
    )
    np.testing.assert_array_equal(moved[:, :, 1], 0)
    for wrong in (float("nan"), 1.0):
        with pytest.raises(ConfigError, match=r"task\.label_shift="):
            points(wrong)


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


def test_facial_keypoints_detection(tmp_path: Path) -> None:
    """As downloaded: points and images in a CSV, many cells empty, the test half in its archive."""
    names = bundled_schemes()["kaggle15"].point_names
    folder = tmp_path / "facial-keypoints-detection"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = [",".join(f"{name}_{axis}" for name in names for axis in "xy") + ",Image"]
    for number in range(20):
        points = rng.uniform(10, 80, 30).round(2).astype(str)
        if number % 2:
            points[4:20] = ""
        rows.append(",".join(points) + "," + " ".join(map(str, rng.integers(0, 256, 96 * 96))))
    (folder / "training.csv").write_text("\n".join(rows))
    images = [f"{number + 1}," + " ".join(["128"] * 96 * 96) for number in range(3)]
    with zipfile.ZipFile(folder / "test.zip", "w") as archive:
        archive.writestr("test.csv", "\n".join(["ImageId,Image", *images]))
    lookup = ["RowId,ImageId,FeatureName,Location", "1,1,nose_tip_x,", "2,3,nose_tip_y,"]
    (folder / "IdLookupTable.csv").write_text("\n".join(lookup))
    cfg = composed(
        "experiment=kaggle15", f"data_dir={tmp_path}", "trainer.max_epochs=1", "report=false",
        "model.widths=[16,16]", "model.blocks=[1,1]", "model.input_size=[32,32]",
        f"run_dir={tmp_path / 'run'}",
    )  # fmt: skip
    result = facekp.train(cfg)
    assert np.isfinite(result.best)
    predictor = Predictor.load(result.best_ckpt)
    path = kaggle(predictor, str(tmp_path), str(tmp_path))
    table = pd.read_csv(path)
    assert list(table.columns) == ["RowId", "Location"]
    assert table["RowId"].tolist() == [1, 2]
    assert table["Location"].between(0, 96).all()
    (folder / "IdLookupTable.csv").write_text(lookup[0] + "\n1,9,nose_tip_x,")
    with pytest.raises(DataError, match=r"IdLookupTable.csv: 9 is missing"):
        kaggle(predictor, str(tmp_path), str(tmp_path))
