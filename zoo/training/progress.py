"""A progress bar for training steps: rich on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def steps_with_progress(start: int, stop: int, note: Callable[[], str], every_s: float = 30) -> Iterator[int]:
    """Yield start ... stop - 1; beside the bar stands `note()`."""
    console = Console(stderr=True)
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    began = said = time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("train", total=stop, completed=start, note="")
        for step in range(start, stop):
            yield step
            progress.update(task, completed=step + 1, note=note())
            now = time.monotonic()
            if not console.is_terminal and (now - said > every_s or step + 1 == stop):
                print(f"step {step + 1}/{stop}  {now - began:.0f} s  {note()}", file=sys.stderr, flush=True)
                said = now
