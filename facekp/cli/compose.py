"""Composing a configuration from Python."""

from __future__ import annotations

from collections.abc import Sequence

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from facekp.cli.config import register_resolvers
from facekp.cli.hydra_errors import one_line_message
from facekp.core.conf import CONF
from facekp.core.errors import ConfigError

DEFAULT_EXPERIMENTS = {
    f"dataset={name}": f"experiment={name}" for name in ("annotations", "youtube_faces", "kaggle15")
}
"""Recipes that a data set brings, unless an experiment is named."""


def with_default_experiment(arguments: Sequence[str]) -> list[str]:
    """Arguments of `train.py`, with the experiment of the chosen data set if none is named."""
    if any(argument.startswith(("experiment=", "~experiment")) for argument in arguments):
        return list(arguments)
    added = [experiment for data, experiment in DEFAULT_EXPERIMENTS.items() if data in arguments]
    return [*arguments, *added]


def compose(*overrides: str, config_name: str = "config") -> DictConfig:
    """The configuration that `train.py` (or `predict.py`) gets from the same arguments.

        cfg = facekp.compose("experiment=part1", "trainer.max_epochs=3")
        result = facekp.train(cfg)

    Args:
        *overrides: as on the command line.
        config_name: `config` (of `train.py`) or `predict`.

    Raises:
        ConfigError: an argument that cannot be used.
    """
    register_resolvers()
    for override in overrides:
        if not isinstance(override, str):
            raise ConfigError(
                f"{override!r}: give each setting as a text of its own, e.g. "
                'compose("experiment=part1", "seed=1")'
            )
    if config_name == "config":
        overrides = tuple(with_default_experiment(overrides))
    before = GlobalHydra.instance().hydra  # of a program or notebook that uses Hydra itself
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return hydra_compose(config_name, overrides=list(overrides))
    except Exception as error:  # of Hydra, OmegaConf or the parser
        raise ConfigError(one_line_message(error, config_name, overrides)) from error
    finally:
        GlobalHydra.instance().hydra = before
