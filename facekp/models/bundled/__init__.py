"""Pretrained 68-point networks that are part of the package; prediction needs no download.

`ibug68`, small and fast (of `experiment=part3_small`); `ibug68_int8`, the same in 8-bit integers;
`ibug68_medium` (`part3_medium`), `ibug68_large` (`part3_large`) and `ibug68_best` (`part3_best`,
trained on nearly all validation faces of the others, too). The checkpoints have half-precision
weights (`task=pack`); the ONNX files are made of `ibug68` by `task=export` with `weights=float16`
and `weights=int8`. They were trained on iBUG 300-W in dlib's packaging, which is for research use
only; so are the weights.
"""

from pathlib import Path

from facekp.core.errors import ConfigError

BUNDLED = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.ckpt"))}
"""The checkpoints by name."""
EXPORTED = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.onnx"))}
"""Exported networks by name; those of the same name are the same network."""
BUNDLED_NAMES = ", ".join(BUNDLED)
"""For messages."""


def resolve_checkpoint(path: str | Path) -> Path:
    """The file of a bundled network by its name; any other path unchanged.

    Raises:
        ConfigError: neither a path nor a name, or the name of a network that is only exported.
    """
    if not isinstance(path, str | Path):
        raise ConfigError(f"{path}: not a checkpoint; give a file, or one of {BUNDLED_NAMES}")
    if str(path) in EXPORTED.keys() - BUNDLED.keys():
        raise ConfigError(
            f"{path}: only predicts, on the CPU; give a checkpoint, or one of {BUNDLED_NAMES}"
        )
    return BUNDLED.get(str(path), Path(path))


def resolve_network(path: str | Path, device: str = "cpu") -> Path:
    """The file that predicts: on the CPU an exported network rather than its checkpoint.

    Args:
        path: the file, or the name of a bundled network.
        device: where it will run.

    Raises:
        ConfigError: neither a path nor a name.
    """
    if device == "cpu" and str(path) in EXPORTED:
        return EXPORTED[str(path)]
    return resolve_checkpoint(path)
