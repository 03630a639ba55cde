"""Threads ahead of and behind the one that uses them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from facekp.core.background import Behind, ahead


def test_items_come_in_order_and_few_ahead() -> None:
    made = []

    def items() -> Iterator[int]:
        for number in range(50):
            made.append(number)
            yield number

    taken = []
    for number in ahead(items(), 3):
        taken.append(number)
        assert len(made) <= number + 6
    assert taken == list(range(50))


def test_an_error_comes_in_its_turn_and_no_thread_stays() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    numbers = ahead(items(), 3)
    assert next(numbers) == 1
    with pytest.raises(ValueError, match="the second"):
        next(numbers)
    before = threading.active_count()
    endless = ahead(iter(int, 1), 3)
    next(endless)
    endless.close()
    assert threading.active_count() == before


def test_calls_happen_in_order_and_raise_their_errors() -> None:
    done: list[int] = []
    with Behind(2) as later:
        for number in range(20):
            later(done.append, number)
    assert done == list(range(20))
    with pytest.raises(ZeroDivisionError), Behind(2) as later:
        later(divmod, 1, 0)
    with pytest.raises(KeyError), Behind(2) as later:
        raise KeyError
