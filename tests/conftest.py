"""Fixtures: small data sets of drawn faces, and runs of `train` without the command line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

# Background jobs of a shell ignore Ctrl-C, and the programs that they start would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--inputs N`: how many mutated files `test_fuzz.py` tries in all."""
    parser.addoption("--inputs", type=int, default=1000)


@pytest.fixture(scope="session", autouse=True)
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the whole session, not the user's."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["FACEKP_CACHE_DIR"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def imm_data(cache_dir: Path) -> Path:
    """data_dir with IMM's layout: 4 drawn people, the last of whom validates."""
    from facekp.data.synthetic import draw_once, write_synthetic_imm

    return draw_once(
        lambda folder: write_synthetic_imm(folder, (1, 2, 3, 33), 0),
        cache_dir / "imm4",
        "imm_face_db",
    )


@pytest.fixture(scope="session")
def ibug_data(cache_dir: Path) -> Path:
    """data_dir with iBUG's layout: 24 drawn photos with twins."""
    from facekp.data.synthetic import draw_once, write_synthetic_ibug

    name = "ibug_300W_large_face_landmark_dataset"
    return draw_once(lambda folder: write_synthetic_ibug(folder, 24, 0), cache_dir / "ibug24", name)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """data_dir of the real data that docs/results.md is about; skips where it is not."""
    folder = ROOT / os.environ.get("FACEKP_DATA_DIR", "data")
    train = folder / "ibug_300W_large_face_landmark_dataset/labels_ibug_300W_train.xml"
    whole = (folder / "imm_face_db").is_dir() and train.is_file()
    if not whole or train.read_text().count("<image ") != 2208:
        pytest.skip("needs IMM and the part of iBUG with 2208 training images: FACEKP_DATA_DIR")
    return folder.resolve()


def composed(*overrides: str, of: str = "config") -> DictConfig:
    """The configuration that `train.py` would get, or `predict.py` with `of="predict"`."""
    import facekp

    return facekp.compose(*overrides, config_name=of)


def interrupted(
    command: Sequence[str],
    until: str,
    cwd: Path = ROOT,
    env: dict[str, str] | None = None,
    timeout: float = 60,
) -> tuple[int, str]:
    """Exit status and output of a program that Ctrl-C ends when it has said something."""
    process = subprocess.Popen(
        command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if until in line:
            break
    else:
        pytest.fail(f"it never said {until}: {said}")
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=timeout)
    return process.returncode, said + rest


@pytest.fixture(scope="session")
def checkpoints(
    tmp_path_factory: pytest.TempPathFactory, imm_data: Path, ibug_data: Path
) -> dict[str, Path]:
    """A checkpoint each of a small network on drawn IMM and drawn iBUG, hardly trained."""
    import facekp

    made = {}
    small = [
        "model=face_net",
        "model.input_size=[64,64]",
        "augmentation=none",
        "trainer.max_epochs=1",
    ]
    for name, experiment, data, extra in (
        ("imm", "part2", imm_data, ["report=false"]),
        ("ibug", "part3", ibug_data, ["report=false", "dataset.batch_size=8"]),
        ("300w", "part3", ibug_data, ["dataset.batch_size=8", "dataset.split=300w"]),
    ):
        folder = tmp_path_factory.mktemp(name)
        facekp.train(
            composed(
                f"experiment={experiment}", f"data_dir={data}", f"run_dir={folder}", *small, *extra
            )
        )
        made[name] = folder / "checkpoints/best.ckpt"
    return made


@pytest.fixture
def run(tmp_path: Path, imm_data: Path) -> Callable[..., tuple[float, Path]]:
    """Trains the nose net on 18 drawn faces, no report; returns the metric and the run's folder."""
    import facekp

    def _run(name: str, *overrides: str) -> tuple[float, Path]:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        cfg = composed(
            "experiment=part1",
            f"data_dir={imm_data}",
            "dataset.batch_size=5",
            "augmentation=strong",
            "trainer.max_epochs=3",
            "report=false",
            f"run_dir={folder}",
            *overrides,
        )
        return facekp.train(cfg).best, folder

    return _run


@pytest.fixture
def description(checkpoints: dict[str, Path]) -> Any:
    """Description of the network on drawn iBUG."""
    from facekp.models.checkpoint import load_network

    return load_network(checkpoints["ibug"])[1]


@pytest.fixture
def small(imm_data: Path) -> list[str]:
    """Part 1 on a few drawn faces, quickly."""
    return ["experiment=part1", f"data_dir={imm_data}", "trainer.max_epochs=3", "report=false"]


@pytest.fixture
def hurt(ibug_data: Path, tmp_path: Path) -> Path:
    """Drawn faces of which three entries are broken, and one has its sides exchanged."""
    from facekp.core.landmarks import IBUG68

    source, folder = next(ibug_data.iterdir()), tmp_path / next(ibug_data.iterdir()).name
    shutil.copytree(source, folder)
    xml = folder / "labels_ibug_300W_train.xml"
    entries = xml.read_text().split("  <image ")
    names = [entry.split('"')[1] for entry in entries[1:]]
    (folder / names[0]).unlink()
    image = folder / names[2]
    image.write_bytes(image.read_bytes()[:2000])
    entries[5] = entries[5].replace("<part name='07'", "<part name='68'")
    points = entries[7].split("<part name='")
    partners = IBUG68.flip_indices
    swapped = [f"{partners[int(point[:2])]:02d}{point[2:]}" for point in points[1:]]
    entries[7] = "<part name='".join([points[0], *swapped])
    xml.write_text("  <image ".join(entries))
    return tmp_path
