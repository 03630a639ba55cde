"""Learning from a teacher."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import facekp
from facekp.core.errors import ConfigError
from tests.conftest import composed
from tests.data.formats.helpers import image
from tests.helpers import Run


def test_a_teacher_counts_as_much_as_the_labels(run: Run) -> None:
    best = run("teacher")[1] / "checkpoints/best.ckpt"
    still = [
        "trainer.max_epochs=1", "model.optimizer.lr=0", f"init_from={best}", "augmentation=none",
    ]  # fmt: skip
    alone, with_itself = (
        pd.read_csv(run(name, *still, *more)[1] / "metrics.csv")["train/loss"].iloc[0]
        for name, more in (("alone", []), ("taught", [f"teacher={best}"]))
    )
    assert with_itself == pytest.approx(alone / 4, rel=1e-4)  # half the error, squared


def test_a_teacher_sees_in_its_own_size_and_a_resume_needs_it(run: Run) -> None:
    teacher = run("teacher", "trainer.max_epochs=1")[1] / "checkpoints/best.ckpt"
    settings = [
        "model.input_size=[120,160]",
        "trainer.precision=bf16-mixed",
        "trainer.max_epochs=1",
    ]
    folder = run("pupil", *settings, f"teacher={teacher}")[1]
    assert np.isfinite(pd.read_csv(folder / "metrics.csv")["train/loss"]).all()
    last = folder / "checkpoints/last.ckpt"
    with pytest.raises(ConfigError, match=r"teacher=None \(was "):
        run("pupil", *settings, f"ckpt_path={last}")


@pytest.mark.parametrize(
    ("setting", "message"),
    [("teacher=ibug68", "trained with landmarks=ibug68, here it is imm58; use the same"),
     ("dataset.points=[0]", r"dataset.points=\[52\], here it is \[0\]"),
     ("model.in_channels=3", "model.in_channels=1, here it is 3"),
     ("dataset.square=true", "dataset.square=False, here it is True"),
     ("model.input_size=[60,60]", r"its input \[60, 80\] has another aspect ratio")],
)  # fmt: skip
def test_a_teacher_of_something_else_is_refused(run: Run, setting: str, message: str) -> None:
    teacher = run("teacher", "trainer.max_epochs=1")[1] / "checkpoints/best.ckpt"
    with pytest.raises(ConfigError, match=message):
        run("pupil", f"teacher={teacher}", setting)


def test_a_teacher_of_the_same_points_in_another_order_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Own data sets of three points share a name; their weights are taken, and it is said."""
    made = {}
    for name, heads in (("a", ["eye", "nose", "ear"]), ("b", ["nose", "eye", "ear"])):
        heading = ",".join(f"{head}_{axis}" for head in heads for axis in "xy")
        rows = [f"{at}.jpg,60,30,30,{30 + at},45,60" for at in range(6)]
        for at in range(6):
            image(tmp_path / f"{at}.jpg")
        (tmp_path / f"{name}.csv").write_text("\n".join([f"file,{heading}", *rows]))
        made[name] = [
            "dataset=annotations", f"dataset.train={tmp_path / name}.csv", "trainer.max_epochs=1",
            "model.input_size=[32,32]", "model.widths=[16,16]", "model.blocks=[1,1]", "report=false",
            f"run_dir={tmp_path / name}",
        ]  # fmt: skip
    best = facekp.train(composed(*made["a"])).best_ckpt
    with pytest.raises(ConfigError, match="trained with landmarks=eye, nose, ear, here it is nose"):
        facekp.train(composed(*made["b"], f"teacher={best}"))
    with caplog.at_level("WARNING"):
        facekp.train(composed(*made["b"], f"init_from={best}"))
    assert "others, or in another order (eye, nose, ear, ...; here nose, eye, ear" in caplog.text
