"""Evaluation on annotated splits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from facekp.core.errors import ConfigError, DataError
from facekp.core.landmarks import LandmarkScheme
from facekp.data.annotations import AnnotationsDataModule
from facekp.data.ibug import IBUGDataModule
from facekp.inference.predictor import Predictor
from facekp.tasks.convert import convert
from facekp.tasks.evaluate import _boxes, _other_data, evaluate
from facekp.training.fit import describe
from tests.conftest import composed
from tests.data.formats.helpers import image
from tests.helpers import Run, ibug, imm


def run_evaluate(checkpoint: Path, data: Path, output: Path, **changes: Any) -> pd.DataFrame:
    settings: dict[str, Any] = dict(split=None, threshold=0.08)
    predictor = Predictor.load(checkpoint, batch_size=8)
    return evaluate(predictor, str(data), output=str(output), **settings | changes)


def test_evaluation_agrees_with_training(
    checkpoints: dict[str, Path], imm_data: Path, tmp_path: Path
) -> None:
    metrics = run_evaluate(checkpoints["imm"], imm_data, tmp_path)
    history = pd.read_csv(checkpoints["imm"].parent.parent / "metrics.csv").iloc[-1]
    network = metrics.set_index("predictor").loc["network"]
    assert network["mae_px"] == pytest.approx(history["val/mae_px"], rel=1e-4)
    assert network["nme_interocular"] == pytest.approx(history["val/nme_interocular"], rel=1e-4)
    errors = pd.read_csv(tmp_path / "errors.csv")
    assert len(errors) == 6
    assert errors["nme_interocular"].mean() == pytest.approx(network["nme_interocular"])
    assert {"nme_jaw", "nme_brows", "nme_eyes", "nme_nose", "nme_mouth"} <= set(errors.columns)
    curve = pd.read_csv(tmp_path / "curve.csv")
    assert curve["network"].is_monotonic_increasing
    assert (tmp_path / "curve.png").stat().st_size > 5000
    assert len(json.loads((tmp_path / "metrics.json").read_text())) == 2


def test_a_run_on_a_fold_is_evaluated_on_it(run: Run, imm_data: Path, tmp_path: Path) -> None:
    _, folder = run("r", "dataset.fold=2/4", "trainer.max_epochs=1")
    metrics = run_evaluate(folder / "checkpoints/best.ckpt", imm_data, tmp_path / "out")
    fold = imm(imm_data, fold="2/4").splits["val"]
    errors = pd.read_csv(tmp_path / "out/errors.csv")
    assert errors["image"].tolist() == [record.name for record in fold]
    then = pd.read_csv(folder / "metrics.csv")["val/mae_px"].iloc[-1]
    assert metrics["mae_px"][0] == pytest.approx(then, rel=1e-3)


def test_300w_figures_only_by_its_protocol(
    checkpoints: dict[str, Path], ibug_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    own_data = run_evaluate(checkpoints["300w"], ibug_data, tmp_path)
    assert set(own_data["faces"]) == {"300-W common", "300-W challenging", "300-W full"}
    other = run_evaluate(checkpoints["ibug"], ibug_data, tmp_path)
    assert set(other["faces"]) == {"val"}
    assert "these are not 300-W figures" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"task\.split=test"):
        run_evaluate(checkpoints["ibug"], ibug_data, tmp_path, split="test")


def test_on_other_data(
    checkpoints: dict[str, Path], ibug_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Boxes of another source are turned into those of the training; the points must be the same."""
    source = ibug(ibug_data)
    (train, val) = convert(source, "coco", str(tmp_path))[:2]
    settings: dict[str, Any] = dict(
        data_dir=tmp_path,
        input_size=(64, 64),
        train=str(train),
        val=str(val),
        images=str(source.folder),
    )
    own_data = run_evaluate(checkpoints["ibug"], ibug_data, tmp_path / "a")
    other = run_evaluate(
        checkpoints["ibug"], ibug_data, tmp_path / "b", dataset=AnnotationsDataModule(**settings)
    )
    assert "boxes: annotation turned into dlib" in capsys.readouterr().out
    assert other["images"].tolist() == own_data["images"].tolist()
    assert other["mae_px"][0] == pytest.approx(own_data["mae_px"][0], rel=0.1)
    every = run_evaluate(
        checkpoints["ibug"], ibug_data, tmp_path / "c", split="all",
        dataset=AnnotationsDataModule(**settings, box="points"),
    )  # fmt: skip
    assert every["images"][0] == sum(len(source.splits[split]) for split in ("train", "val"))
    capsys.readouterr()
    for fraction, said in ((0.2, False), (0.5, True)):  # another split than the training's
        same = IBUGDataModule(data_dir=ibug_data, input_size=(64, 64), val_fraction=fraction)
        run_evaluate(checkpoints["ibug"], ibug_data, tmp_path / "e", dataset=same, split="val")
        assert (
            "NOTE: the training had dataset.val_fraction=0.2" in capsys.readouterr().out
        ) == said
    with pytest.raises(DataError, match=r"68 points, landmarks imm58 have 58"):
        run_evaluate(
            checkpoints["imm"], ibug_data, tmp_path / "d", dataset=AnnotationsDataModule(**settings)
        )


