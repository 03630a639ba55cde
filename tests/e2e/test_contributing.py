"""The worked examples of CONTRIBUTING.md, run as they stand."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from facekp import metrics
from facekp.core.landmarks import IBUG68
from facekp.data.records import FaceRecord
from facekp.data.synthetic import draw_imm_face
from tests.conftest import ROOT

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples' files, and photos with three points each."""
    home = tmp_path_factory.mktemp("contributing")
    for _, text in BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        if named := re.match(r"# (my_\S+)\n", text):
            path = home / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    (home / "my_package/__init__.py").touch()
    (home / "triangles").mkdir()
    for person in range(1, 6):
        for view in (1, 2):
            picture, points = draw_imm_face(person, view, 0)
            name = home / f"triangles/{person}-{view}"
            Image.fromarray(picture).save(f"{name}.jpg")
            Path(f"{name}.json").write_text(json.dumps((points[[21, 13, 52]] + 1).tolist()))
    return home


def commands() -> list[str]:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    blocks = [code for language, code in BLOCK.findall(text) if not language]
    return [line for code in blocks for line in code.splitlines() if line.startswith("python ")]


def test_the_commands_run_in_order(folder: Path) -> None:
    check, train, evaluate, predict = commands()
    printed = []
    for command in (train, evaluate, predict, check):
        program, *arguments = shlex.split(command)[1:]
        done = subprocess.run(
            [sys.executable, str(ROOT / program), *arguments],
            capture_output=True, text=True, cwd=folder, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    assert "train: 8 faces, val: 2 faces" in printed[0]
    assert "8 faces train, 2 faces validate" in printed[3]
    assert (folder / "checked/custom3.html").is_file()
    table = pd.read_csv(folder / "out/predictions.csv")
    assert len(table) == 10
    assert set(table["box_source"]) == {"centre"}
    assert list(table.columns[-2:]) == ["nose_x", "nose_y"]


def test_a_metric_is_a_class_and_an_entry(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    from my_package.metrics import RootMeanSquare

    monkeypatch.setattr(metrics, "METRICS", (*metrics.METRICS, RootMeanSquare))
    target = torch.tensor([[[0.25, 0.5], [0.75, 0.5]]])
    predicted = target + torch.tensor([[[0.02, 0.0], [0.0, 0.04]]])
    seen = metrics.KeypointMetrics()
    to_photo = torch.tensor([[[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]])
    seen.update(predicted, target, to_photo, (50, 100), torch.tensor([40.0]))
    assert seen.compute()["rms_px"].item() == pytest.approx(8**0.5)  # 4 px twice, 0 twice
    assert "rms_px" in metrics.metric_names(0.08, "interocular", lower_is_better=True)
    assert metrics.format_metric("val/rms_px", 4.0) == "4.00 px"
    truth = np.random.default_rng(0).uniform(0, 99, (68, 2))
    face = FaceRecord(Path("a"), np.zeros(4), truth, "a", "a", "a", (Path("a"), None))
    errors = metrics.face_errors([face], truth[None] + (3, 4), range(68), IBUG68)
    assert metrics.summarize(errors, 0.08)["rms_px"][0] == pytest.approx(12.5**0.5)
