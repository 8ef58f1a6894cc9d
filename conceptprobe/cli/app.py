"""The application: its commands, and how every error ends (a message, a hint, an exit code; never a traceback)."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from conceptprobe.cli import align, cache, calibrate, doctor, extract, list_, plan, probe, run, show, validate
from conceptprobe.cli.errors import guarded
from conceptprobe.cli.help import Sectioned

app = typer.Typer(
    name="conceptprobe",
    help="Is a concept represented in models, is it the same in all of them, and is it more than words?",
    no_args_is_help=True,
    # Plain help: rich would double the time to show it.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for module in (run, plan, validate, extract, probe, align, calibrate, list_, show, cache, doctor):
    app.command(module.NAME, cls=Sectioned)(guarded(module.command))


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        typer.echo(f"conceptprobe {metadata.version('conceptprobe')}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Is a concept represented in models, is it the same in all of them, and is it more than words?"""


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 some cells failed, 2 usage or concept file, 3 missing, 130 interrupted."""
    try:
        app()
    except KeyboardInterrupt:  # before or after a command's own guard
        sys.exit(130)
