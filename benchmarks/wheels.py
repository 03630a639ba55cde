"""The wheels that a machine without a network lacks, in the pinned versions.

    python -m benchmarks.wheels [--has torch torchvision ...] [--extras sweep video] [--into wheels]

Prints their names, or with `--into` downloads them for Linux on x86-64. On the other machine:

    pip install --no-index --no-deps --target site wheels/*.whl
    PYTHONPATH=site python -m benchmarks.gpu
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.common import ROOT

HAS = "torch", "torchvision", "pytorch-lightning", "torchmetrics"
SOURCE_ONLY = ("antlr4-python3-runtime",)
"""Pure Python that is not published as a wheel: it is built here."""
GLIBC = (17, 24, 27, 28, 31, 34)
"""Minor versions of glibc for which wheels are built; pip does not take an older one by itself."""


def needed(extras: Iterable[str], has: Iterable[str]) -> list[str]:
    """Names of what facekp with `extras` needs beyond the packages `has` and their own needs."""
    present = _with_needs(Requirement(name) for name in has)
    wanted = _with_needs([Requirement(f"facekp[{','.join(extras)}]")])
    return sorted(wanted - present - {"facekp"})


def _with_needs(requirements: Iterable[Requirement]) -> set[str]:
    """Names of packages and all that they need here."""
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [(r.name, extra) for r in requirements for extra in ("", *r.extras)]
    while waiting:
        name, extra = waiting.pop()
        name = canonicalize_name(name)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            lines = requires(name) or []
        except PackageNotFoundError:  # of another system
            continue
        found.add(name)
        for line in lines:
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                waiting += [(need.name, inner) for inner in ("", *need.extras)]
    return found


def pinned(names: Iterable[str]) -> str:
    """The part of `requirements.txt` with these packages, their versions and hashes."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    parts = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)
    by_name = {
        str(canonicalize_name(part.partition("==")[0])): part for part in parts if "==" in part
    }
    return "".join(by_name[name] for name in names)


def _pip(command: str, names: Iterable[str], folder: Path, *options: str) -> None:
    """Run `pip download` or `pip wheel`."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listing:
        listing.write(pinned(names))
        listing.flush()
        common = ["--quiet", "--no-deps", "--require-hashes", f"--requirement={listing.name}"]
        place = "--dest" if command == "download" else "--wheel-dir"
        arguments = [sys.executable, "-m", "pip", command, *common, f"{place}={folder}", *options]
        subprocess.run(arguments, check=True)


def main() -> None:
    """Print or download."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--has", nargs="+", default=HAS, help="packages that the machine has")
    parser.add_argument("--extras", nargs="+", default=["sweep"], help="of facekp")
    parser.add_argument("--python", default="3.12", help="its version")
    parser.add_argument("--into", type=Path, help="folder of the wheels")
    arguments = parser.parse_args()
    names = needed(arguments.extras, arguments.has)
    if arguments.into is None:
        print(*names, sep="\n")
        return
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in GLIBC]
    platforms += ["--platform=manylinux2014_x86_64", "--platform=manylinux1_x86_64"]
    target = [f"--python-version={arguments.python}", "--implementation=cp", *platforms]
    built = [name for name in names if name in SOURCE_ONLY]
    _pip("wheel", built, arguments.into)
    _pip("download", set(names).difference(built), arguments.into, "--only-binary=:all:", *target)
    sizes = [path.stat().st_size for path in arguments.into.glob("*.whl")]
    print(f"{len(sizes)} wheels, {sum(sizes) / 2**20:.0f} MiB in {arguments.into}")


if __name__ == "__main__":
    main()
