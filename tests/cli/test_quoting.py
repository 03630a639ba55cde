"""File names on the command line need no quoting beyond the shell's."""

from __future__ import annotations

import glob
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from facekp.cli.compose import with_default_experiment
from facekp.cli.quoting import LITERAL, PATHS, inputs_by_name, quote_paths
from facekp.core.errors import ConfigError

NAMES = [
    "my faces (1).csv", "a=b.csv", "it's.csv", 'say "hi".csv', "a{b}.csv", "50%.csv", "a:b.csv", "#1.csv",
    "back\\slash.csv", "ends\\", "é ü.csv", "a, b.csv", "[x].csv", "plain.csv", "null.csv", "~/x.csv",
    "père.jpg", "照片.jpg", "a=b,c.jpg", "$x{1}[2].jpg", "'quoted'.jpg",
    "a\\'b.csv", "a\\\\'b c.csv", "two\\\\",
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


@pytest.mark.parametrize("key", sorted(PATHS | LITERAL))
def test_every_setting_of_a_path_takes_every_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        if "/" not in name:
            Path(name).touch()
        (override,) = OverridesParser.create().parse_overrides(quote_paths([f"{key}={name}"]))
        assert str(override.value()) == name


def test_photos_need_no_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["IMG (1).jpg", "it's.jpg", "a=b,c.jpg", "input=x.jpg", "${x}.jpg", "$x{1}[2].jpg"]
    for name in names:
        Path(name).touch()
    arguments = ["task=predict", *names, "--config-dir", ".", "flip_test=true"]
    *rest, argument = inputs_by_name(quote_paths(arguments))
    assert rest == ["task=predict", "--config-dir", ".", "flip_test=true"]
    (override,) = OverridesParser.create().parse_overrides([argument])
    files = [str(name) for name in override.value()]
    assert files[:4] == names[:4]
    assert [glob.glob(name)[0] for name in files[4:5]] == names[4:5]  # noqa: PTH207
    assert files[5] == names[5]
    assert inputs_by_name(["*.jpg"])[0].startswith("input=['*.jpg'")
    assert inputs_by_name(["no.jpg", "input=a.jpg"]) == ["no.jpg", "input=a.jpg"]
    with pytest.raises(ConfigError, match="beside it"):
        inputs_by_name(["input='b.jpg'", names[0]])


def test_folders_without_a_name_are_the_runs_of_a_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["runs/a, 1", "runs/b"]
    for name in names:
        Path(name).mkdir(parents=True)
    task, argument = inputs_by_name(quote_paths([*names, "task=compare"]))
    (override,) = OverridesParser.create().parse_overrides([argument])
    assert (task, override.key_or_group) == ("task=compare", "runs")
    assert [str(name) for name in override.value()] == names
    with pytest.raises(ConfigError, match="runs= is given, and runs/b beside it"):
        inputs_by_name(["task=compare", "runs=[runs/a]", "runs/b"])
    # The last task counts, as with Hydra.
    assert inputs_by_name(["task=compare", "task=predict", "runs/b"])[-1] == "input=['runs/b']"


def test_a_comma_is_a_sweep_unless_there_is_such_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a (1).csv", "b.csv", "c,d.csv"):
        Path(name).touch()
    (swept, plain) = quote_paths(["dataset.train=a (1).csv,b.csv", "dataset.train=c,d.csv"])
    parser = OverridesParser.create()
    sweep, single = parser.parse_overrides([swept, plain])
    assert list(sweep.sweep_string_iterator()) == ["'a (1).csv'", "'b.csv'"]
    assert single.value() == "c,d.csv"
    (listed,) = parser.parse_overrides(quote_paths(["input=[a (1).csv,b.csv]"]))
    assert [str(name) for name in listed.value()] == ["a (1).csv", "b.csv"]
