"""Pretrained 68-point networks that are part of the package; prediction needs no download.

`ibug68`, small and fast (of `experiment=part3_small`), `ibug68_medium` (`part3_medium`),
`ibug68_large` (`part3_large`) and `ibug68_best` (`part3_best`, trained on nearly all validation
faces of the others, too): half-precision weights, trained on iBUG 300-W in dlib's packaging, which
is for research use only; so are the weights.
"""

from pathlib import Path

from facekp.core.errors import ConfigError

BUNDLED = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.ckpt"))}
"""The files by name."""
BUNDLED_NAMES = ", ".join(BUNDLED)
"""For messages."""


def resolve_checkpoint(path: str | Path) -> Path:
    """The file of a bundled network by its name; any other path unchanged.

    Raises:
        ConfigError: neither a path nor a name.
    """
    if not isinstance(path, str | Path):
        raise ConfigError(f"{path}: not a checkpoint; give a file, or one of {BUNDLED_NAMES}")
    return BUNDLED.get(str(path), Path(path))
