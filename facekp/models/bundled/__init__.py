"""Networks that facekp brings along, so that photos need neither training nor download.

`ibug68`, small and quick (of `experiment=part3_small`), `ibug68_medium` (`part3_medium`),
`ibug68_large` (`part3_large`) and `ibug68_best` (`part3_best`, trained on nearly all validation
faces of the others, too): 68 points, half-precision weights of networks trained on iBUG 300-W in
dlib's packaging, which is for research use only; so are they.
"""

from pathlib import Path

from facekp.core.errors import ConfigError

SHIPPED = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.ckpt"))}
"""The files by name."""
NAMES = ", ".join(SHIPPED)
"""For messages."""


def located(path: str | Path) -> Path:
    """The file of a network that comes along by its name; any other path as it is.

    Raises:
        ConfigError: neither a path nor a name.
    """
    if not isinstance(path, str | Path):
        raise ConfigError(f"{path}: no checkpoint; give a file, or one of {NAMES}")
    return SHIPPED.get(str(path), Path(path))
