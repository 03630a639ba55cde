"""Optuna searches that are continued."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from facekp.core.errors import ConfigError
from tests.conftest import ROOT

pytest.importorskip("optuna")


def search_config(folder: Path, trials: int) -> DictConfig:
    storage = f"sqlite:///{folder}/runs/study.db"
    sweeper = {"storage": storage, "study_name": "s", "direction": "minimize", "n_trials": trials}
    config = OmegaConf.create({"runs_dir": f"{folder}/runs", "hydra": {"sweeper": sweeper}})
    OmegaConf.set_readonly(config.hydra, True)
    return config


def test_trials_of_a_continued_search_count(tmp_path: Path) -> None:
    from facekp.cli.search import open_search

    first = open_search(search_config(tmp_path, 5))
    assert first is not None
    sweeps = [tmp_path / "runs/sweeps/1", tmp_path / "runs/sweeps/2"]
    for sweep in sweeps:
        sweep.mkdir(parents=True)
    first.record(sweeps[0])
    first.study.tell(first.study.ask(), 0.5)
    first.study.tell(first.study.ask(), math.inf)  # a job that failed
    first.study.ask()  # as if the process had died now
    config = search_config(tmp_path, 5)
    second = open_search(config)
    assert second is not None
    assert (second.done, second.trials, config.hydra.sweeper.n_trials) == (1, 5, 4)
    assert [trial.state.name for trial in second.study.trials] == ["COMPLETE", "COMPLETE", "FAIL"]
    second.record(sweeps[1])
    with pytest.raises(ConfigError, match="holds earlier trials of this search"):
        second.record(sweeps[0])
    assert (sweeps[1] / "earlier.json").read_text() == '["../1"]'


def test_a_direction_may_be_the_sweeper_s_own(tmp_path: Path) -> None:
    from hydra_plugins.hydra_optuna_sweeper.config import Direction

    from facekp.cli.search import open_search

    config = search_config(tmp_path, 5)
    for direction in (Direction.minimize, ["minimize", "maximize"]):
        OmegaConf.set_readonly(config.hydra, False)
        config.hydra.sweeper.direction = direction
        config.hydra.sweeper.study_name = f"a/{direction}"
        assert open_search(config) is not None


def test_two_processes_do_not_run_the_same_search(tmp_path: Path) -> None:
    from facekp.cli.search import open_search

    code = (
        "import sys, time; from pathlib import Path\n"
        "from facekp.cli.search import open_search\n"
        "from tests.cli.test_search import search_config\n"
        "open_search(search_config(Path(sys.argv[1]), 5)); print('open', flush=True)\n"
        "time.sleep(60)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(ConfigError, match="another process runs it now"):
            open_search(search_config(tmp_path, 5))
    finally:
        other.kill()
        other.wait()


def test_a_storage_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    from facekp.cli.search import open_search

    (tmp_path / "runs").write_text("a file")
    with pytest.raises(ConfigError, match="cannot be opened"):
        open_search(search_config(tmp_path, 5))
