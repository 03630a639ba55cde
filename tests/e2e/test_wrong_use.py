"""Typing errors are answered in one clear line, before anything is done."""

from __future__ import annotations

import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from tests.conftest import ROOT


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    """What a program ends with when it is called with some arguments."""

    def _said(program: str, *arguments: str) -> str:
        GlobalHydra.instance().clear()
        monkeypatch.setattr(sys, "argv", [program, f"runs_dir={tmp_path / 'runs'}", *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / program), run_name="__main__")
        GlobalHydra.instance().clear()
        HydraConfig.instance().cfg = None  # else later tests seem to run inside a program
        return str(ended.value)

    return _said


TRAIN = [
    ("experiment=part9", "experiment=part9: there is no such file in conf/; choose one of 300w_best, "),
    ("model/loss=l7", "model/loss=l7: there is no such file in conf/; choose one of l1, mse, "),
    ("dataset.batch_sise=3", "dataset.batch_sise: there is no such setting here; did you mean dataset.batch_size"),
    ("modle.optimizer.lr=1", "did you mean model.optimizer.lr"),
    ("xyz=1", "xyz: there is no such setting here; +xyz=... would add it"),
    ("dataset.label_shift=1", "dataset.label_shift: there is no such setting here; dataset=ibug has it"),
    ("detector=dlib", "detector: there is no such setting here; predict.py has it"),
    ("detector.upsample=2", "detector.upsample: there is no such setting here; predict.py has it"),
    ("init_from=ibug68_int8", "ibug68_int8: only predicts, on the CPU; give a checkpoint, or one of ibug68"),
    ("model.optimizer.lr=[1", "model.optimizer.lr=[1: cannot be read"),
    ("model.optimizer.lr=1,2", "a sweep needs -m"),
    ("model.optimizer.lr=-1", "model.optimizer.lr=-1: give a number at least 0"),
    ("model.optimizer.lr=fast", "model.optimizer.lr=fast: give a number at least 0"),
    ("threshold=nan", "threshold=nan: give a number above 0"),
    ("seed=-1", "seed=-1: give a whole number, at least 0"),
    ("dataset.batch_size=0", "dataset.batch_size=0: give a whole number, at least 1"),
    ("dataset.fold=6/5", "dataset.fold=6/5: give K/N, e.g. 1/5, the first of five folds"),
    ("dataset.batch_size=2.5", "dataset.batch_size=2.5: give a whole number, at least 1"),
    ("dataset.num_workers=-1", "dataset.num_workers=-1: give a whole number, at least 0"),
    ("trainer.max_epochs=many", "trainer.max_epochs=many: give a whole number, at least 1"),
    ("dataset.points=3", "dataset.points=3: give a list of whole numbers, e.g. [36,45]"),
    ("dataset.points=[nose]", "dataset.points=['nose']: give a list of whole numbers"),
    ("model.input_size=64", "model.input_size=64: give a list of two whole numbers, e.g. [128,128]"),
    ("init_from=no.ckpt", "init_from=no.ckpt: there is no such file; or give one of ibug68"),
    ("init_from=5", "init_from=5: there is no such file; or give one of ibug68"),
    ("teacher=no.ckpt", "teacher=no.ckpt: there is no such file; or give one of ibug68"),
    ("model.kernel_sizes=abc", "model.kernel_sizes=abc: give a whole number, or a list of them"),
    ("trainer.gpus=9", "trainer.gpus=9: there are 0 CUDA GPUs"),
    ("trainer.check_val_every_n_epoch=999", "none of trainer.max_epochs=50 would be validated"),
    ("data_dir=nowhere", "nowhere/imm_face_db: the data set is not here"),
    ("ckpt_path=no.ckpt", "there is no such file"),
    ("resume=nowhere", "not the folder of a run"),
    ("trainer.max_epochs=null", "trainer.max_epochs=None: give a whole number, at least 1"),
    ("trainer=null", "trainer"),
    ("model=null", "model"),
    ("~trainer", "error: trainer."),
    ("callbacks=null", "callbacks=null"),
    ("callbacks=[default,foo]", "callbacks=foo: there is no such file in conf/; choose one of default, early_"),
    ("hydra.sweeper.n_trials=2", "hydra.sweeper.n_trials=2: a sweep or search needs -m"),
    ("++hydra.sweep.dir=x", "++hydra.sweep.dir=x: a sweep or search needs -m"),
    ("hydra.jobs=x", "hydra.jobs: there is no such setting here; --cfg hydra shows those of Hydra"),
    ("model.optimizer.lr=${foo}", "'foo' not found"),
    ("name=${foo}", "'foo' not found"),
    ("data_dir=${oc.env:NOPE}", "NOPE"),
    ("hydra.run.dir=/proc/x", "/proc/x"),
    ("dataset.square=no", "dataset.square=no: give true or false"),
    ("model.input_size=[60000,80000]", "at most 4096 per side"),
    ("dataset.num_workers=4096", "dataset.num_workers=4096: there are"),
    ("name=a/b", "no slash can be in it"),
    ("dataset=annotations", "dataset.train= is missing: give a file or folder of annotations"),
    ("dataset.test_fraction=-1", "dataset.test_fraction"),
]  # fmt: skip


