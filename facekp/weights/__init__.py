"""Networks that facekp brings along, so that photos need neither training nor download.

`ibug68`, small and quick, and `ibug68_large`, the most accurate: 68 points, half-precision weights
of networks trained on iBUG 300-W in dlib's packaging, which is for research use only; so are they.
"""

from pathlib import Path

SHIPPED = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.ckpt"))}
"""The files by name."""


def located(path: str | Path) -> Path:
    """The file of a network that comes along by its name; any other path as it is."""
    return SHIPPED.get(str(path), Path(path))
