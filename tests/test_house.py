"""The house: tests mirror rooms, functions stay short, public text avoids words of its own."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

MODULES = sorted((ROOT / "facekp").rglob("*.py"))
MAX_LINES, MAX_PARAMETERS = 80, 8


def functions(path: Path) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Qualified names and definitions of all functions of a module."""

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef):
                yield prefix + child.name, child
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                yield from walk(child, f"{prefix}{child.name}.")

    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    yield from walk(ast.parse(path.read_text(encoding="utf-8")), f"{module}.")


def given_by_hydra() -> set[str]:
    """What the files in conf/ name as `_target_`."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "conf").rglob("*.yaml")]
    return {name for text in texts for name in re.findall(r"_target_: (facekp\S+)", text)}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_functions_are_short_and_have_few_parameters(path: Path) -> None:
    targets = given_by_hydra()
    base = "facekp.data.datamodule.FaceDataModule"  # its subclasses are given its settings by Hydra
    for name, node in functions(path):
        lines = (node.end_lineno or 0) - node.lineno + 1
        assert lines <= MAX_LINES, f"{name} has {lines} lines"
        parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        count = len([p for p in parameters if p.arg not in ("self", "cls")])
        owner = name.removesuffix(".__init__")
        if owner not in targets | {base} and name not in targets:
            assert count <= MAX_PARAMETERS, f"{name} has {count} parameters"


def test_tests_mirror_the_rooms() -> None:
    rooms = {path.parent.relative_to(ROOT / "facekp") for path in MODULES}
    for path in (ROOT / "tests").rglob("test_*.py"):
        folder = path.parent.relative_to(ROOT / "tests")
        assert folder in rooms | {Path("e2e")}, path
