"""Every command of the documentation is run, on drawn data; trainings for one epoch.

Names that stand for a reader's own (RUN, TIME, C) are replaced.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import torch

import facekp
from facekp.core.landmarks import IBUG68
from facekp.data.formats.corrected_csv import (
    CorrectedFace,
    CorrectedPhoto,
    corrected_header,
    corrected_rows,
)
from tests.conftest import ROOT, interrupted
from tests.e2e.test_docs import commands

pytestmark = pytest.mark.long

SERVERS = "task=annotate", "task=camera"
RUN_FOLDER = re.compile(r"runs/(\w+)/(TIME_?\d?|A|B)\b")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, imm_data: Path, ibug_data: Path) -> Path:
    """A working folder with everything that the commands name."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "data").mkdir()
    for data in (imm_data, ibug_data):
        for path in data.iterdir():
            (folder / "data" / path.name).symlink_to(path)
    (folder / "DIR").symlink_to(folder / "data")
    photos = [f"{parent}/{name}" for parent in ("photos", "my_photos") for name in "abcd"]
    for name in (*photos, "more/a", "photo", "a", "b"):
        path = folder / f"{name}.jpg"
        path.parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / "docs/astronaut.webp", path)
    run(folder, "predict.py", "task=morph", "input=photos", "output=clip.mp4", "fps=5")
    run(folder, "predict.py", "task=convert", "dataset=ibug", "format=csv", "output=converted")
    faces = pd.read_csv(folder / "converted/train.csv").drop(columns=["split", "group"])
    for name in ("faces.csv", "more.csv"):
        faces.to_csv(folder / name, index=False)
    for part in next(ibug_data.iterdir()).iterdir():
        (folder / part.name).symlink_to(part)
    write_corrected(folder)
    run(folder, "predict.py", "photos/", "output=predicted")
    shutil.copy(folder / "predicted/predictions.csv", folder)
    return folder


def write_corrected(home: Path) -> None:
    """`corrected.csv` as `task=annotate` leaves it: four photos, looked through."""
    names = IBUG68.point_names
    face = facekp.Predictor.load()(home / "photo.jpg")[0]
    corrected = CorrectedFace(face.bbox, face.keypoints)
    text = corrected_header(names)
    for name in "abcd":
        photo = CorrectedPhoto(f"{name}.jpg", (corrected,), edited=True)
        text += corrected_rows(photo, len(names), face.box_source)
    (home / "corrected.csv").write_text(text)


def run(folder: Path, program: str, *arguments: str) -> None:
    command = [sys.executable, str(ROOT / program), *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment(), text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout[-3000:]}"


def environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "FACEKP_DATA_DIR"}


def run_of(home: Path, experiment: str, number: int = 0) -> str:
    """Folder of a finished run, trained if it is missing; `number` tells several apart."""
    folder = home / "finished" / f"{experiment}_{number}"
    if not folder.is_dir():
        settings = [f"experiment={experiment}", f"hydra.run.dir={folder}", f"seed={number}"]
        run(home, "train.py", "trainer.max_epochs=1", *settings)
    return str(folder)


def sweep_of(home: Path) -> str:
    """Folder of a finished sweep of two jobs."""
    folder = home / "finished/sweep"
    settings = ["experiment=part1", "seed=0,1", f"hydra.sweep.dir={folder}"]
    run(home, "train.py", "-m", "trainer.max_epochs=1", *settings)
    return str(folder)


def filled_in(home: Path, command: str) -> str:
    """The command with a reader's own names in it."""
    seen: Counter[str] = Counter()

    def folder(match: re.Match[str]) -> str:
        name = match[1]
        seen[name] += 1
        return sweep_of(home) if name == "sweeps" else run_of(home, name, seen[name] - 1)

    command = RUN_FOLDER.sub(folder, command)
    if re.search(r"\bRUN/", command):
        experiment = "part3_short" if "kaggle" in command else "quickstart"
        command = re.sub(r"\bRUN\b", run_of(home, experiment), command)
    return re.sub(r"=C\b", "=ibug68", command)


def shortened(arguments: list[str]) -> list[str]:
    """One epoch; without a GPU on the CPU."""
    if "trainer.gpus=1" in arguments and not torch.cuda.is_available():
        arguments.remove("trainer.gpus=1")
    if not any(a.startswith("resume=") for a in arguments):
        arguments = [a for a in arguments if not a.startswith("trainer.max_epochs")]
        # Some processors only emulate bfloat16.
        arguments += ["trainer.max_epochs=1", "trainer.precision=32-true"]
        if "-m" in arguments:
            arguments.append("report=false")
    if "hydra/sweeper=optuna" in arguments:
        arguments.append("hydra.sweeper.n_trials=2")
    return arguments


PAGES = {command: page for page, command in reversed(commands())}
"""The first page of each command, for `pytest -k by_hand`."""


@pytest.mark.parametrize(
    "command", [pytest.param(c, id=f"{page}-{c}") for c, page in PAGES.items()]
)
def test_command_runs(command: str, home: Path, request: pytest.FixtureRequest) -> None:
    if "launcher=slurm" in command and shutil.which("sbatch") is None:
        pytest.skip("needs a Slurm cluster")
    if re.search("launcher=gpus|trainer=ddp", command) and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    _, program, *arguments = shlex.split(filled_in(home, command))
    if program == "train.py":
        arguments = shortened(arguments)
    if "weights=int8" in arguments:  # refused where it costs accuracy, as on drawn faces
        arguments.append(f"data_dir={request.getfixturevalue('real_data')}")
    if any(server in command for server in SERVERS):
        typed = [sys.executable, str(ROOT / program), *arguments, "browser=false"]
        code, said = interrupted(typed, "Ctrl-C", home, environment())
        assert code in (0, 130), said
    else:
        run(home, program, *arguments)
