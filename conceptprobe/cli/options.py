"""Options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from conceptprobe.pipeline.defaults import ASKED, DEFAULT_MODELS

if TYPE_CHECKING:
    from conceptprobe.pipeline.config import RunConfig

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, errors included.")]
Results = Annotated[Path, typer.Option("--results", help="Folder of run folders.", show_default=True)]
ConceptArgument = Annotated[
    str, typer.Argument(metavar="CONCEPT", help="A concept file, or the bare name of one: soul.", show_default=False)
]
Models = Annotated[
    str,
    typer.Option(
        "--models",
        "-m",
        help="Comma-separated: zoo names, hub ids (org/name[@revision]), folders, api:URL#model, random:NAME[#seed].",
    ),
]
Background = Annotated[str, typer.Option("--background", help="The pool of words: a file or a bare name.")]
Questions = Annotated[str, typer.Option("--questions", help=f"Comma-separated: {', '.join(ASKED)}.")]
Twins = Annotated[int, typer.Option("--twins", help="Random twins per model (1 to 20).")]
Permutations = Annotated[int, typer.Option("--permutations", help="Draws per null; at least 999 are made.")]
Seed = Annotated[int, typer.Option("--seed", help="Of folds, exchanges and pictures.")]
Human = Annotated[
    Path | None,
    typer.Option(
        "--human", help="A folder of tables of human word similarity (lines: word1 word2 score), to hold models to."
    ),
]
PlanOption = Annotated[
    Path | None,
    typer.Option(
        "--plan",
        help="Follow a plan frozen by `conceptprobe plan --freeze`: any difference is listed, and nothing is run.",
    ),
]
Freeze = Annotated[
    Path | None,
    typer.Option("--freeze", help="Write the plan to this new file, to be followed by `conceptprobe run --plan`."),
]
Plugin = Annotated[
    list[Path] | None,
    typer.Option("--plugin", help="A Python file that registers things. It runs code: name only your own."),
]

MODELS = ",".join(DEFAULT_MODELS)
QUESTIONS = ",".join(ASKED)


def run_config(**options: Any) -> RunConfig:
    """The configuration from the options of `run` and `plan`; a value out of range is a UsageError."""
    from pydantic import ValidationError

    from conceptprobe.errors import UsageError
    from conceptprobe.pipeline.config import RunConfig

    for name in ("models", "questions"):
        if isinstance(options[name], str):
            options[name] = tuple(part.strip() for part in options[name].split(",") if part.strip())
    try:
        return RunConfig(**options)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"--{name}: {first['msg'].lower()}, not {first['input']!r}", hint="--help shows the ranges"
        ) from error
