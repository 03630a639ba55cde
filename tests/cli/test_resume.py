"""What resume= stands for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from facekp.cli.resume import expand_resume
from facekp.core.errors import ConfigError
from facekp.core.run_folder import accept_resume


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
