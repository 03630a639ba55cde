"""Ctrl-C: where the run or sweep is, and the command that continues it."""

from __future__ import annotations

import _thread
import logging
import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from facekp.cli.resume import program
from facekp.core.run_folder import LAST, REPORT

EXIT_CODE = 130
"""Of a program that Ctrl-C ended, as shells expect."""

REPEAT_AFTER = 5.0
"""Seconds after which an interrupt that had no effect is repeated."""


@dataclass
class _Running:
    folder: Path | None = None
    is_sweep: bool = False
    command: str = ""
    """That continues a search, whose folder cannot be resumed."""


_running = _Running()


def started(folder: str | Path, is_sweep: bool = False, command: str = "") -> None:
    """Remember the folder of a run or sweep, for the message; a run inside a sweep is its part."""
    if not _running.is_sweep:
        _running.folder, _running.is_sweep = Path(folder), is_sweep
        _running.command = command


@contextmanager
def resumable() -> Iterator[None]:
    """End the program after Ctrl-C with the command that continues; a sweep gets its report."""
    try:
        with _repeated_interrupts():
            yield
    except KeyboardInterrupt:
        logging.disable()  # torch, if its import was interrupted, logs at the exit
        folder = _running.folder
        if folder is None:
            print("\nstopped", flush=True)
            raise SystemExit(EXIT_CODE) from None
        if _running.is_sweep:
            _report(folder)
        print(f"\nstopped     {folder}")
        if not _running.is_sweep and not (folder / LAST).is_file():
            print("            no epoch was complete: it would begin again")
        print(f"continue    {_running.command or _resume_command(folder)}", flush=True)
        raise SystemExit(EXIT_CODE) from None


@contextmanager
def _repeated_interrupts() -> Iterator[None]:
    """Repeat Ctrl-C until it ends the block.

    Python drops an exception that is raised in a finalizer or in a callback from C, and with it a
    Ctrl-C that comes at that moment.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # as under nohup
        yield
        return
    timers: list[threading.Timer] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        timer = threading.Timer(REPEAT_AFTER, _thread.interrupt_main)
        timer.daemon = True
        timer.start()
        timers.append(timer)
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
        if signal.getsignal(signal.SIGINT) is interrupt:  # Lightning ignores further ones
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _resume_command(folder: Path) -> str:
    return f"{program()} {shlex.quote(f'resume={folder}')}"


def _report(folder: Path) -> None:
    """Write the report of a sweep's jobs so far."""
    from facekp.visualization.reports.sweep import write_sweep_report

    jobs, _ = write_sweep_report(folder, _running.command or _resume_command(folder))
    done = int((jobs["status"] == "done").sum())
    unfinished = len(jobs) - done
    print(f"\njobs        {done} done, {unfinished} not")
    print(f"report      {folder / REPORT}")
