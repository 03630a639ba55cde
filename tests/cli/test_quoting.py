"""File names on the command line need no quoting beyond the shell's."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from facekp.cli.compose import with_default_experiment
from facekp.cli.quoting import quote_paths

NAMES = [
    "my faces (1).csv", "a=b.csv", "it's.csv", 'say "hi".csv', "a{b}.csv", "50%.csv", "a:b.csv", "#1.csv",
    "back\\slash.csv", "ends\\", "é ü.csv", "a, b.csv", "[x].csv", "plain.csv", "null.csv", "~/x.csv",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_any_file_name_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    if "/" not in name:
        Path(name).touch()
    (override,) = OverridesParser.create().parse_overrides(quote_paths([f"dataset.train={name}"]))
    assert str(override.value()) == name


@pytest.mark.parametrize(
    "argument",
    [
        "input=[a.jpg,b.jpg]", "dataset.train=a.csv,b.csv", "dataset.train='a b.csv'", "name=a b",
        "-m", "input=", "runs_dir=${oc.env:HOME}/runs", "model.input_size=[64,64]",
    ],
)  # fmt: skip
def test_what_is_no_name_stays(argument: str) -> None:
    assert quote_paths([argument]) == [argument]


def test_the_recipe_follows_options_of_hydra() -> None:
    arguments = ["-m", "dataset=annotations", "dataset.train=a.csv,b.csv"]
    assert with_default_experiment(arguments) == [*arguments, "experiment=annotations"]


@pytest.mark.parametrize(
    "pattern", [r"(.+)_[0-9]+\.jpg", "(.+)_[0-9]+", "([a-z]{2,3})-.*", "person"]
)
def test_a_regular_expression_needs_no_further_quoting(pattern: str) -> None:
    (override,) = OverridesParser.create().parse_overrides(
        quote_paths([f"dataset.group={pattern}"])
    )
    assert override.value() == pattern
