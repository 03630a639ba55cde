"""facekp: train, sweep, evaluate and use facial-keypoint networks.

import facekp

cfg = facekp.compose("experiment=part1", "trainer.max_epochs=3")
result = facekp.train(cfg)                              # metrics, history, paths
faces = facekp.Predictor.load()("photo.jpg")            # boxes and keypoints
picture = facekp.draw(image, faces)
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from facekp.core.version import __version__

if TYPE_CHECKING:
    from facekp.cli.compose import compose
    from facekp.cli.programs import train
    from facekp.core.errors import FacekpError
    from facekp.core.plugins import register_plugins
    from facekp.inference.faces import Face
    from facekp.inference.predictor import Predictor
    from facekp.visualization.overlay import draw_faces as draw

__all__ = [
    "Face",
    "FacekpError",
    "Predictor",
    "__version__",
    "compose",
    "draw",
    "register_plugins",
    "train",
]

# albumentations asks the network for its newest version on import unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

# A thread of torch that waits for the others soon gives its core away: beside another job they may
# have to wait for that core. libgomp reads it as torch is imported; `benchmarks.busy` measures it.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

# Imported on first use: torch and Lightning take seconds.
_LAZY = {
    "Face": ("facekp.inference.faces", "Face"),
    "FacekpError": ("facekp.core.errors", "FacekpError"),
    "Predictor": ("facekp.inference.predictor", "Predictor"),
    "compose": ("facekp.cli.compose", "compose"),
    "draw": ("facekp.visualization.overlay", "draw_faces"),
    "register_plugins": ("facekp.core.plugins", "register_plugins"),
    "train": ("facekp.cli.programs", "train"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'facekp' has no attribute '{name}'")
    module, attribute = _LAZY[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
