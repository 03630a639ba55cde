"""Progress bars with the time left, and work in threads behind one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    track,
)
from rich.text import Text

T = TypeVar("T")


def with_progress(items: Iterable[T], total: int | None, unit: str) -> Iterator[T]:
    """Yield items behind a progress bar on standard error, if that is a terminal.

    Args:
        items: what to yield.
        total: number of items, if known.
        unit: what the items are, e.g. `photos`.
    """
    speed = _SpeedColumn()
    columns = (TextColumn(unit), BarColumn(), MofNCompleteColumn(), speed, TextColumn("left"))
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    ) as progress:
        yield from progress.track(items, total=total)


class _SpeedColumn(ProgressColumn):
    """Items per second."""

    def render(self, task: Task) -> Text:
        """The speed; nothing until it is known."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.3g}/s")


def map_in_threads(function: Callable[[int], T], count: int, description: str) -> Iterator[T]:
    """`function(0)` to `function(count - 1)` in order, computed a bounded number ahead.

    Args:
        function: called in threads, one per core.
        count: number of calls.
        description: of the progress bar.
    """
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        results = _ahead(pool, function, range(count), 4 * threads)
        yield from track(results, description, total=count, transient=True)


def _ahead(
    pool: ThreadPoolExecutor, function: Callable[[int], T], items: range, ahead: int
) -> Iterator[T]:
    """`pool.map` that runs at most `ahead` items before they are asked for."""
    indices = iter(items)
    pending = [pool.submit(function, item) for item in islice(indices, ahead)]
    while pending:
        yield pending.pop(0).result()
        pending += [pool.submit(function, item) for item in islice(indices, 1)]


def format_duration(seconds: float) -> str:
    """Seconds in the two largest units, e.g. `2 min 5 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