@pytest.mark.parametrize(("argument", "message"), TRAIN)
def test_train(
    said: Callable[..., str], imm_data: Path, tmp_path: Path, argument: str, message: str
) -> None:
    start = time.perf_counter()
    line = said("train.py", "experiment=part1", f"data_dir={imm_data}", argument)
    assert line.startswith("error: ")
    assert message in line
    assert "\n" not in line
    assert time.perf_counter() - start < 3
    assert not (tmp_path / "runs").exists()  # a refused start leaves nothing


@pytest.mark.parametrize("program", ["train.py", "predict.py"])
def test_a_refused_start_deletes_nothing_of_the_user_s(
    said: Callable[..., str], tmp_path: Path, program: str
) -> None:
    folder = tmp_path / "mine"
    (folder / ".hydra").mkdir(parents=True)
    mine = [folder / "train.log", folder / "predict.log", folder / ".hydra/notes.txt"]
    for file in mine:
        file.write_text("mine")
    wrong = "dataset.batch_size=0" if program == "train.py" else "input=nowhere.jpg"
    said(program, f"hydra.run.dir={folder}", wrong)
    assert all(file.read_text().startswith("mine") for file in mine)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("model.optimizer.lr=1e-3,fast", "model.optimizer.lr=fast: give a number at least 0"),
        (
            "model=nose_net,nope",
            "model=nope: there is no such file in conf/; choose one of face_net, face_net_240x320, "
            "heatmap_net, heatmap_net_small, heatmap_net_tiny, nose_net, nose_net_240x320, resnet18",
        ),
        (
            "model.kernel_sizes=3,[5,5]",
            "model (ConvNet): kernel_sizes=[5, 5]: 3 convolutions need 3 numbers, or one for all",
        ),
        (
            "model.kernel_sizes=3,-3",
            "model (ConvNet): Trying to create tensor with negative dimension -3: [12, 1, -3, -3]",
        ),
        (
            "model.input_size=[]",
            "model.input_size=[]: give a list of two whole numbers, e.g. [128,128]",
        ),
        (
            "model.optimizer.lr=interval(0,1)",
            "model.optimizer.lr=interval(0,1): an interval needs hydra/sweeper=optuna",
        ),
        (
            "trainer.gpus=0,1",
            "trainer.gpus=1: there are 0 CUDA GPUs here; trainer.gpus=0 trains on the CPU",
        ),
        (
            "trainer.cpus=2",
            "trainer.gpus=0, cpus=2 in a sweep: a run on several devices starts its own command again, "
            "which a sweeper would take for another job; use one device per job",
        ),
        ("trainer.max_epochs=two", "trainer.max_epochs=two: give a whole number, at least 1"),
        ("trainer.max_epochs=range(0,99)", "trainer.max_epochs=0: give a whole number, at least 1"),
    ],
)
def test_a_value_that_no_job_can_have_stops_a_sweep_before_its_first_job(
    said: Callable[..., str],
    imm_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
    message: str,
) -> None:
    monkeypatch.setattr("facekp.cli.validation.may_have_gpu", lambda: False)
    swept = ["seed=0,1", wrong, "dataset.batch_size=4,8"]
    line = said(
        "train.py", "hydra.mode=MULTIRUN", "experiment=part1,part2", f"data_dir={imm_data}", *swept
    )
    assert line == f"error: {message}"
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("trainer.max_epochs=two", "trainer.max_epochs=two: give a whole number, at least 1"),
        ("model.optimizer.lr=interval(-1,1)", "model.optimizer.lr=-1.0: give a number at least 0"),
        ("+hydra.sweeper.params.seed='choice(1,x)'", "seed=x: give a whole number, at least 0"),
        ("hydra.sweeper.n_trials=0", "hydra.sweeper.n_trials=0: at least 1 is needed"),
        (
            "hydra.sweeper.n_trials=x",
            "hydra.sweeper.n_trials=x: Value 'x' of type 'str' could not be converted to Integer",
        ),
    ],
)
def test_a_value_that_no_trial_can_have_makes_no_study(
    said: Callable[..., str], imm_data: Path, tmp_path: Path, wrong: str, message: str
) -> None:
    pytest.importorskip("optuna")
    search = ["hydra.mode=MULTIRUN", "hydra/sweeper=optuna", "experiment=part1", "+search=part1"]
    assert said("train.py", *search, f"data_dir={imm_data}", wrong) == f"error: {message}"
    assert not (tmp_path / "runs").exists()


