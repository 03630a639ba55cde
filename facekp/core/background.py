"""Threads that work ahead of, or behind, the one that uses them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Full, Queue
from threading import Event, Thread
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

_WAIT = 0.1  # seconds between looks whether the other side still wants something


def ahead(items: Iterable[T], count: int) -> Generator[T, None, None]:
    """Items computed in a thread, at most `count` ahead; its error is raised here in its turn."""
    queue: Queue[Any] = Queue(count)
    stopped = Event()

    def put(item: Any) -> None:
        while not stopped.is_set():
            with suppress(Full):
                return queue.put(item, timeout=_WAIT)
        raise _StoppedError

    def work() -> None:
        try:
            for item in items:
                put((item, False, None))
            put((None, True, None))
        except _StoppedError:
            pass
        except BaseException as error:  # raised where the items are used
            with suppress(_StoppedError):
                put((None, True, error))

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, ended, error = queue.get()
            if error is not None:
                raise error
            if ended:
                return
            yield item
    finally:
        stopped.set()
        thread.join()


class _StoppedError(Exception):
    """Nobody wants further items."""


class Behind:
    """Calls functions in a thread, in order; at most some calls wait.

        with Behind(8) as later:
            later(print, "first")

    An error of a call is raised by a later one, or at the end of the block.

    Args:
        count: calls that may wait.
    """

    def __init__(self, count: int) -> None:
        self._pool, self._count = ThreadPoolExecutor(1), count
        self._calls: list[Future[Any]] = []

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function later; waits while too many calls do."""
        while self._calls and (len(self._calls) >= self._count or self._calls[0].done()):
            self._calls.pop(0).result()
        self._calls.append(self._pool.submit(function, *arguments))

    def __enter__(self) -> Behind:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=error is not None)
        if error is None:
            for call in self._calls:
                call.result()
