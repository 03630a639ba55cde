"""Settings that are refused at once."""

from __future__ import annotations

import pytest

from facekp.cli.validation import check_settings, validate_config
from facekp.core.errors import ConfigError
from tests.conftest import composed


@pytest.mark.parametrize("value", ["two", "[0,x]", "true", "null", "1.5", "-2"])
def test_gpus_must_be_numbers(value: str) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.gpus="):
        validate_config(composed(f"trainer.gpus={value}", "run_dir=x"))


def test_a_seed_must_fit_into_32_bits() -> None:
    with pytest.raises(ConfigError, match=r"seed=4294967296: give a whole number below 2\^32"):
        validate_config(composed(f"seed={2**32}", "run_dir=x"))


@pytest.mark.parametrize(
    ("choice", "wrong"),
    [
        ("dataset=ibug", "dataset.split_seed=null"),
        ("model/loss=wing", "model.loss.width=-1"),
        ("model/loss=wing", "model.loss.epsilon=0"),
        ("model/loss=smooth_l1", "model.loss.beta=abc"),
        ("model/optimizer=adamw", "model.optimizer.weight_decay=-1"),
        ("model/optimizer=sgd", "model.optimizer.momentum=much"),
        ("model/optimizer=sgd", "model.optimizer.nesterov=maybe"),
        ("model/scheduler=step", "model.scheduler.gamma=abc"),
        ("model/scheduler=one_cycle", "model.scheduler.div_factor=0"),
    ],
)
def test_settings_of_parts_are_checked_before_the_data_is_read(choice: str, wrong: str) -> None:
    name = wrong.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"^{name}=\S+: give "):
        check_settings(composed("experiment=part3_small", choice, wrong, "run_dir=x"))
