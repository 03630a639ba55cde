"""A user's own package: its network, data set, loss and detector train and are used afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from facekp.data.synthetic import draw_imm_face
from tests.conftest import ROOT

PACKAGE = {
    "net": '''
import torch
from torch import nn
from facekp.models.base import KeypointNetwork

class Net(KeypointNetwork):
    """A linear model of a small image, with what other networks have: masks, tied weights."""

    def __init__(self, num_keypoints, input_size, in_channels, side):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(side)
        self.out = nn.Linear(in_channels * side * side, 2 * num_keypoints)
        self.same = self.out
        self.rate = torch.linspace(0, 0.1, 2)[1].item()
        self.register_buffer("mask", torch.tensor([True, False]))
        self.register_buffer("attention", torch.tensor([0.0, -torch.inf]))
        self.register_buffer("window", torch.arange(4, dtype=torch.int32))

    def init_output_bias(self, keypoints):
        with torch.no_grad():
            self.out.bias.copy_(keypoints.flatten())

    def forward(self, images):
        return self.out(self.pool(images).flatten(1)).unflatten(1, (-1, 2))
''',
    "data": """
from facekp.data.imm import IMMDataModule

class Frontal(IMMDataModule):
    def read_splits(self):
        splits = super().read_splits()
        return {name: [r for r in records if "-1" in r.name] for name, records in splits.items()}
""",
    "loss": """
from torch import nn

class Cubic(nn.Module):
    def forward(self, predicted, target):
        return (predicted - target).abs().pow(3).mean()
""",
    "detector": """
from facekp.inference.detectors import WholeImage

class Mine(WholeImage):
    name = "mine"
""",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_package").mkdir()
    for name, text in ({"__init__": ""} | PACKAGE).items():
        (tmp_path / f"my_package/{name}.py").write_text(text)
    return tmp_path


def call(folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


@pytest.mark.long  # test_contributing.py runs such a package, too
def test_a_package_of_ones_own(folder: Path, imm_data: Path) -> None:
    train = [
        "model._target_=my_package.net.Net", "~model.channels", "~model.kernel_sizes",
        "~model.paddings", "~model.pool_after", "~model.pool", "~model.pool_size",
        "~model.hidden", "~model.hidden_relu", "~model.sigmoid", "+model.side=4",
        "dataset._target_=my_package.data.Frontal", "model.loss._target_=my_package.loss.Cubic",
    ]  # fmt: skip
    done = call(
        folder, "train.py", "experiment=part1", f"data_dir={imm_data}", *train, "dataset.points=null",
        "trainer.max_epochs=2", "report=false", "hydra.run.dir=run",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "3 faces of 3 people train" in done.stdout
    Image.fromarray(draw_imm_face(1, 1, 0)[0]).save(folder / "photo.png")
    use = [
        "ckpt_path=run/checkpoints/best.ckpt", "input=photo.png", "output=out",
        "detector=none", "detector._target_=my_package.detector.Mine",
    ]  # fmt: skip
    refused = call(folder, "predict.py", *use)
    assert "plugins=[PACKAGE] names a package that you trust" in refused.stderr
    used = call(folder, "predict.py", *use, "plugins=[my_package]")
    assert used.returncode == 0, used.stderr
    table = pd.read_csv(folder / "out/predictions.csv")
    assert list(table["box_source"]) == ["mine"]
    again = call(
        folder, "predict.py", *use, "plugins=[my_package]", "boxes=out/predictions.csv",
        "output=again",
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    judged = call(
        folder, "predict.py", "task=evaluate", use[0], f"data_dir={imm_data}",
        "plugins=[my_package]", "output=out",
    )  # fmt: skip
    assert judged.returncode == 0, judged.stderr
    assert "NOTE" not in judged.stdout
