"""Whether all of it works on this machine's GPU: `make gpu-check`.

    python -m benchmarks.gpu [--device cpu] [--if-any] [--short] [--output FOLDER] [STEP ...]

Each check is a line with pass or fail and its figure; after a failure the rest continues.
`FOLDER/checks.json` holds the same, and the runs lie beside it. The reference is this machine's
CPU. `--device cpu` compares the CPU with itself, to try the program where there is no GPU, and
`--short` uses less data. Data: `FACEKP_DATA_DIR`, else drawn faces.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
import torch

import facekp
from benchmarks.common import ROOT, data_source, machine, run_python
from benchmarks.training import epoch_times
from facekp.core.files import atomic_write_text
from facekp.core.progress import format_duration
from facekp.core.run_folder import BEST, LAST, REPORT, RESULTS

PARTS = "part1", "part2", "part3"
FEW_PEOPLE = ["dataset.people=10", "dataset.val_people=[9,10]"]


@dataclass(frozen=True)
class Check:
    """One line of the result.

    Args:
        step: of the program.
        name: what is checked.
        passed: None: a figure for information.
        figure: what was measured, in words.
    """

    step: str
    name: str
    passed: bool | None
    figure: str


@dataclass
class Checker:
    """Runs trainings on a device, and collects checks.

    Args:
        device: `cuda` or `cpu`.
        folder: of the runs.
        short: less data, a smaller input.
    """

    device: str
    folder: Path
    short: bool
    step: str = ""
    checks: list[Check] = field(default_factory=list)

    @property
    def on_device(self) -> str:
        """The override that trains on the device."""
        return f"trainer.gpus={int(self.device == 'cuda')}"

    def say(self, name: str, figure: object, passed: bool | None = None) -> None:
        """Add a check, and print it."""
        check = Check(self.step, name, passed, str(figure))
        self.checks.append(check)
        word = {True: "pass", False: "FAIL", None: "    "}[passed]
        print(f"{word}  {self.step:<12} {name}: {check.figure}", flush=True)

    def at_most(self, name: str, value: float, limit: float) -> None:
        """Check a figure against its limit."""
        self.say(name, f"{value:.3g} (at most {limit:g})", value <= limit)

    def settings(self, experiment: str, drawn: bool = False) -> list[str]:
        """Overrides of a quick training; later ones take precedence."""
        source = "ibug" if experiment.startswith("part3") else "imm"
        settings = [f"experiment={experiment}", "trainer.max_epochs=2"]
        if self.short or drawn:
            settings.append(f"dataset=synthetic_{source}")
        else:
            settings += data_source(experiment)
        if self.short:
            settings += ["dataset.count=24"] if source == "ibug" else FEW_PEOPLE
        if experiment == "part3":  # the whole batch is a step of its own, on the device
            settings += ["dataset.batch_size=16", "+trainer.limit_train_batches=8"]
            settings += ["model.input_size=[64,64]"] if self.short else []
        return settings

    def train(self, name: str, *overrides: str) -> Path:
        """Train, and return the run's folder."""
        folder = self.folder / name
        run_python("train.py", f"hydra.run.dir={folder}", *overrides)
        return folder


@contextmanager
def checked(checker: Checker, name: str) -> Iterator[None]:
    """Turn an error into a failed check, so that the rest continues."""
    try:
        yield
    except (Exception, SystemExit) as error:
        checker.say(name, "\n".join(str(error).splitlines()[-8:]), False)


def history(run: Path) -> pd.DataFrame:
    """One row per epoch of a run, without its speed."""
    return pd.read_csv(run / "metrics.csv").drop(columns="images_per_second")


def results(run: Path) -> dict[str, float]:
    """`results.json`."""
    return json.loads((run / RESULTS).read_text(encoding="utf-8"))


def largest_difference(first: Path, second: Path) -> float:
    """Of the losses of two runs, relative."""
    losses = [history(run)[["train/loss", "val/loss"]].to_numpy() for run in (first, second)]
    return float(np.abs(losses[0] / losses[1] - 1).max())


def same_weights(first: Path, second: Path) -> bool:
    """Whether two runs ended with the same weights, to the bit."""
    states = [
        torch.load(run / LAST, map_location="cpu", weights_only=True)["state_dict"]
        for run in (first, second)
    ]
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def check_parts(checker: Checker) -> None:
    """Losses, files and points of each part, beside those of the CPU."""
    for part in PARTS:
        with checked(checker, part):
            _check_part(checker, part)


