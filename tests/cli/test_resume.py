"""What resume= stands for."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser

from facekp.cli.resume import command, expand_resume, is_repeated_by
from facekp.core.errors import ConfigError
from facekp.core.run_folder import accept_resume


def test_a_command_is_the_same_however_the_program_was_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else a sweep that is started again from another folder would repeat its finished jobs."""
    task = ["experiment=part1", "name='a b'", "+search=part1", "seed=0"]
    runtime = SimpleNamespace(config_sources=[])
    hydra = SimpleNamespace(overrides=SimpleNamespace(task=task), runtime=runtime)
    monkeypatch.setattr(HydraConfig, "get", lambda: hydra)
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    monkeypatch.chdir(tmp_path)
    overrides = """experiment=part1 'name='"'"'a b'"'"'' seed=0"""
    for called, program in (
        ("train.py", "python train.py"),
        (f"{tmp_path}/train.py", "python train.py"),
        ("../my clone/train.py", "python '../my clone/train.py'"),
        ("/usr/bin/facekp-train", "facekp-train"),
        ("/usr/lib/submitit/core/_submit.py", "python train.py"),
    ):
        monkeypatch.setattr(sys, "argv", [called])
        assert command() == f"{program} {overrides}"
        assert is_repeated_by(command())
    assert not is_repeated_by("python train.py experiment=part1")
    runtime.config_sources = [{"provider": "command-line", "path": "/my conf"}]
    assert command() == f"python train.py '--config-dir=/my conf' {overrides}"
    assert is_repeated_by(command())


def test_resume_repeats_what_a_run_was_started_with(tmp_path: Path) -> None:
    hydra = tmp_path / "it's/.hydra"
    hydra.mkdir(parents=True)
    (hydra / "overrides.yaml").write_text("- experiment=part1\n- seed=3\n")
    here = str(tmp_path / "it's").replace("'", "\\'")
    again = expand_resume([f"resume={tmp_path}/it's", "trainer.max_epochs=9"])
    assert again == [
        "experiment=part1", "seed=3", f"hydra.run.dir='{here}'", "hydra.output_subdir=.hydra/resumed",
        "trainer.max_epochs=9",
    ]  # fmt: skip
    (hydra.parent / "checkpoints").mkdir()
    (hydra.parent / "checkpoints/last.ckpt").touch()
    again = expand_resume([f"resume={tmp_path}/it's"])
    assert again[-1] == f"ckpt_path='{here}/checkpoints/last.ckpt'"
    assert expand_resume(["seed=1"]) == ["seed=1"]
    # What a resume changes counts once the run has taken it.
    (hydra / "resumed").mkdir()
    (hydra / "resumed/overrides.yaml").write_text("- seed=4\n")
    assert "seed=3" in expand_resume([f"resume={tmp_path}/it's"])
    accept_resume(hydra.parent)
    assert "seed=4" in expand_resume([f"resume={tmp_path}/it's"])
    (tmp_path / "multirun.yaml").write_text(
        "hydra: {overrides: {hydra: [hydra.mode=MULTIRUN, hydra/launcher=cpus], task: ['seed=0,1']}}"
    )
    assert expand_resume(["-m", f"resume={tmp_path}", "seed=2"]) == [
        "-m", "hydra/launcher=cpus", "seed=0,1", f"hydra.sweep.dir='{tmp_path}'", "seed=2"
    ]  # fmt: skip
    (tmp_path / "multirun.yaml").unlink()
    with pytest.raises(ConfigError, match="not the folder of a run"):
        expand_resume([f"resume={tmp_path}"])


def test_a_configuration_of_ones_own_is_used_again(tmp_path: Path) -> None:
    sources = [{"provider": "main", "path": "conf"}, {"provider": "command-line", "path": "/mine"}]
    settings = {"runtime": {"config_sources": sources}, "overrides": {"hydra": [], "task": ["a=1"]}}
    for file in ("run/.hydra/hydra.yaml", "sweep/multirun.yaml"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text(yaml.safe_dump({"hydra": settings}))
    (tmp_path / "run/.hydra/overrides.yaml").write_text("- a=1\n")
    assert expand_resume([f"resume={tmp_path}/run"])[:2] == ["--config-dir=/mine", "a=1"]
    assert expand_resume([f"resume={tmp_path}/sweep"])[:3] == ["--config-dir=/mine", "-m", "a=1"]
    again = expand_resume(["b=2", "--config-dir=/other", f"resume={tmp_path}/run"])
    assert (again[0], again[-1]) == ("--config-dir=/other", "b=2")


@pytest.mark.parametrize("name", ["it's", "a=b,c", "$x{1}[2]", "照片 (1)", "ends\\"])
def test_a_run_in_a_folder_of_any_name_is_resumed(tmp_path: Path, name: str) -> None:
    hydra = tmp_path / name / ".hydra"
    hydra.mkdir(parents=True)
    (hydra / "overrides.yaml").write_text("- seed=3\n")
    (hydra.parent / "checkpoints").mkdir()
    (hydra.parent / "checkpoints/last.ckpt").touch()
    overrides = OverridesParser.create().parse_overrides(
        expand_resume([f"resume={tmp_path / name}"])
    )
    values = {override.key_or_group: override.value() for override in overrides}
    assert values["hydra.run.dir"] == str(tmp_path / name)
    assert values["ckpt_path"] == str(tmp_path / name / "checkpoints/last.ckpt")
