"""Checkpoints of strangers: validated before anything is built."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from facekp.core.errors import ConfigError, DataError, FacekpError
from facekp.inference.predictor import Predictor
from tests.conftest import composed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c["facekp"]["crop"].update(size=[0, 0]),
            r"a\.ckpt: its description is not valid: crop",
        ),
        (
            lambda c: c["facekp"]["crop"].update(size=[32, 32]),
            r"a crop of \[32, 32\] for an input of",
        ),
        (lambda c: c["facekp"]["crop"].update(box_scale=0), r"a\.ckpt: its description is not"),
        (lambda c: c["facekp"]["crop"].update(channels=3), "other channels"),
        (lambda c: c["facekp"].update(points=[*range(67), 99]), "description is not valid"),
        (lambda c: c["facekp"].pop("box_prior"), "box_prior is missing"),
        (lambda c: c["facekp"].update(format=99), "format 99 is newer than this"),
        (lambda c: c["facekp"]["scheme"].update(count=10**9), "a scheme of 1000000000 points"),
        (lambda c: c["facekp"]["scheme"]["flip_pairs"].append([0, 5]), "flip pairs"),
        (lambda c: c["state_dict"]["network.head.0.weight"].fill_(float("nan")), "contain NaN"),
        (lambda c: c["state_dict"]["network.head.0.weight"].fill_(-torch.inf), "infinite values"),
        (
            lambda c: c["state_dict"].update({"network.a": torch.ones(2).bool()}),
            "not one of facekp",
        ),
        (
            lambda c: c["state_dict"]["network.head.0.weight"].fill_(1e38),
            "output is not the points",
        ),
        (lambda c: c["facekp"].update(crop=torch.zeros(1).expand(2**40)), "not one of facekp"),
        (lambda c: c["facekp"].update(more=without_end()), "not one of facekp"),
        (lambda c: larger_than_the_file(c), "more weights than the file holds"),
        (lambda c: model_of(c).update(input_size=[16000, 16000]), "an input of .16000, 16000."),
        (lambda c: model_of(c).update(channels=[1] * 50_000), "more than 64 layers"),
        (lambda c: c["state_dict"].update({"network.a": torch.zeros(2).to_sparse()}), "not one of"),
    ],
)
def test_broken_descriptions_are_refused(
    checkpoints: dict[str, Path], tmp_path: Path, change: Callable, message: str
) -> None:
    state = torch.load(checkpoints["ibug"], weights_only=True)
    change(state)
    torch.save(state, tmp_path / "a.ckpt")
    face = (np.zeros((64, 64, 3), dtype=np.uint8), np.array([8.0, 8, 56, 56]))
    with pytest.raises(FacekpError, match=message):
        Predictor.load(tmp_path / "a.ckpt").predict_boxes([face])


def model_of(state: dict) -> dict:
    return state["facekp"]["config"]["model"]


def without_end() -> list:
    inner: list = []
    inner.append(inner)
    return inner


def larger_than_the_file(state: dict) -> None:
    """A network of gigabytes, of whose weights the file has one number."""
    wide, weights = 2**17, state["state_dict"]
    state["facekp"]["config"]["model"]["hidden"] = [wide]
    for name, axis in (("0.weight", 0), ("0.bias", 0), ("1.weight", 1)):
        shape = list(weights[f"network.head.{name}"].shape)
        shape[axis] = wide
        weights[f"network.head.{name}"] = torch.zeros(1).expand(shape)


class Evil:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path("evil-was-here"),)


@pytest.mark.parametrize(
    "content", [b"", b"junk", pickle.dumps(Evil())], ids=["empty", "junk", "pickle"]
)
@pytest.mark.parametrize("name", ["a.ckpt", "a.onnx"])
def test_no_checkpoint_at_all(
    tmp_path: Path, content: bytes, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        Predictor.load(tmp_path / name)
    assert not (tmp_path / "evil-was-here").exists()


def test_checkpoints_of_others_are_refused(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    with pytest.raises(DataError, match="no such checkpoint"):
        Predictor.load(path)
    torch.save({"state_dict": {}}, path)
    with pytest.raises(DataError, match="not one of facekp"):
        Predictor.load(path)
    good = torch.load(checkpoints["imm"], weights_only=True)
    whole = checkpoints["imm"].read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="broken"):
        Predictor.load(path)
    torch.save({**good, "evil": Evil()}, path)
    with pytest.raises(DataError, match="not a checkpoint"):
        Predictor.load(path)
    good["facekp"]["config"]["model"]["_target_"] = "os.system"
    torch.save(good, path)
    with pytest.raises(ConfigError, match="builds only facekp's own classes"):
        Predictor.load(path)
    good["facekp"]["config"]["model"] = OmegaConf.to_container(composed("model=nose_net").model)
    torch.save(good, path)
    with pytest.raises(DataError, match="do not match"):
        Predictor.load(path)
