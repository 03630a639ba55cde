"""facekp from Python: compose, train, and what is lazy about it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

import facekp
from facekp.core.errors import ConfigError
from tests.conftest import ROOT


def test_import_is_quick_and_names_are_there() -> None:
    code = (
        "import time; start = time.perf_counter(); import facekp; import sys\n"
        "print(time.perf_counter() - start < 0.1, 'torch' in sys.modules)\n"
        "print(facekp.Predictor.__name__, facekp.train.__name__, facekp.compose.__name__,"
        " facekp.draw.__name__, facekp.__version__)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "True False"
    assert done.stdout.splitlines()[1].startswith("Predictor train compose draw_faces 0.")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = facekp.nothing


def test_a_notebook_trains_in_a_folder_of_its_own(tmp_path: Path, imm_data: Path) -> None:
    cfg = facekp.compose(
        "experiment=part1", "trainer.max_epochs=2", f"data_dir={imm_data}", f"runs_dir={tmp_path}"
    )
    assert cfg.run_dir is None
    first, second = facekp.train(cfg), facekp.train(cfg)
    assert first.run_dir != second.run_dir
    assert first.run_dir.parent == tmp_path / "part1"
    assert first.best_ckpt.is_file()
    assert first.report is not None
    assert first.report.is_file()
    assert list(first.history["epoch"]) == [0, 1]
    assert first.metrics["val/mse"] == first.best == first.history["val/mse"].min()
    assert first.metrics == pytest.approx(
        second.metrics | {"images_per_second": first.metrics["images_per_second"]}
    )


def test_hydras_own_compose_works_too(tmp_path: Path, imm_data: Path) -> None:
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose(
            "config",
            ["experiment=part1", "trainer.max_epochs=1", f"data_dir={imm_data}", "report=false",
             f"run_dir={tmp_path}/not/there/yet"],
        )  # fmt: skip
        assert facekp.compose("experiment=part2").name == "part2"  # inside a Hydra of one's own
        assert compose("config", ["experiment=part1"]).name == "part1"
    assert facekp.train(cfg).run_dir == tmp_path / "not/there/yet"


@pytest.mark.parametrize("cfg", [{}, OmegaConf.create({"seed": 1})])
def test_what_is_no_configuration_is_refused(cfg: Any) -> None:
    with pytest.raises(ConfigError, match="give a configuration that facekp"):
        facekp.train(cfg)


def test_wrong_overrides_are_named_and_hydra_is_left_as_it_was() -> None:
    before = GlobalHydra.instance().hydra
    with pytest.raises(ConfigError, match=r"did you mean dataset\.batch_size"):
        facekp.compose("dataset.batch_sise=3")
    with pytest.raises(ConfigError, match=r"\['seed=1'\]: give each setting as a text of its own"):
        facekp.compose(["seed=1"])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="choose one of 300w_best"):
        facekp.compose("experiment=part9")
    assert GlobalHydra.instance().hydra is before


def test_draw_returns_a_copy_with_points() -> None:
    image = np.zeros((120, 120, 3), np.uint8)
    points = np.random.default_rng(0).uniform(20, 100, (68, 2))
    face = facekp.Face(np.zeros(4), points, 1.0, "image")
    drawn = facekp.draw(image, [face])
    assert drawn.shape == image.shape
    assert drawn.any()
    assert not image.any()
