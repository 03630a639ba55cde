"""The documentation: its notebook runs, its links lead somewhere, its commands compose."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

import facekp
from facekp.cli.quoting import inputs_by_name, quote_paths
from tests.conftest import ROOT

PAGES = [
    *sorted(path for path in ROOT.glob("*.md")),
    *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name != "settings.md"),
]
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STAND_INS = {"RUN": "runs/part1/x", "DIR": "data", "TIME": "2026", "C": "ibug68", "FILE": "x.csv"}


def commands() -> list[tuple[str, str]]:
    """(page, command) of each `python train.py` and `python predict.py` in the documentation."""
    found = []
    for page in PAGES:
        if page.name == "CONTRIBUTING.md":  # see test_contributing.py
            continue
        for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
            lines = text.replace("\\\n", " ").splitlines() if not language else []
            found += [
                (page.name, line.partition(" #")[0].strip())
                for line in lines
                if re.match(r"python (train|predict)\.py", line)
            ]
    return found


@pytest.mark.parametrize(("page", "command"), commands())
def test_every_command_of_the_documentation_composes(
    page: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    _, program, *arguments = shlex.split(command)
    # Names of photos and runs stand in for a user's own.
    named = [a for a in arguments if "=" in a or a.startswith("-")]
    others = [a for a in arguments if a not in named]
    assert all(re.search(r"\.(jpg|mp4|webp)$|/$|^runs/", name) for name in others), command
    if any(argument.startswith("resume=") for argument in named):
        return
    sweep = "-m" in named
    named = [argument for argument in named if argument != "-m"]
    if sweep:  # each setting's first value
        named = [re.sub(r"=([^,\[(]*),.*", r"=\1", argument) for argument in named]
        named = [a for a in named if not a.startswith(("hydra/", "+search"))]
    name = "config" if program == "train.py" else "predict"
    GlobalHydra.instance().clear()
    overrides = inputs_by_name(quote_paths(named))
    if name == "config" and any(a.startswith("dataset=annotations") for a in overrides):
        overrides = [
            "experiment=annotations",
            *(a for a in overrides if a != "dataset=annotations"),
        ]
    facekp.compose(*overrides, config_name=name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), target


@pytest.mark.long
def test_the_notebook_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = json.loads((ROOT / "examples/first_steps.ipynb").read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell.get("outputs") for cell in cells)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    monkeypatch.chdir(tmp_path)
    exec("\n".join(code), {})
    assert "points on the same 48 faces" in capsys.readouterr().out
    assert list(tmp_path.glob("runs/quickstart/compared/report.html"))


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_python_in_the_documentation_runs(
    page: str, imm_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    blocks = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    code = "\n".join(text for language, text in blocks if language == "python")
    shutil.copy(ROOT / "docs/astronaut.webp", tmp_path / "photo.jpg")
    monkeypatch.setenv("FACEKP_DATA_DIR", str(imm_data))
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert "best.ckpt" in capsys.readouterr().out


@pytest.mark.long
def test_the_whole_course_is_one_page(tmp_path: Path) -> None:
    program = str(ROOT / "examples/course.py")
    small = ["trainer.max_epochs=1", "dataset.batch_size=32", f"data_dir={tmp_path}"]
    photos, output = tmp_path / "my photos, 1", tmp_path / "course, 1"
    photos.mkdir()
    with Image.open(ROOT / "docs/astronaut.webp") as photo:
        for name in ("a.png", "b.png"):
            photo.convert("RGB").save(photos / name)
    Image.new("RGB", (80, 60)).save(photos / "empty.png")
    command = [sys.executable, program, "--output", str(output), "--photos", str(photos), *small]
    for _ in range(2):  # the second time nothing is trained
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "epoch" not in done.stdout
    page = (output / "report.html").read_text()
    assert "Blur-pool beside max-pool" in page
    assert 'alt="a"' in page
    assert "No face was found in empty.png." in page
    assert (output / "morph.mp4").is_file()
    other = [argument.replace("max_epochs=1", "max_epochs=2") for argument in command]
    done = subprocess.run(other, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "was trained with trainer.max_epochs=1 (now 2); give another --output" in done.stderr


@pytest.mark.long
def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    site = tmp_path / "site"
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", "docs", str(site)]
    subprocess.run(command, cwd=ROOT, check=True)
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|source)[^>]*src="([^"]+)"', text)
        loaded += re.findall(r'<link[^>]*rel="(?:stylesheet|icon)[^>]*href="([^"]+)"', text)
        assert not [address for address in loaded if address.startswith(("http", "//"))]
