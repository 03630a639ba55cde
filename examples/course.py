"""The whole hand-in of the course as one page.

    python examples/course.py [--photos FOLDER] [--output runs/course] [setting=value ...]

Trains part 1 (with two learning rates and two kernel sizes), part 2, part 2 with max-pool and with
blur-pool, and the short part 3. Finished runs are not repeated, so the command can be stopped and
given again; with other settings it needs another output folder. The data is that of
`FACEKP_DATA_DIR` (or data_dir=); data sets that are not there are drawn. Photos of one's own get
their points, and a morph.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pandas as pd
import yaml
from omegaconf import DictConfig, OmegaConf

import facekp
from facekp.cli.interrupts import EXIT_CODE
from facekp.cli.quoting import quote
from facekp.core.errors import ConfigError, FacekpError
from facekp.core.run_folder import BEST, LAST, RESULTS
from facekp.data.ibug import IBUGDataModule
from facekp.data.imm import IMMDataModule
from facekp.inference.predictor import Predictor
from facekp.metrics import format_metric
from facekp.tasks.compare import compare
from facekp.tasks.inputs import find_inputs
from facekp.tasks.morph import MorphSettings, morph
from facekp.tasks.predict import predict
from facekp.training.resume import DATA_PLACES, changed_settings
from facekp.visualization.reports.page import Section, photo, row, table, write_page

PHOTO = Path(__file__).resolve().parent.parent / "docs/astronaut.webp"
HYPERPARAMETERS = {
    "part1": [],
    "part1_lr": ["model.optimizer.lr=1e-2"],
    "part1_kernels": ["model.kernel_sizes=3"],
    "part1_both": ["model.optimizer.lr=1e-2", "model.kernel_sizes=3"],
}
SETTINGS = ("seed", "dataset", "model", "trainer")
FREE = (*DATA_PLACES, "trainer.precision")
"""Of these, what leaves a run's figures as they are, or is chosen by the run itself."""
LOSS_AND_FACES = ["loss.png", "best.jpg", "worst.jpg"]
MORPH = MorphSettings((480, 480), None, 25, 1.0, 0.5, "smooth", False, False)


