"""Where `conf/` is."""

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
CONF = next(p for p in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if p.is_dir())
"""`conf/`: inside the package when installed, beside it in the source tree."""
