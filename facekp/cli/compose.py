"""Composing a configuration from Python."""

from __future__ import annotations

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from facekp.cli.config import register_resolvers
from facekp.cli.hydra_errors import one_line_message
from facekp.core.conf import CONF
from facekp.core.errors import ConfigError


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
    before = GlobalHydra.instance().hydra  # of a program or notebook that uses Hydra itself
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return hydra_compose(config_name, overrides=list(overrides))
    except Exception as error:  # of Hydra, OmegaConf or the parser
        raise ConfigError(one_line_message(error, config_name, overrides)) from error
    finally:
        GlobalHydra.instance().hydra = before
