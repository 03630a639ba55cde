"""Settings that are refused at once."""

from __future__ import annotations

import pytest

from facekp.cli.validation import validate_config
from facekp.core.errors import ConfigError
from tests.conftest import composed


@pytest.mark.parametrize("value", ["two", "[0,x]", "true", "null", "1.5", "-2"])
def test_gpus_must_be_numbers(value: str) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.gpus="):
        validate_config(composed(f"trainer.gpus={value}", "run_dir=x"))


def test_a_seed_must_fit_into_32_bits() -> None:
    with pytest.raises(ConfigError, match=r"seed=4294967296: give a whole number below 2\^32"):
        validate_config(composed(f"seed={2**32}", "run_dir=x"))