def main() -> None:
    """Make the page that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, default=PHOTO, help="photo or folder (an example)")
    parser.add_argument(
        "--output", type=Path, default=Path("runs/course"), help="folder of the page (runs/course)"
    )
    parser.add_argument("settings", nargs="*", help="of all runs, e.g. trainer.gpus=1")
    arguments = parser.parse_args()
    folder, settings = arguments.output, arguments.settings
    try:
        make_page(folder, arguments.photos, settings)
    except KeyboardInterrupt:
        print(f"\nstopped     {folder}\ncontinue    with the same command", flush=True)
        raise SystemExit(EXIT_CODE) from None


def make_page(folder: Path, photos: Path, settings: Sequence[str]) -> None:
    """Train what is missing, and write `report.html`.

    Args:
        folder: of the page, and of its runs.
        photos: a photo, or a folder of them.
        settings: of all runs.
    """
    files = find_inputs(str(photos))  # not after half an hour
    part1 = {
        name: trained(folder / name, "part1", *settings, *varied)
        for name, varied in HYPERPARAMETERS.items()
    }
    part2 = trained(folder / "part2", "part2", *settings)
    pooling = [
        trained(folder / name, name, *settings) for name in ("part2_240x320", "part2_240x320_blur")
    ]
    part3 = trained(folder / "part3_short", "part3_short", *settings)
    compare(list(map(str, part1.values())), None, str(folder / "hyperparameters"))
    compare(list(map(str, pooling)), None, str(folder / "pooling"))
    predictor = Predictor.load(part3 / BEST)
    predict(predictor, str(photos), None, str(folder / "photos"))
    faces = pd.read_csv(folder / "photos/predictions.csv")
    drawn = [folder / "photos" / n for n in faces["picture"].unique() if not n.endswith(".mp4")]
    text = "The points of part 3's network."
    found = set(faces["file"])
    if without := [file.name for file in files if str(file) not in found]:
        text += f" No face was found in {', '.join(without)}."
    sections = [
        *of_run("Part 1: nose tip", part1["part1"], ["data.jpg", *LOSS_AND_FACES]),
        Section(
            "Part 1: two hyperparameters",
            "Learning rate 1e-3 and 1e-2, kernels as in the course and all 3x3.",
            [
                photo(folder / "hyperparameters/losses.png"),
                table(pd.read_csv(folder / "hyperparameters/settings.csv", dtype=str)),
            ],
        ),
        *of_run(
            "Part 2: all points",
            part2,
            ["train_samples.jpg", *LOSS_AND_FACES, "filters_1.png"],
        ),
        *of_run("Part 3: a larger data set", part3, LOSS_AND_FACES),
        Section("Photos", text, [row(*map(photo, drawn))]),
        Section(
            "Blur-pool beside max-pool",
            "Differences are paired: minus max-pool, on the same faces.",
            [
                photo(folder / "pooling/losses.png"),
                table(rounded(pd.read_csv(folder / "pooling/differences.csv"))),
                photo(folder / "pooling/faces.jpg"),
            ],
        ),
    ]
    if len(drawn) > 1:
        path = morph(Predictor.load(), str(photos), None, "largest", "name", MORPH, str(folder))
        sections.append(Section("Morph", f"The video is {path}.", []))
    cards = {
        name: format_metric("val/mse", figures(run)["val/mse"])
        for name, run in (("part 1, MSE", part1["part1"]), ("part 2, MSE", part2))
    }
    cards["part 3, MAE"] = format_metric("val/mae_px", figures(part3)["val/mae_px"])
    subtitle = "All figures are of validation faces."
    write_page(folder / "report.html", "Facial keypoints", subtitle, "", cards, sections)
    print(f"report      {folder / 'report.html'}")


def trained(folder: Path, experiment: str, *settings: str) -> Path:
    """The folder of a finished run, which is trained, or continued, if it is not.

    Raises:
        ConfigError: it was trained with other settings.
    """
    print(f"\n{folder.name}", flush=True)
    module, drawn = IMMDataModule, "synthetic_imm"
    if experiment.startswith("part3"):
        module, drawn = IBUGDataModule, "synthetic_ibug"
    overrides = [f"experiment={experiment}", *settings, f"run_dir={quote(str(folder))}"]
    named = [setting for setting in settings if setting.startswith(("data_dir=", "dataset="))]
    data = Path(facekp.compose(f"experiment={experiment}", *named).data_dir)
    if not (data / module.info.folder_name).is_dir() and not any("dataset=" in n for n in named):
        print(f"{module.info.folder_name} is not in {data}: drawn faces in its place")
        overrides.append(f"dataset={drawn}")
    if (folder / RESULTS).exists():
        check_settings(folder, facekp.compose(*overrides))
        return folder
    if (folder / LAST).exists():
        overrides.append(f"ckpt_path={quote(str(folder / LAST))}")
    facekp.train(facekp.compose(*overrides))
    return folder


def check_settings(folder: Path, config: DictConfig) -> None:
    """Refuse a finished run that was trained with other settings, as its figures are others."""
    before = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    now = cast("dict[str, Any]", OmegaConf.to_container(config, resolve=True))
    changed = changed_settings(before, now, SETTINGS, FREE)
    if changed:
        differences = [f"{key}={old} (now {new})" for key, (old, new) in changed.items()]
        raise ConfigError(
            f"{folder} was trained with {', '.join(differences[:5])}; give another --output, or "
            "remove that folder"
        )


def figures(run: Path) -> dict[str, Any]:
    """Content of a run's `results.json`."""
    return json.loads((run / RESULTS).read_text(encoding="utf-8"))


def of_run(title: str, run: Path, pictures: Sequence[str]) -> list[Section]:
    """Sections on a run: its figures, some of its pictures, its layers."""
    found = figures(run)
    names = [name for name in ("val/mse", "val/mae_px", "val/nme_interocular") if name in found]
    shown = ", ".join(f"{name} {format_metric(name, found[name])}" for name in names)
    parts = [photo(run / "pictures" / name, name) for name in pictures]
    layers = table(pd.read_csv(run / "pictures/layers.csv"))
    text = f"{found['command'] or run.name}; epoch {found['epoch'] + 1:.0f}: {shown}"
    network = f"{title.partition(':')[0]}: network"
    return [Section(title, text, parts), Section(network, "One row per layer.", [layers])]


def rounded(frame: pd.DataFrame) -> pd.DataFrame:
    """A table with three digits."""
    return frame.map(lambda cell: f"{cell:.3g}" if isinstance(cell, float) else cell)


if __name__ == "__main__":
    try:
        main()
    except FacekpError as error:
        raise SystemExit(f"error: {error}") from None
