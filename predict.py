"""Use a trained network: `python predict.py input=photos/`."""

import sys

import hydra
from omegaconf import DictConfig

from facekp.cli.config import quick_imports, readable_errors, register_resolvers
from facekp.cli.hydra_errors import explained

register_resolvers()


@hydra.main(version_base="1.3", config_path="conf", config_name="predict")
@readable_errors
def main(cfg: DictConfig) -> None:
    """Run one task on one checkpoint."""
    from facekp.cli.config import build

    with quick_imports():
        import facekp.inference.predictor  # noqa: F401  # takes seconds; every task needs it
    build(cfg.task)


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # file names
    with explained("predict"):
        main()