PREDICT = [
    (
        "task=dance",
        "task=dance: there is no such file in conf/; choose one of annotate, camera, check_data, ",
    ),
    ("photo.jpg", "photo.jpg: no such file, and no setting (name=value)"),
    ("0", "0: no such file, and no setting (name=value); for a camera use task=camera"),
    ("inputs=a.jpg", "inputs: there is no such setting here; did you mean input"),
    ("input=nowhere.jpg", "nowhere.jpg: there is no such file or folder"),
    ("input=0", "input=0: no such file; for a camera use task=camera"),
    ("input=https://example.org/a.jpg", "an address; download the file first"),
    ("input=rtsp://example.org/1", "a stream; record a part of it as a video file"),
    ("input=/dev/video7", "no such camera here; task=camera shows a camera's picture"),
    ("input=/dev/null", "input=/dev/null: a device, no photo or video"),
    ("input=conf/task", "no photo or video in this folder"),
    ("task=compare", "runs= is missing"),
    ("runs=A,B", "a list is runs=[A,B]"),
    ("plugins=3", "plugins=3: give a list of packages, e.g. [my_package]"),
    ("+task.foo=1", "got an unexpected keyword argument 'foo'"),
    ("boxes=5", "boxes=5: give a file"),
    ("boxes=[a,b]", "boxes=['a', 'b']: give a file"),
    ("+detector.tiny=true", "detector.tiny: exists already, write it without +"),
    ("trainer.gpus=1", "trainer.gpus: there is no such setting here; train.py has it"),
    ("dataset.train=x", "dataset.train: this task has no such setting; task=annotate and"),
    ("ckpt_path=nowhere.ckpt", "nowhere.ckpt: no such checkpoint"),
    (
        "ckpt_path=null",
        "None: not a checkpoint; give a file, or one of ibug68, ibug68_best, ibug68_large, ibug68_medium",
    ),
    ("flip_test=perhaps", "flip_test=perhaps: give true or false"),
    ("tta_passes=0", "tta_passes=0: give a whole number, at least 1"),
    ("tta_passes=7", "tta_passes=7: at most 6"),
    ("ckpt_path=ibug68_bets", "or one of ibug68, ibug68_best, ibug68_large, ibug68_medium"),
    ("batch_size=0", "batch_size=0: give a whole number, at least 1"),
    ("device=cuda:7", "device=cuda:7"),
    ("device=gpu", "device=gpu: choose cpu, cuda, or mps on a Mac"),
    ("every=0", "every=0: give a whole number, at least 1"),
    ("start=null", "start=None: give seconds from the beginning"),
    ("output=/proc/faces", "output=/proc/faces: "),
    ("boxes=nowhere.csv", "nowhere.csv: cannot be read"),
    ("format=cocoa", "format=cocoa: choose one of coco, dlib, pts, csv"),
    (
        "dataset=annotations",
        "dataset: this task has no such setting; task=annotate and task=check_data and",
    ),
    ("experiment=part1", "experiment: there is no such setting here; train.py has it"),
]


