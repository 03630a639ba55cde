"""Which format a file or folder of annotations has.

Every module of this package that defines an `AnnotationFormat` is asked; a new format is a new
module, and changes none of the others.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from inspect import isabstract
from pathlib import Path

from facekp.core.errors import ConfigError, DataError
from facekp.data.formats.base import (
    AnnotationFile,
    AnnotationFormat,
    ReadOptions,
    WritableFormat,
    read_head,
)


@cache
def _bundled_modules() -> None:
    package = importlib.import_module("facekp.data.formats")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"facekp.data.formats.{module.name}")


def formats() -> dict[str, AnnotationFormat]:
    """All formats by name, those of imported plugins included."""
    _bundled_modules()
    found: dict[str, AnnotationFormat] = {}
    classes: list[type[AnnotationFormat]] = AnnotationFormat.__subclasses__()
    while classes:
        subclass = classes.pop(0)
        classes += subclass.__subclasses__()
        if not isabstract(subclass):
            found[subclass.name] = subclass()
    return dict(sorted(found.items(), key=lambda item: (item[1].generic, item[0])))


def writable_formats() -> dict[str, WritableFormat]:
    """The formats that can be written, by name."""
    return {key: value for key, value in formats().items() if isinstance(value, WritableFormat)}


def writable_format(name: str, setting: str = "format") -> WritableFormat:
    """The format of a name, to write it.

    Raises:
        ConfigError: there is no such format, or it can only be read.
    """
    choices = writable_formats()
    if name not in choices:
        raise ConfigError(f"{setting}={name}: choose one of {', '.join(choices)}")
    return choices[name]


def find_format(path: Path, name: str | None = None) -> AnnotationFormat:
    """The format of a file or folder.

    Args:
        path: the file or folder.
        name: of the format, if it is known; None: by the content.

    Raises:
        ConfigError: there is no format of this name.
        DataError: the content is of no known format; lists the formats with examples.
    """
    known = formats()
    if name is not None:
        if name not in known:
            raise ConfigError(f"dataset.format={name}: choose one of {', '.join(known)}")
        return known[name]
    head = "" if path.is_dir() else read_head(path)
    for annotation_format in known.values():
        if annotation_format.recognises(path, head):
            return annotation_format
    examples = "".join(f"\n  {key}:\n{_indented(f.example)}" for key, f in known.items())
    raise DataError(
        path,
        "its format is not recognised",
        f"give dataset.format=, or annotations in one of these forms:{examples}",
    )


def read_annotation_file(
    path: Path, options: ReadOptions, name: str | None = None
) -> tuple[AnnotationFile, AnnotationFormat]:
    """Read a file or folder in the format that it has, see `find_format`."""
    annotation_format = find_format(path, name)
    return annotation_format.read(path, options), annotation_format


def _indented(text: str) -> str:
    return "\n".join(f"      {line}" for line in text.split("\n"))
