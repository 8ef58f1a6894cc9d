"""One computation in a process of its own, beside the stages of a run: it needs a core and nothing else."""

from __future__ import annotations

import signal
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from conceptprobe.errors import ConceptprobeError


class Aside:
    """Starts `function(*arguments)` in a fresh interpreter; `result()` waits for it. Leaving the block ends it."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        context = get_context("spawn")  # threads of this process are none of its business
        self._receive, send = context.Pipe(duplex=False)
        self._process = context.Process(target=_work, args=(send, function, arguments, options), daemon=True)
        self._process.start()
        send.close()

    def result(self) -> Any:
        """What the function returned. Raises ConceptprobeError with what went wrong there."""
        try:
            done, value = self._receive.recv()
        except EOFError as error:
            raise ConceptprobeError(
                "a process beside the run was killed", hint="run again: what is done is kept"
            ) from error
        if not done:
            raise ConceptprobeError(f"a process beside the run failed: {value}")
        return value

    def __enter__(self) -> Aside:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join()


def _work(send: Connection, function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    # Ctrl-C reaches every process of a terminal; the run decides what becomes of this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        send.send((True, function(*arguments, **options)))
    except Exception as error:  # it has to cross to the other process, whatever it is
        send.send((False, f"{type(error).__name__}: {error}"))
