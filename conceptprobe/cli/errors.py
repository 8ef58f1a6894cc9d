"""One way for a command to end badly: a message and a hint on stderr, or one JSON object on stdout with --json."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import typer

from conceptprobe.errors import ConceptprobeError
from conceptprobe.files import finite


class Interrupted(ConceptprobeError):
    """Ctrl-C."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__("interrupted", hint="run the same command again: what was finished is kept")


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """The command with every ConceptprobeError, Ctrl-C and closed pipe turned into a message and an exit code."""

    @functools.wraps(command)
    def wrapped(*arguments: Any, **options: Any) -> None:
        as_json = bool(options.get("json_"))
        try:
            command(*arguments, **options)
        except ConceptprobeError as error:
            _end(error, as_json)
        except KeyboardInterrupt:
            _end(Interrupted(), as_json)
        except BrokenPipeError:
            # The reader went away (`| head`): not an error, but nothing more can be written.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None

    return wrapped


def print_json(value: Any) -> None:
    """A value as JSON on stdout; nan and infinities become null, because JSON has no word for them."""
    typer.echo(json.dumps(finite(value), indent=1, ensure_ascii=False))


def _end(error: ConceptprobeError, as_json: bool) -> NoReturn:
    # A concept file's problems begin with file:line:column, for editors to jump to; nothing may stand before them.
    places = [str(problem) for problem in getattr(error, "problems", ())]
    if as_json:
        print_json({"error": error.message, "hint": error.hint, "exit_code": error.exit_code, "problems": places})
    else:
        bare = bool(places) or isinstance(error, Interrupted)
        typer.echo(error.message if bare else f"error: {error.message}", err=True)
        if error.hint:
            typer.echo(f"hint: {error.hint}", err=True)
    raise typer.Exit(error.exit_code)
