"""Train a keypoint network: `python train.py experiment=part3 trainer.gpus=1`."""

import sys

import hydra
from omegaconf import DictConfig

from facekp.cli.validation import check
from facekp.cli.config import one_line_errors, quick_imports, readable_errors, register_resolvers
from facekp.cli.hydra_errors import explained
from facekp.cli.runs import expand_resume
from facekp.cli.sweeps import one_job

register_resolvers()


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
@readable_errors
@one_job
def main(cfg: DictConfig) -> float:
    """Train as configured and return the monitored metric's best value."""
    check(cfg)
    with quick_imports():
        from facekp.tasks.train import train  # takes seconds

    return train(cfg)


if __name__ == "__main__":
    with one_line_errors():
        sys.argv[1:] = expand_resume(sys.argv[1:])
    with explained("config"):
        main()
