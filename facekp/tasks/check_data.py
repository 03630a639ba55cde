"""Go through the data sets of a folder: `python -m facekp.tasks.check_data data_dir=data`.

Prints what is broken or suspicious, and keeps it in `runs/check/`: a CSV each data set, and a page
with thumbnails.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from facekp.cli.config import one_line_errors
from facekp.data.ibug import IBUGDataModule
from facekp.data.imm import IMMDataModule
from facekp.data.audit import Finding, find_all
from facekp.core.errors import ConfigError, DataError
from facekp.core.files import write_text
from facekp.visualization.reports.check import write_check
from facekp.tasks.common import output_folder

SETTINGS = {"data_dir": os.environ.get("FACEKP_DATA_DIR", "data"), "output": "runs/check"}
COLUMNS = ["kind", "entry", "detail", "other", "file", "line"]


def main(arguments: list[str]) -> None:
    """Check every data set that is in `data_dir`.

    Raises:
        ConfigError: a setting that is none, or no data set there.
        DataError: a data set that cannot be read at all.
    """
    logging.getLogger("facekp").setLevel(logging.ERROR)  # the table names what was left out
    given = dict(SETTINGS)
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name not in SETTINGS or not value:
            raise ConfigError(f"{argument}: give data_dir=FOLDER or output=FOLDER")
        given[name] = value
    checked = 0
    for kind in (IMMDataModule, IBUGDataModule):
        if (Path(given["data_dir"]) / kind.source.folder_name).is_dir():
            datamodule = kind(data_dir=given["data_dir"], input_size=(64, 64), on_error="skip")
            datamodule.read()
            if not any(datamodule.splits.values()) and not datamodule.problems:
                raise DataError(datamodule.folder, "there is no face in it", "restore the data set")
            found = find_all(datamodule.splits, datamodule.scheme)
            rows = listed(datamodule.problems or [], found)
            folder = output_folder(given["output"])
            path = folder / f"{datamodule.scheme.name}.csv"
            write_text(path, rows.to_csv(index=False))
            about = datamodule.describe()
            page = write_check(folder, rows, found, datamodule.scheme, about)
            show(rows, about)
            print(f"{len(rows)} findings: {path}, {page}")
            checked += 1
    if not checked:
        raise ConfigError(f"data_dir={given['data_dir']}: no data set that facekp knows is in it")


def listed(problems: Sequence[DataError], found: Sequence[Finding]) -> pd.DataFrame:
    """A row a finding: what is broken first, then what is suspicious, see `suspicions`."""
    rows: list[list[object]] = [
        ["broken", error.path.name, error.problem, "", str(error.path), error.line]
        for error in problems
    ]
    for one in found:
        path, line = one.record.place
        other = one.other.name if one.other else ""
        rows.append([one.kind, one.record.name, one.detail, other, str(path), line])
    return pd.DataFrame(rows, columns=COLUMNS)


def show(found: pd.DataFrame, title: str, most: int = 12) -> None:
    """Print the first of each kind, and how many more there are."""
    table = Table(title=escape(title), title_justify="left")
    for name in COLUMNS[:4]:
        table.add_column(name, overflow="fold")
    for kind, own in found.groupby("kind", sort=False):
        for row in own[COLUMNS[:4]].head(most).to_numpy():
            table.add_row(*(escape(str(cell)) for cell in row))
        if len(own) > most:
            table.add_row(str(kind), f"{len(own) - most} more", "", "")
    Console().print(table)


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])
