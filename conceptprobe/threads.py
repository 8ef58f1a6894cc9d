"""Two threads: small products of numpy let go of the interpreter, and a laptop has two cores to spare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(function, items)
