"""Progress bars on stderr with the time left; off a terminal, one line per message and no bars."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from conceptprobe.pipeline.progress import Advance


class Terminal:
    """A Reporter on stderr."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )

    def __enter__(self) -> Terminal:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    @contextmanager
    def task(self, label: str) -> Iterator[Advance]:
        """A bar while the block runs. A task of one step is shown as busy: nobody knows how far it is."""
        task = self._progress.add_task(label, total=None)

        def advance(done: int, total: int) -> None:
            self._progress.update(task, completed=done, total=total if total > 1 else None)

        try:
            yield advance
        finally:
            self._progress.remove_task(task)

    def message(self, text: str) -> None:
        """One line above the bars."""
        self.console.print(text, markup=False, soft_wrap=True)
