"""Resolving dotted names of classes, and the packages that checkpoints may build classes from.

What a user types or writes into a configuration is trusted. What comes out of a checkpoint builds
only classes of facekp, and of packages that the user registered: `plugins=[my_package]` on the
command line, `register_plugins` in Python, or an installed distribution's entry point in the group
`facekp.plugins`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import TypeVar

from facekp.core.errors import ConfigError

ENTRY_POINTS = "facekp.plugins"

T = TypeVar("T")

_registered: set[str] = set()


def register_plugins(packages: Iterable[str]) -> None:
    """Allow checkpoints to build classes of these packages.

    Raises:
        ConfigError: not a list of names, or a package that cannot be imported.
    """
    if isinstance(packages, str):
        packages = [packages]
    if not isinstance(packages, Iterable):
        raise ConfigError(f"plugins={packages}: give a list of packages, e.g. [my_package]")
    for package in packages:
        try:
            importlib.import_module(str(package))
        except Exception as error:  # a user's own module can raise anything
            raise ConfigError(
                f"plugins: {package} cannot be imported ({error}); install it, or start in the "
                "folder that holds it"
            ) from error
        _registered.add(str(package))


def resolve_class(target: str, base: type[T], setting: str, package: str, trusted: bool) -> type[T]:
    """The class with a full dotted name.

    Args:
        target: its name.
        base: what it must be a subclass of.
        setting: that names it, for messages.
        package: facekp's own package with such classes.
        trusted: whether the name comes from the user; otherwise only `package` and plugins count.

    Raises:
        ConfigError: a name that is not allowed, does not exist, or is not such a class.
    """
    wrong = f"{setting}._target_={target}"
    module_name, _, class_name = target.rpartition(".")
    is_facekp = module_name.startswith(f"{package}.")
    if not (trusted or is_facekp or _is_plugin(module_name)):
        raise ConfigError(
            f"{wrong}: a checkpoint builds only facekp's own classes and those of plugins; "
            "plugins=[PACKAGE] names a package that you trust"
        )
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{wrong}: there is no such class") from error
    # A module of facekp also holds the classes that it imports.
    defined_here = getattr(found, "__module__", None) == module_name
    allowed = trusted or _is_plugin(module_name) or defined_here
    if not (isinstance(found, type) and issubclass(found, base) and allowed):
        raise ConfigError(f"{wrong}: this is not a {base.__name__}")
    return found


def _is_plugin(module_name: str) -> bool:
    named = _registered | {entry.module for entry in entry_points(group=ENTRY_POINTS)}
    return any(module_name == name or module_name.startswith(f"{name}.") for name in named)
