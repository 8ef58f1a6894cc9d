"""Two threads: small products of numpy let go of the interpreter, and a laptop has two cores to spare."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


_ALONE = False


def one_at_a_time() -> None:
    """From now on this process uses one thread: for one of several that share the cores between them already."""
    global _ALONE
    _ALONE = True


def two_at_a_time(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`map`, two items at a time; results come in the order of the items."""
    if _ALONE:
        yield from map(function, items)
        return
    with _quick_switches(), ThreadPoolExecutor(2) as pool:
        yield from pool.map(function, items)


_SWITCH = 1e-5
"""Seconds after which a thread has to let another one in. A product of a fraction of a millisecond that waits Python's 5 ms for
its turn afterwards would make two threads slower than one."""
_working, _before = 0, 0.0
_counting = threading.Lock()


@contextmanager
def _quick_switches() -> Iterator[None]:
    """For as long as any pool works; pools may be nested."""
    global _working, _before
    with _counting:
        if _working == 0:
            _before = sys.getswitchinterval()
            sys.setswitchinterval(_SWITCH)
        _working += 1
    try:
        yield
    finally:
        with _counting:
            _working -= 1
            if _working == 0:
                sys.setswitchinterval(_before)
