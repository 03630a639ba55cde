"""A wheel built from the tree works in an empty environment, from another folder (minutes)."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from facekp.data.synthetic import draw_ibug_face
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    (path,) = folder.glob("facekp-*.whl")
    return path


@pytest.mark.long
def test_it_holds_what_it_needs_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        "facekp/conf/config.yaml", "facekp/conf/experiment/part3.yaml", "facekp/py.typed",
        "facekp/models/bundled/ibug68.ckpt", "facekp/data/ibug_near_duplicates.txt",
        "facekp/visualization/reports/page.html",
    }  # fmt: skip
    assert expected <= names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"facekp"}


@pytest.mark.long
def test_it_works_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    """The dependencies are those of this environment, which the new one sees, but not the tree."""
    env = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(env)], check=True)
    (site,) = env.glob("lib/python*/site-packages")
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--no-deps", "--quiet"]
    python = env / "bin/python"
    subprocess.run([*uv, "--python", str(python), str(wheel)], check=True)
    packages = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    # Behind the wheel: the tree's own entry there is a .pth file, which PYTHONPATH does not follow.
    variables = os.environ | {"PYTHONPATH": f"{site}:{packages}"}

    def call(*command: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = call(str(python), "-c", "import facekp; print(facekp.__file__)")
    assert where.strip().startswith(str(site))
    small = ["trainer.max_epochs=1", "dataset.people=4", "dataset.val_people=[4]"]
    assert "report" in call(str(env / "bin/facekp-train"), *small)
    Image.fromarray(draw_ibug_face(1, 0)[0]).save(tmp_path / "photo.jpg")
    call(str(env / "bin/facekp-predict"), "input=photo.jpg", "detector=none", "output=out")
    assert len(pd.read_csv(tmp_path / "out/predictions.csv")) == 1
    code = "import facekp; print(len(facekp.Predictor.load().points))"
    assert call(str(python), "-c", code) == "68\n"