ANNOTATE = [
    ("points=nowhere.json", "nowhere.json: "),
    ("points=pyproject.toml", "its format is not recognised"),
    ("port=http", "port=http: give a whole number from 0 to 65535"),
    ("idle=0", "idle=0: give seconds above 0, or null"),
    ("boxes=faces.csv", "boxes: this task has no such setting; task=predict has it"),
    ("browser=firefox", "browser=firefox: give true or false"),
    ("format=cocoa", "format=cocoa: choose one of coco, dlib, pts, csv"),
    ("dataset=imm", "input= and dataset= are both given: choose one"),
    ("task=camera smoothing=much", "smoothing=much: give on or off"),
]


@pytest.mark.parametrize(("argument", "message"), ANNOTATE)
def test_annotate(
    said: Callable[..., str], imm_data: Path, tmp_path: Path, argument: str, message: str
) -> None:
    photo = next((imm_data / "imm_face_db").glob("*.jpg"))
    line = said("predict.py", "task=annotate", "browser=false", f"input={photo}", *argument.split())
    assert line.startswith("error: ")
    assert message in line.split("\n")[0]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("argument", "message"), PREDICT)
def test_predict(
    said: Callable[..., str], imm_data: Path, tmp_path: Path, argument: str, message: str
) -> None:
    photo = next((imm_data / "imm_face_db").glob("*.jpg"))
    line = said("predict.py", f"input={photo}", argument)
    assert line.startswith("error: ")
    assert message in line
    assert "\n" not in line
    assert not (tmp_path / "runs").exists()


def test_a_setting_of_a_data_set_that_is_not_chosen(said: Callable[..., str]) -> None:
    line = said("predict.py", "task=evaluate", "dataset.label_shift=0.005")
    assert line.startswith("error: dataset.label_shift: no dataset= is chosen; dataset=ibug has it")


def test_weights_of_two_sources(said: Callable[..., str]) -> None:
    trunk = ["model=heatmap_net", "model.trunk=resnet18", "model.pretrained=true"]
    line = said("train.py", "init_from=ibug68", *trunk)
    assert line.startswith("error: init_from=ibug68 and model.pretrained=true: both say which")


def test_a_link_that_leads_nowhere(said: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    assert "cannot be created" in said("train.py", f"runs_dir={tmp_path / 'link'}")


@pytest.mark.parametrize("text", ["", "{", "- [1]", "a: b"])
def test_a_run_that_does_not_say_what_it_was(
    said: Callable[..., str], tmp_path: Path, text: str
) -> None:
    for name in ("multirun.yaml", ".hydra/overrides.yaml"):
        (tmp_path / ".hydra").mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        line = said("train.py", f"resume={tmp_path}")
        assert "does not record the command line" in line
        (tmp_path / name).unlink()


def test_output_that_cannot_be_written(said: Callable[..., str]) -> None:
    assert "cannot be created" in said("train.py", "runs_dir=/proc/runs")
