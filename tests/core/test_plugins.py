"""Classes of a user's own package: trusted where the user names them, and only there."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from torch import nn

from facekp.core import plugins
from facekp.core.errors import ConfigError
from facekp.core.plugins import register_plugins, resolve_class


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_plugin").mkdir()
    (tmp_path / "my_plugin/__init__.py").touch()
    text = "from torch import nn\n\nclass Net(nn.Module):\n    pass\n\nnumber = 3\n"
    (tmp_path / "my_plugin/nets.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("my_plugin", "my_plugin.nets"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(plugins, "_registered", set())
    return "my_plugin"


def resolve(target: str, trusted: bool = False) -> type:
    return resolve_class(target, nn.Module, "model", "facekp.models", trusted)


def test_a_checkpoint_builds_only_what_was_registered(package: str) -> None:
    with pytest.raises(ConfigError, match=r"plugins=\[PACKAGE\] names a package that you trust"):
        resolve("my_plugin.nets.Net")
    register_plugins([package])
    assert resolve("my_plugin.nets.Net").__name__ == "Net"
    for other in ("my_plugin_of_another.nets.Net", "os.system", "torch.nn.Linear"):
        with pytest.raises(ConfigError, match=r"plugins="):
            resolve(other)


@pytest.mark.parametrize("target", ["my_plugin.nets.number", "my_plugin.nets.nn", "my_plugin.no.X"])
def test_a_plugin_is_no_way_to_other_things(package: str, target: str) -> None:
    register_plugins([package])
    with pytest.raises(ConfigError, match=r"there is no such class|this is not a Module"):
        resolve(target)


def test_a_class_may_be_imported_into_its_package(package: str, tmp_path: Path) -> None:
    (tmp_path / package / "__init__.py").write_text("from my_plugin.nets import Net\n")
    register_plugins([package])
    assert resolve("my_plugin.Net").__name__ == "Net"


def test_what_the_user_names_is_trusted(package: str) -> None:
    assert resolve("my_plugin.nets.Net", trusted=True).__name__ == "Net"


def test_an_entry_point_registers(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("mine", f"{package}:nets", plugins.ENTRY_POINTS)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [entry])
    assert resolve("my_plugin.nets.Net").__name__ == "Net"


def test_a_package_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(ConfigError, match="plugins: no_such_package cannot be imported"):
        register_plugins(["no_such_package"])
