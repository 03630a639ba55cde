"""Checking data sets: what is broken or suspicious."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from facekp.core.errors import ConfigError, DataError
from facekp.core.files import atomic_write_text
from facekp.data.audit import Finding, audit
from facekp.data.ibug import IBUGDataModule
from facekp.data.imm import IMMDataModule
from facekp.tasks.common import output_folder
from facekp.visualization.reports.audit import write_audit

COLUMNS = ["category", "entry", "detail", "other", "file", "line"]


def check_data(data_dir: str | None, output: str) -> None:
    """Check every known data set in a folder.

    Prints what is broken or suspicious, and writes for each data set `<scheme>.csv` (one row per
    finding) and `<scheme>.html` (with thumbnails).

    Args:
        data_dir: folder that holds the data sets; None: `data`.
        output: folder of the files.

    Raises:
        ConfigError: there is no known data set in the folder.
        DataError: a data set without a single face.
    """
    logging.getLogger("facekp").setLevel(logging.ERROR)  # the table names skipped entries
    folder = Path(data_dir or "data")
    checked = 0
    for module in (IMMDataModule, IBUGDataModule):
        if not (folder / module.info.folder_name).is_dir():
            continue
        datamodule = module(data_dir=folder, input_size=(64, 64), on_error="skip")
        datamodule.read()
        if not any(datamodule.splits.values()) and not datamodule.problems:
            raise DataError(datamodule.folder, "there is no face in it", "restore the data set")
        findings = audit(datamodule)
        rows = finding_rows(datamodule.problems or [], findings)
        files = output_folder(output)
        path = files / f"{datamodule.scheme.name}.csv"
        atomic_write_text(path, rows.to_csv(index=False))
        summary = datamodule.summary()
        page = write_audit(files, rows, findings, datamodule.scheme, summary)
        show(rows, summary)
        print(f"{len(rows)} findings: {path}, {page}")
        checked += 1
    if not checked:
        names = ", ".join(m.info.folder_name for m in (IMMDataModule, IBUGDataModule))
        raise ConfigError(f"data_dir={folder}: none of {names} is in it")


def finding_rows(problems: Sequence[DataError], findings: Sequence[Finding]) -> pd.DataFrame:
    """One row per finding: broken entries first, then suspicious ones, see `facekp.data.audit`."""
    rows: list[list[object]] = [
        ["broken", error.path.name, error.problem, "", str(error.path), error.line]
        for error in problems
    ]
    for finding in findings:
        path, line = finding.record.origin
        other = finding.other.name if finding.other else ""
        entry = finding.record.name
        rows.append([finding.category, entry, finding.detail, other, str(path), line])
    return pd.DataFrame(rows, columns=COLUMNS)


def show(rows: pd.DataFrame, title: str, limit: int = 12) -> None:
    """Print the first findings of each category, and the number of the others."""
    table = Table(title=escape(title), title_justify="left")
    for name in COLUMNS[:4]:
        table.add_column(name, overflow="fold")
    for category, group in rows.groupby("category", sort=False):
        for row in group[COLUMNS[:4]].head(limit).to_numpy():
            table.add_row(*(escape(str(cell)) for cell in row))
        if len(group) > limit:
            table.add_row(str(category), f"{len(group) - limit} more", "", "")
    Console().print(table)