@pytest.mark.parametrize(
    ("points", "needed"),
    [(range(36, 48), "other"), (range(27, 31), "annotation"), ([30], "other")],
)
def test_boxes_of_another_source_fit_a_network_of_some_points(
    points: Sequence[int], needed: str, ibug_data: Path
) -> None:
    """They are those of the whole face, as in training; a flat set of points tells them, too."""
    source = ibug(ibug_data, points=list(points))
    description = describe(source, {})
    crops = SimpleNamespace(description=replace(description, box_source=needed))
    records = source.splits["val"]
    assert records
    for record, box in zip(records, _boxes(crops, source, records), strict=True):  # type: ignore[arg-type]
        side = record.bbox[2] - record.bbox[0]
        assert np.abs(box - record.bbox).max() < 0.15 * side


def test_boxes_that_the_points_do_not_relate_are_refused(ibug_data: Path) -> None:
    """Own annotations' boxes were compared with a detector's, and a nose tip has no size."""
    source = ibug(ibug_data, points=[30])
    description = replace(describe(source, {}, np.array([0, 0, 0.4, 0.4])), box_source="annotation")
    records = source.splits["val"]
    with pytest.raises(ConfigError, match=r"boxes \(dlib\) cannot be turned into .*\(annotation\)"):
        _boxes(SimpleNamespace(description=description), source, records)  # type: ignore[arg-type]
    whole = replace(describe(ibug(ibug_data), {}), box_source="other")
    two = [replace(r, keypoints=np.where(np.arange(68)[:, None] < 2, 9.0, np.nan)) for r in records]
    with pytest.raises(ConfigError, match="by the 68 points that both have"):
        _boxes(SimpleNamespace(description=whole), source, two)  # type: ignore[arg-type]


def test_visible_and_occluded_points_apart(
    checkpoints: dict[str, Path], ibug_data: Path, tmp_path: Path
) -> None:
    source = ibug(ibug_data)
    path = convert(source, "coco", str(tmp_path))[1]
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        annotation["keypoints"][2] = 1  # the first point is occluded
        annotation["keypoints"][3:6] = [0, 0, 0]  # and the second missing
    path.write_text(json.dumps(content))
    data = AnnotationsDataModule(
        data_dir=tmp_path, input_size=(64, 64), train=str(path), images=str(source.folder)
    )
    metrics = run_evaluate(checkpoints["ibug"], ibug_data, tmp_path, dataset=data, split="all")
    errors = pd.read_csv(tmp_path / "errors.csv")
    whole = (66 * errors["nme_visible"] + errors["nme_occluded"]) / 67
    assert errors["nme_interocular"].to_numpy() == pytest.approx(whole.to_numpy())
    assert {"nme_visible", "nme_occluded"} <= set(metrics.columns)


def test_points_in_another_order_are_put_into_the_networks(
    checkpoints: dict[str, Path], ibug_data: Path, tmp_path: Path
) -> None:
    source = ibug(ibug_data)
    path = convert(source, "csv", str(tmp_path))[1]
    table = pd.read_csv(path)
    points = [name for name in table.columns if name[:1] in "xy" and name[1:].isdigit()]
    others = [name for name in table.columns if name not in points]
    table[[*others, *points[::-1]]].to_csv(tmp_path / "reordered.csv", index=False)
    table[[*others, *(f"x{at}" for at in range(68)), *(f"y{at}" for at in range(68))]].to_csv(
        tmp_path / "apart.csv", index=False
    )
    found = []
    for name in (path.name, "reordered.csv", "apart.csv"):
        data = AnnotationsDataModule(
            data_dir=tmp_path, input_size=(64, 64), train=name, images=str(source.folder)
        )
        metrics = run_evaluate(checkpoints["ibug"], ibug_data, tmp_path, dataset=data, split="all")
        found.append(metrics["mae_px"][0])
    assert found == pytest.approx([found[0]] * 3)


def test_annotations_split_otherwise_than_in_training_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    rows = [f"p{at}_0.jpg,1,2,3,4,{at},6" for at in range(8)]
    for name in ("faces.csv", "others.csv"):
        (tmp_path / name).write_text("\n".join(["file,a_x,a_y,b_x,b_y,c_x,c_y", *rows]))
    for at in range(8):
        image(tmp_path / f"p{at}_0.jpg")
    config = composed(
        "dataset=annotations", "dataset.train=data/faces.csv", "dataset.group='(.+)_'"
    )
    trained = OmegaConf.to_container(config.dataset)

    def note(**settings: Any) -> str:
        data = AnnotationsDataModule(
            data_dir=tmp_path, input_size=(32, 32), **{"train": "faces.csv"} | settings
        )
        scheme = LandmarkScheme("custom3", ("a", "b", "c"))
        known = SimpleNamespace(
            scheme=scheme, description=SimpleNamespace(config={"dataset": trained})
        )
        _other_data(data, known)  # type: ignore[arg-type]
        printed = capsys.readouterr().out
        return printed[printed.find("NOTE") :] if "NOTE" in printed else ""

    assert note(group="(.+)_") == ""
    assert "dataset.group=(.+)_" in note()
    assert "dataset.test_fraction=0.0" in note(group="(.+)_", test_fraction=0.3)
    assert note(train="others.csv", val_fraction=0.5) == ""
