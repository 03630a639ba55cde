"""The landmark scheme of annotations: declared, known by name, or made from their names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facekp.core.errors import DataError
from facekp.core.landmarks import LandmarkScheme, bundled_schemes, flip_pairs_by_name
from facekp.data.formats.base import AnnotationFile, is_numbered, sorted_names

_REMEDY = "give dataset.landmarks= the scheme that the points belong to"


def scheme_of(
    files: Sequence[tuple[Path, AnnotationFile]], declared: LandmarkScheme | None
) -> tuple[LandmarkScheme, list[str]]:
    """The scheme of the points of several files.

    Args:
        files: paths and contents.
        declared: what the user says it is; None: as the files tell.

    Returns:
        The scheme, and notes on what is not known.

    Raises:
        DataError: files with different numbers of unnamed points, or names that make no scheme.
    """
    if declared is not None:
        return declared, []
    path, first = files[0]
    if first.scheme is not None:
        return first.scheme, []
    for other_path, other in files[1:]:
        unnamed = not (other.named and first.named)
        if unnamed and len(other.names) != len(first.names):
            problem = f"{len(other.names)} points, {path} has {len(first.names)}"
            raise DataError(other_path, problem, _REMEDY)
    named = [file for _, file in files if file.named] or [first]
    names = sorted_names(name for file in named for name in file.names)
    notes = [
        f"{other_path.name} has no points {', '.join(missing[:5])}"
        for other_path, other in files
        if other.named and (missing := [name for name in names if name not in other.names])
    ]
    if any(file.named for _, file in files):
        for scheme in bundled_schemes().values():
            if set(scheme.point_names) == set(names):
                return scheme, notes
    scheme, more = _made(path, first, names)
    return scheme, notes + more


def _made(path: Path, file: AnnotationFile, names: list[str]) -> tuple[LandmarkScheme, list[str]]:
    """A scheme of names, with what the file says of them."""
    notes: list[str] = []
    index = {name: at for at, name in enumerate(names)}
    # Points of a file without names have those of another one, in the same order.
    places = [index.get(name, at) for at, name in enumerate(file.names)]
    edges = tuple(tuple(places[at] for at in chain) for chain in file.edges)
    pairs = file.flip_pairs
    if pairs is not None:
        pairs = tuple((places[first], places[second]) for first, second in pairs)
    else:
        try:
            pairs = flip_pairs_by_name(names)
        except ValueError as error:
            notes.append(f"flip pairs cannot be read off the names: {error}")
    known = [scheme.name for scheme in bundled_schemes().values() if scheme.count == len(names)]
    if not file.named and known:
        notes.append(
            f"{len(names)} points without names: if they are those of {' or '.join(known)}, give "
            f"dataset.landmarks={known[0]}"
        )
    if pairs is None:
        notes.append("no flip pairs are known, so faces must not be mirrored; task=check_data "
                     "proposes some")  # fmt: skip
    try:
        scheme = LandmarkScheme(
            name=f"custom{len(names)}",
            point_names=tuple(names),
            edges=edges,
            flip_pairs=pairs,
        )
    except ValueError as error:
        raise DataError(path, str(error), "correct the names of its points") from error
    return scheme, notes


def columns_of(path: Path, file: AnnotationFile, scheme: LandmarkScheme) -> np.ndarray:
    """Index in the scheme of each point of a file, (K,): by name, else by position.

    Raises:
        DataError: neither names nor number of the points fit the scheme.
    """
    index = {name: at for at, name in enumerate(scheme.point_names)}
    may_lack = not file.counted or len(file.names) == scheme.count
    if may_lack and all(name in index for name in file.names):
        return np.array([index[name] for name in file.names], dtype=int)
    if not file.named or all(map(is_numbered, scheme.point_names)):
        if len(file.names) == scheme.count:
            return np.arange(scheme.count)
        problem = f"{len(file.names)} points, landmarks {scheme.name} have {scheme.count}"
        raise DataError(path, problem, _REMEDY)
    unknown = [name for name in file.names if name not in index]
    problem = f"points that landmarks {scheme.name} do not have: {', '.join(unknown[:5])}"
    raise DataError(path, problem, f"rename them, or {_REMEDY}")