def _check_part(checker: Checker, part: str) -> None:
    overrides = checker.settings(part)
    run = checker.train(f"{part}_device", *overrides, checker.on_device)
    reference = checker.train(f"{part}_cpu", *overrides, "trainer.gpus=0")
    difference = largest_difference(run, reference)
    checker.at_most(f"{part}, losses against the CPU's, relative", difference, 1e-3)
    names = [REPORT, "pictures/loss.png", "pictures/worst.jpg", RESULTS, "errors.csv"]
    missing = [name for name in names if not (run / name).is_file()]
    missing += [] if any((run / "tensorboard").rglob("events*")) else ["tensorboard"]
    checker.say(f"{part}, files", ", ".join(missing) or "all there", not missing)
    check_points(checker, part, run / BEST)
    figures = [evaluated(checker, run, device) for device in (checker.device, "cpu")]
    difference = abs(figures[0] - figures[1])
    checker.at_most(f"{part}, MAE of task=evaluate against the CPU's, px", difference, 0.05)


def check_points(checker: Checker, part: str, checkpoint: Path) -> None:
    """Points of one checkpoint on the device and on the CPU."""
    height, width = 480, 640
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (height // 16, width // 16, 3), dtype=np.uint8)
    photo = np.kron(small, np.ones((16, 16, 1), dtype=np.uint8))
    boxes = np.array([[100.0, 60, 420, 400], [250, 100, 600, 450], [20, 20, 200, 230]])
    points = []
    for device in (checker.device, "cpu"):
        predictor = facekp.Predictor.load(str(checkpoint), device=device)
        points.append(np.stack([face.keypoints for face in predictor(photo, boxes=boxes)]))
    difference = float(np.abs(points[0] - points[1]).max())
    checker.at_most(f"{part}, points against the CPU's, px", difference, 0.05)


def evaluated(checker: Checker, run: Path, device: str) -> float:
    """MAE of `task=evaluate` on a device."""
    output = checker.folder / f"{run.name}_on_{device}"
    run_python(
        "predict.py", "task=evaluate", f"ckpt_path={run / BEST}", f"device={device}",
        f"output={output}", f"hydra.run.dir={output}",
    )  # fmt: skip
    return float(pd.read_csv(output / "metrics.csv")["mae_px"].iloc[0])  # the network's


def check_determinism(checker: Checker) -> None:
    """The same run twice, and stopped and resumed."""
    for experiment in ("part1", "part2_240x320_blur"):
        overrides = [*checker.settings(experiment), checker.on_device, "report=false"]
        if "blur" in experiment and not checker.short:
            overrides.append("dataset.batch_size=16")
        whole = checker.train(f"{experiment}_whole", *overrides)
        again = checker.train(f"{experiment}_again", *overrides)
        part = checker.train(f"{experiment}_part", *overrides, "trainer.max_epochs=1")
        run_python("train.py", f"resume={part}", "trainer.max_epochs=2")
        # A blur-pool's backward pass has no deterministic form on a GPU.
        promised = "blur" not in experiment or checker.device == "cpu"
        for name, other in (("twice", again), ("resumed", part)):
            same = same_weights(whole, other)
            figure = "equal to the bit"
            if not same:
                figure = f"losses differ by {largest_difference(whole, other):.2g}, relative"
            checker.say(f"{experiment}, {name}", figure, same if promised else None)


def check_modes(checker: Checker) -> None:
    """Precisions, compilation, averages, clipping, accumulation, distillation."""
    overrides = [*checker.settings("part2", drawn=True), checker.on_device, "report=false"]
    overrides.append("trainer.max_epochs=1")
    reference = checker.train("modes_float32", *overrides)
    before = float(history(reference)["train/loss"].iloc[0])
    modes = {
        "bf16-mixed": ["trainer.precision=bf16-mixed"],
        "16-mixed": ["trainer.precision=16-mixed"],
        "compile": ["trainer.compile=true"],
        "ema": ["callbacks=[default,ema]"],
        "clipping": ["trainer.gradient_clip_val=1"],
        "accumulation": ["trainer.accumulate_grad_batches=2"],
        "distillation": [f"teacher={reference / BEST}"],
        "auto": ["trainer.precision=auto"],
    }
    if checker.device == "cpu":
        del modes["16-mixed"]
    if checker.short:
        del modes["compile"]
    for name, settings in modes.items():
        with checked(checker, name):
            run = checker.train(f"modes_{name}", *overrides, *settings)
            loss = float(history(run)["train/loss"].iloc[0])
            text = f"loss of an epoch {loss:.4g}, {before:.4g} in float32"
            checker.say(name, text, math.isfinite(loss) and 0.5 < loss / before < 2)


def check_sweep(checker: Checker) -> None:
    """Eight jobs by `hydra/launcher=gpus` and one after another; two sweeps at once."""
    count = 2 if checker.short else 8
    seeds = "seed=" + ",".join(map(str, range(count)))
    overrides = [*checker.settings("part1", drawn=True), checker.on_device, "report=false"]
    command = ["-m", *overrides, seeds]

    def sweep(name: str, *settings: str) -> pd.DataFrame:
        folder = checker.folder / name
        subprocess.run(
            [sys.executable, "train.py", *command, *settings, f"hydra.sweep.dir={folder}"],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        return pd.read_csv(folder / "sweep.csv").set_index("job").sort_index()

    tables = {}
    for launcher in ("basic", "gpus"):
        started = perf_counter()
        tables[launcher] = sweep(f"sweep_{launcher}", f"hydra/launcher={launcher}")
        rate = 60 * count / (perf_counter() - started)
        done = int((tables[launcher]["status"] == "done").sum())
        checker.say(f"launcher={launcher}", f"{done} jobs done, {rate:.1f} a minute", done == count)
    same = tables["basic"]["best"].equals(tables["gpus"]["best"])
    checker.say("figures of both", "equal" if same else "differ", same)
    with ThreadPoolExecutor() as pool:
        names = ("sweep_left", "sweep_right")
        both = list(pool.map(lambda name: sweep(name, "hydra/launcher=gpus"), names))
    errors = [text for table in both if "error" in table for text in table["error"].dropna()]
    foreign = [text for text in errors if "taken by other jobs" not in text]
    done = sum(int((table["status"] == "done").sum()) for table in both)
    text = f"{done} of {2 * count} jobs done, {len(errors)} refused as the GPUs are taken"
    checker.say("two sweeps at once", "; ".join(foreign) or text, not foreign and done >= count)


def check_ddp(checker: Checker) -> None:
    """Metrics of one network on one and on two devices."""
    several = checker.device == "cuda" and torch.cuda.device_count() > 1
    overrides = [*checker.settings("part1", drawn=True), "report=false", "model.optimizer.lr=0"]
    tables = []
    for count in (1, 2):
        devices = [f"trainer.gpus={count}"]
        if not several:
            devices = ["trainer.gpus=0", f"trainer.cpus={count}"]
        run = checker.train(f"ddp_{count}", *overrides, "trainer=ddp", *devices)
        tables.append(history(run).filter(like="val/").drop(columns="val/loss").to_numpy())
    difference = float((np.abs(tables[0] - tables[1]) / np.maximum(tables[1], 1e-9)).max())
    where = "GPUs" if several else "processes on the CPU, by gloo"
    checker.at_most(f"metrics on two {where}, relative", difference, 1e-6)


def check_speed(checker: Checker) -> None:
    """Part 3 at batch 512 in bfloat16: its speed against the ceiling, and its memory."""
    overrides = [*checker.settings("part3"), checker.on_device, "trainer.limit_train_batches=1.0"]
    if checker.device == "cuda":
        overrides += ["dataset.batch_size=512", "trainer.precision=bf16-mixed"]
        overrides += ["dataset.num_workers=16", "model.input_size=[224,224]"]
        overrides += ["dataset.count=1024"] if "dataset=synthetic_ibug" in overrides else []
    folder = checker.folder / "speed"
    folder.mkdir()
    times = epoch_times(folder, "part3", overrides, epochs=3 if checker.short else 5)
    middle = times.median()
    checker.say("images/s", f"{middle['images'] / middle['training']:.0f}")
    checker.say("images/s of the ceiling", f"{middle['images'] / middle['training_ceiling']:.0f}")
    share = float((times["training_ceiling"] / times["training"]).median())
    # On a CPU this tries the program, not the machine.
    passed = share >= 0.9 if checker.device == "cuda" else None
    checker.say("facekp/ceiling", f"{share:.2f} (at least 0.90)", passed)
    checker.say("100 epochs", format_duration(100 * middle["epoch"]))
    checker.say("memory", f"{results(folder / 'run')['peak_bytes'] / 1e9:.1f} GB")


def check_best(checker: Checker) -> None:
    """The beginning of `make best` and, resumed, what comes next: its speed and memory."""
    overrides = [*checker.settings("part3_medium"), checker.on_device]
    epochs = int(facekp.compose("experiment=part3_medium").trainer.max_epochs)
    overrides += [f"trainer.max_epochs={epochs}"]
    if checker.short:
        overrides += ["model.input_size=[64,64]"]
    seconds = 10 if checker.short else 45
    run = checker.train("best_medium", *overrides, f"+trainer.max_time=00:00:00:{seconds}")
    done = len(history(run))
    run_python("train.py", f"resume={run}", f"++trainer.max_time=00:00:00:{2 * seconds}")
    after = len(history(run))
    checker.say("stopped and resumed", f"{done} and {after - done} epochs", 0 < done < after)
    checker.say(f"{epochs} epochs", format_duration(epochs * 2 * seconds / after))
    checker.say("memory", f"{results(run)['peak_bytes'] / 1e9:.1f} GB")


def check_memory(checker: Checker) -> None:
    """A batch that does not fit: the one that is named instead fits."""
    overrides = ["experiment=part3", "dataset=synthetic_ibug", "report=false"]
    overrides += ["model.input_size=[1536,1536]", "trainer.max_epochs=1", checker.on_device]
    try:
        checker.train("too_large", *overrides)
    except SystemExit as error:
        message = str(error).splitlines()[-1]
    else:
        checker.say("part 3 at 1536 px", "fits this machine")
        return
    words = [word for word in message.split() if word.startswith("dataset.batch_size=")]
    if not checker.short and len(words) > 1:
        checker.train("fitting", *overrides, words[-1], "+trainer.limit_train_batches=1")
    checker.say("the batch that fits", message, len(words) > 1)


STEPS: dict[str, Callable[[Checker], None]] = {
    "parts": check_parts,
    "determinism": check_determinism,
    "modes": check_modes,
    "sweep": check_sweep,
    "ddp": check_ddp,
    "speed": check_speed,
    "best": check_best,
    "memory": check_memory,
}


def run(checker: Checker, steps: Sequence[str]) -> bool:
    """Run some steps, write `checks.json`, and say whether nothing failed."""
    started = perf_counter()
    for name in steps:
        checker.step = name
        begun = perf_counter()
        with checked(checker, "ended early"):
            STEPS[name](checker)
        checker.say("took", format_duration(perf_counter() - begun))
        device = torch.cuda.get_device_name() if checker.device == "cuda" else "cpu"
        content = {
            "device": device,
            "machine": machine(),
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "facekp": facekp.__version__,
            "seconds": perf_counter() - started,
            "checks": [asdict(check) for check in checker.checks],
        }
        atomic_write_text(checker.folder / "checks.json", json.dumps(content, indent=2))
    failed = [check for check in checker.checks if check.passed is False]
    passed = sum(check.passed is True for check in checker.checks)
    print(f"\n{passed} passed, {len(failed)} failed on {device}: {checker.folder / 'checks.json'}")
    return not failed


def main() -> None:
    """Check and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--if-any", action="store_true", help="without a GPU exit with 0")
    parser.add_argument("--short", action="store_true", help="drawn faces, and few of them")
    parser.add_argument("--output", type=Path, default=ROOT / "runs/gpu_check")
    parser.add_argument("steps", nargs="*", metavar="STEP", help=", ".join(STEPS))
    arguments = parser.parse_args()
    unknown = [name for name in arguments.steps if name not in STEPS]
    if unknown:
        parser.error(f"{', '.join(unknown)}: choose of {', '.join(STEPS)}")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("there is no CUDA GPU here: nothing was checked (--device cpu tries the program)")
        sys.exit(0 if arguments.if_any else 1)
    shutil.rmtree(arguments.output, ignore_errors=True)
    arguments.output.mkdir(parents=True)
    checker = Checker(arguments.device, arguments.output.resolve(), arguments.short)
    sys.exit(0 if run(checker, arguments.steps or list(STEPS)) else 1)


if __name__ == "__main__":
    main()
