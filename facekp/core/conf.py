"""Where `conf/` is."""

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
CONF = next(p for p in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if p.is_dir())
"""`conf/`: inside the package when installed, beside it in the source tree."""


def files_of_group(group: str) -> list[str]:
    """Names of the files of a group, such as `model/loss`, by which they are chosen."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))
