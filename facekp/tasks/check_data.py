"""Checking data sets: are they read as meant, what is broken or suspicious."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from facekp.core.errors import ConfigError, DataError
from facekp.core.files import atomic_write_text
from facekp.data.audit import Finding, PointAudit, audit, audit_points
from facekp.data.datamodule import FaceDataModule
from facekp.data.ibug import IBUGDataModule
from facekp.data.imm import IMMDataModule
from facekp.tasks.common import output_folder
from facekp.visualization.reports.audit import write_audit

COLUMNS = ["category", "entry", "detail", "other", "file", "line"]


def check_data(data_dir: str | None, output: str, dataset: FaceDataModule | None = None) -> None:
    """Check a data set, or every known one in a folder.

    Prints what is broken or suspicious, and writes for each data set `<scheme>.csv` (one row per
    finding), `<scheme>_points.csv` (one row per point: name, labels, flip pair), `<scheme>.html`,
    which begins with faces and their numbered points. Where flip pairs are not known and the data
    suggests some, it writes a landmark scheme with them, `<scheme>_proposed.yaml`.

    Args:
        data_dir: folder that holds the data sets; None: `data`.
        output: folder of the files.
        dataset: the data set; None: those of `data_dir`.

    Raises:
        ConfigError: there is no known data set in the folder.
        DataError: a data set without a single face.
    """
    if dataset is not None:
        dataset.problems = []
        dataset.prepare_data()
        _check(dataset, output)
        return
    folder = Path(data_dir or "data")
    known = [
        module(data_dir=folder, input_size=(64, 64), on_error="skip")
        for module in (IMMDataModule, IBUGDataModule)
        if (folder / module.info.folder_name).is_dir()
    ]
    if not known:
        names = ", ".join(m.info.folder_name for m in (IMMDataModule, IBUGDataModule))
        raise ConfigError(
            f"data_dir={folder}: none of {names} is in it; dataset=annotations "
            "dataset.train=FILE checks your own annotations"
        )
    for datamodule in known:
        _check(datamodule, output)


def _check(datamodule: FaceDataModule, output: str) -> None:
    logger = logging.getLogger("facekp")
    level = logger.level
    logger.setLevel(logging.ERROR)  # the table names skipped entries
    try:
        datamodule.read()
    finally:
        logger.setLevel(level)
    problems = datamodule.problems or []
    if not any(datamodule.splits.values()):
        if not problems:
            raise DataError(datamodule.folder, "there is no face in it", "restore the data set")
        raise DataError(
            datamodule.folder,
            f"none of its faces can be read: {len(problems)} errors, first {problems[0]}",
        )
    findings, points = audit(datamodule), audit_points(datamodule)
    rows = finding_rows(problems, findings, points)
    files, name = output_folder(output), datamodule.scheme.name
    path = files / f"{name}.csv"
    atomic_write_text(path, rows.to_csv(index=False))
    atomic_write_text(files / f"{name}_points.csv", points.table.to_csv(index=False))
    if points.proposed is not None:
        atomic_write_text(files / f"{name}_proposed.yaml", points.proposed.to_yaml())
    page = write_audit(files, rows, findings, points, datamodule)
    show(rows, datamodule.summary())
    if points.proposed is not None:
        pairs = points.proposed.flip_pairs or ()
        print(
            f"flip pairs: none are known; the data suggests {len(pairs)}. If the lines on the page "
            f"are right, give dataset.landmarks={files / f'{name}_proposed.yaml'}"
        )
    print(f"{len(rows)} findings: {path}, {page}")


def finding_rows(
    problems: Sequence[DataError], findings: Sequence[Finding], points: PointAudit
) -> pd.DataFrame:
    """One row per finding: broken entries first, then suspicious ones, see `facekp.data.audit`."""
    rows: list[list[Any]] = [
        ["broken", error.path.name, error.problem, "", str(error.path), error.line]
        for error in problems
    ]
    rows += [["flip pair", "", detail, "", "", None] for detail in points.contradicted]
    for finding in findings:
        path, line = finding.record.origin
        other = finding.other.name if finding.other else ""
        entry = finding.record.name
        rows.append([finding.category, entry, finding.detail, other, str(path), line])
    return pd.DataFrame(rows, columns=COLUMNS)


def show(rows: pd.DataFrame, title: str, limit: int = 12) -> None:
    """Print the first findings of each category, and the number of the others."""
    print(title)
    if rows.empty:
        return
    table = Table()
    for name in COLUMNS[:4]:
        table.add_column(name, overflow="fold")
    for category, group in rows.groupby("category", sort=False):
        for row in group[COLUMNS[:4]].head(limit).to_numpy():
            table.add_row(*(escape(str(cell)) for cell in row))
        if len(group) > limit:
            table.add_row(str(category), f"{len(group) - limit} more", "", "")
    Console().print(table)
