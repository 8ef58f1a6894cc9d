"""How stages tell what they do: a Reporter given from outside, silent by default."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int, int], None]
"""(done, total)."""


class Reporter(Protocol):
    """Shows progress and messages."""

    def task(self, label: str) -> AbstractContextManager[Advance]:
        """A task with a bar; call what it yields with (done, total)."""
        ...

    def message(self, text: str) -> None:
        """One line for the person watching."""
        ...


class Silent:
    """A Reporter that shows nothing."""

    @contextmanager
    def task(self, label: str) -> Iterator[Advance]:
        """Yields a function that does nothing."""
        yield lambda done, total: None

    def message(self, text: str) -> None:
        """Nothing."""
