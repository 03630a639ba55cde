"""The network that facekp brings along, so that photos need neither training nor download.

`ibug68.ckpt`: 68 points, half-precision weights of a network trained on iBUG 300-W in dlib's
packaging, which is for research use only; so is this file.
"""

from pathlib import Path

SHIPPED = Path(__file__).with_name("ibug68.ckpt")


def shipped() -> str:
    """Its path, for configurations: `${facekp.shipped:}`."""
    return str(SHIPPED)
