"""Network descriptions: stored whole, validated once, read in every format."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facekp.core.crop import Crop
from facekp.core.description import NetworkDescription
from facekp.core.landmarks import IBUG68, LandmarkScheme, Normalizer
from facekp.inference.predictor import Predictor

FIVE = LandmarkScheme(
    name="five",
    point_names=("right_eye", "left_eye", "nose", "right_mouth", "left_mouth"),
    parts={"right_eye": (0,), "left_eye": (1,), "nose": (2,), "mouth": (3, 4)},
    flip_pairs=((0, 1), (3, 4)),
    normalizer=Normalizer("interocular", (0,), (1,)),
)


def describe(**changes: Any) -> NetworkDescription:
    rng = np.random.default_rng(0)
    entries: dict[str, Any] = dict(
        scheme=FIVE, points=(0, 1, 2, 3, 4), crop=Crop((48, 64), 1, 1.2, True), box_source="dlib",
        box_prior=np.array([0.0, -0.1, 1.2, 1.1]), mean_shape=rng.uniform(0.2, 0.8, (5, 2)),
        config={"model": {}, "dataset": {}, "seed": 3}, seed=3,
    )  # fmt: skip
    return NetworkDescription(**entries | changes)


def test_a_description_is_stored_whole() -> None:
    before = describe()
    after = NetworkDescription.from_dict(json.loads(json.dumps(before.to_dict())))
    assert after.scheme == FIVE
    assert (after.points, after.crop, after.seed) == (before.points, before.crop, 3)
    np.testing.assert_array_equal(after.mean_shape, before.mean_shape)
    assert after.to_dict() == before.to_dict()


def test_the_second_format_is_read() -> None:
    entry = describe(scheme=IBUG68, points=tuple(range(5))).to_dict()
    scheme = entry["scheme"]
    for key in ("names", "skeleton", "normalizer"):
        del scheme[key]
    scheme |= {"count": 68, "outer_eye_corners": [36, 45], "nose": 30}
    assert NetworkDescription.from_dict(entry | {"format": 2}).scheme == IBUG68


def test_the_first_format_is_read() -> None:
    old = {
        "facekp": "0.1.0", "seed": 1, "scheme": "ibug68", "points": [36, 45], "protocol": "dlib",
        "box_kind": "dlib", "framing": [0, 0, 1, 1], "mean_shape": [[0.3, 0.4], [0.7, 0.4]],
        "view": {"size": [64, 64], "channels": 1, "box_scale": 1.2, "square": False},
        "config": {"dataset": {"augmentation": {"_target_": "facekp.augmentation.Augmentation"}}},
    }  # fmt: skip
    description = NetworkDescription.from_dict(old)
    assert description.scheme == IBUG68
    assert description.crop == Crop((64, 64), 1, 1.2, False)
    assert description.flip_order == [1, 0]
    target = description.config["dataset"]["augmentation"]["_target_"]
    assert target == "facekp.data.augmentation.Augmentation"


@pytest.mark.parametrize("measured", [None, [0.1, 0.2, 1.1, 1.3]])
def test_an_earlier_network_of_some_points_gets_the_box_prior_of_those(
    measured: list[float] | None,
) -> None:
    # Points that fill the middle half of the box, which is the crop's middle 5/6.
    low, high = 0.5 - 0.25 / 1.2, 0.5 + 0.25 / 1.2
    eyes = np.array([[low, low], [high, high], [0.5, 0.5]])
    entry = describe(points=(0, 1, 2), mean_shape=eyes, crop=Crop((60, 60), 1, 1.2)).to_dict()
    entry["detector_prior"] = measured
    description = NetworkDescription.from_dict(entry | {"format": 3})
    np.testing.assert_allclose(description.box_prior, [0, 0, 2, 2], atol=1e-9)
    assert description.detector_prior is not None
    np.testing.assert_array_equal(description.detector_prior, measured or entry["box_prior"])
    # Today's are read as they are.
    again = NetworkDescription.from_dict(description.to_dict())
    assert again.to_dict() == description.to_dict()


@pytest.mark.parametrize(
    "changes",
    [
        {"points": (0, 0, 1, 2, 3)},
        {"points": (0, 1, 2, 3, 5)},
        {"points": ()},
        {"crop": Crop((0, 64), 1)},
        {"crop": Crop((48, 64), 2)},
        {"crop": Crop((48, 64), 1, 1e9)},
        {"crop": Crop((48, 10**6), 1)},
        {"box_prior": np.array([0.0, np.nan, 1, 1])},
        {"box_prior": np.array([0.0, 0, 0, 1])},
        {"box_prior": np.array([0.0, 0, 1e9, 1])},
        {"mean_shape": np.zeros((4, 2))},
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        describe(**changes)


def test_points_without_their_counterparts_have_no_flip_order() -> None:
    assert describe().flip_order == [1, 0, 2, 4, 3]
    alone = describe(points=(0, 2), mean_shape=np.array([[0.3, 0.4], [0.5, 0.5]]))
    assert alone.flip_order is None
    assert not alone.covers_scheme


def test_a_network_of_an_unknown_scheme_is_used(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """The scheme travels in the checkpoint: nothing needs to be registered."""
    state = torch.load(checkpoints["imm"], weights_only=True)
    description = NetworkDescription.from_dict(state["facekp"])
    parts = {f"part_{name}": points for name, points in description.scheme.parts.items()}
    other = replace(description.scheme, name="mine", parts=parts, closed=frozenset())
    state["facekp"] = replace(description, scheme=other).to_dict()
    torch.save(state, tmp_path / "mine.ckpt")
    predictor = Predictor.load(tmp_path / "mine.ckpt", flip_test=True)
    assert predictor.scheme.name == "mine"
    (face,) = predictor(np.zeros((90, 90, 3), np.uint8), np.array([5.0, 5, 80, 80]))
    assert face.keypoints.shape == (58, 2)
