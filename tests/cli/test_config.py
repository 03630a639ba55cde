"""Configurations, run folders, experiments."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from facekp.cli.config import new_dir, run_dir, study
from facekp.models.bundled import BUNDLED
from facekp.models.factory import build_network
from tests.conftest import ROOT, composed


def test_a_search_of_another_space_or_recipe_is_another_study() -> None:
    space = {"model.optimizer.lr": "interval(1e-5,1e-2)"}
    command = ["experiment=part1", "+search=part1", "dataset.batch_size=4"]
    name = study("part1", command, space)
    assert name.startswith("part1-")
    assert study("part1", [*command[::-1], "trainer.gpus=1", "runs_dir=x"], space) == name
    assert study("part1", ["experiment=part1", "+search=part1"], space) != name
    assert study("part1", command, {"model.optimizer.lr": "interval(1e-5,1e-3)"}) != name


def test_folders_are_never_shared(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: new_dir(str(tmp_path / "runs")), range(40)))
    assert len(set(folders)) == 40


def test_resumed_run_goes_on_in_its_folder(tmp_path: Path) -> None:
    checkpoint = tmp_path / "runs/part1/then/checkpoints/last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    assert run_dir(str(tmp_path / "new"), str(checkpoint)) == str(tmp_path / "runs/part1/then")


@pytest.mark.parametrize(
    "path", sorted((ROOT / "conf/experiment").glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_experiment_composes_and_builds_its_network(path: Path) -> None:
    cfg = composed(f"experiment={path.stem}")
    assert cfg.name == path.stem
    network = build_network(cfg.model, 3).eval()
    views = torch.zeros(1, cfg.dataset.channels, *cfg.dataset.input_size)
    assert network(views).shape == (1, 3, 2)
    assert {cfg.init_from, cfg.teacher} <= {None, *BUNDLED}


def test_sizes_and_choices_can_be_swept() -> None:
    cfg = composed("experiment=part2", "model=face_net_240x320", "model.kernel_sizes=[5,5,3,3,1]",
                   "model/loss=wing", "model/optimizer=sgd", "model/scheduler=cosine")  # fmt: skip
    assert cfg.dataset.input_size == [240, 320]
    assert cfg.model.scheduler.T_max == 20


def test_slurm_settings_compose() -> None:
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose(
            "config", ["hydra/launcher=slurm", "hydra.launcher.partition=gpu"],
            return_hydra_config=True,
        )  # fmt: skip
    launcher = OmegaConf.to_container(cfg.hydra.launcher, resolve=False)
    assert launcher["_target_"].endswith("SlurmLauncher")
    assert launcher["partition"] == "gpu"
    assert launcher["gpus_per_node"] == launcher["tasks_per_node"] == 1
