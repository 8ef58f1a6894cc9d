"""Options that several commands share, declared once."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from conceptprobe.pipeline.defaults import ASKED, DEFAULT_MODELS

if TYPE_CHECKING:
    from conceptprobe.pipeline.config import LoadingConfig, RunConfig

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
        help="Comma-separated: zoo names, hub ids (org/name[@revision]), folders, api:URL#model, lens:NAME,"
        " random:NAME[#seed].",
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
Fetch = Annotated[bool, typer.Option("--fetch", help="Download all models that the run needs, and stop.")]
Plugin = Annotated[
    list[Path] | None,
    typer.Option("--plugin", help="A Python file that registers things. It runs code: name only your own."),
]

LOADING_SECTION = "How models are loaded, and read (word vectors take no notice)"


def _loading(flag: str, help_: str, metavar: str | None = None) -> Any:
    return typer.Option(flag, help=help_, metavar=metavar, show_default=False, rich_help_panel=LOADING_SECTION)


LOADING: dict[str, tuple[Any, Any]] = {
    "dtype": (
        Annotated[str, _loading("--dtype", "float32 (default), bfloat16, float16 or float64.", "NAME")],
        "float32",
    ),
    "quantize": (
        Annotated[str, _loading("--quantize", "Weights in 8bit or 4bit, by bitsandbytes.", "BITS")],
        "",
    ),
    "device": (
        Annotated[str, _loading("--device", "auto (default), cpu, cuda, cuda:1 or mps.", "NAME")],
        "auto",
    ),
    "device_map": (
        Annotated[str, _loading("--device-map", "auto: spread each model over all accelerators.", "auto")],
        "",
    ),
    "attn": (
        Annotated[
            str,
            _loading(
                "--attn",
                "Attention kernel: auto (default), eager, sdpa, flash_attention_2, flash_attention_3, flex_attention.",
                "NAME",
            ),
        ],
        "auto",
    ),
    "chat": (
        Annotated[
            bool, _loading("--chat", "Texts as the user's turn of each model's chat template, which is never pooled.")
        ],
        False,
    ),
    "prefix": (
        Annotated[
            str, _loading("--prefix", "Put before every text, as in 'query: '; never pooled. Not for pictures.", "TEXT")
        ],
        "",
    ),
    "truncate": (
        Annotated[
            str,
            _loading(
                "--truncate", "left or right: cut texts that are too long there, instead of refusing them.", "SIDE"
            ),
        ],
        "",
    ),
    "revision": (
        Annotated[str, _loading("--revision", "Of hub models that name none: branch, tag or commit.", "REV")],
        "",
    ),
    "cache_dir": (
        Annotated[Path | None, _loading("--cache-dir", "Folder of hub downloads. Default: the hub's own.", "DIR")],
        None,
    ),
    "offline": (
        Annotated[bool, _loading("--offline", "Never ask the hub. All that is missing is listed at once.")],
        False,
    ),
}
"""Name of a field of `RunConfig` -> (its option, its default): how models are loaded and shown their stimuli."""


def with_loading(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of `LOADING` in place of its parameter `loading`, which gets them as {name: value}.

    With --offline the environment says so before any library of the hub is imported.
    """

    @functools.wraps(command)
    def wrapped(*arguments: Any, **given: Any) -> None:
        loading = {name: given.pop(name) for name in LOADING}
        if loading["offline"]:
            os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
        command(*arguments, **given, loading=loading)

    plain = inspect.signature(command, eval_str=True)
    parameters: list[inspect.Parameter] = []
    for parameter in plain.parameters.values():
        if parameter.name != "loading":
            parameters.append(parameter)
            continue
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters += [
            inspect.Parameter(name, kind, annotation=option, default=default)
            for name, (option, default) in LOADING.items()
        ]
    changed: Any = wrapped
    changed.__signature__ = plain.replace(parameters=parameters)
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapped


Loading = Mapping[str, Any]
"""What a command that is given `with_loading` gets: {field of `RunConfig`: value}."""

MODELS = ",".join(DEFAULT_MODELS)
QUESTIONS = ",".join(ASKED)


def run_config(**options: Any) -> RunConfig:
    """The configuration from the options of `run` and `plan`; a value out of range is a UsageError."""
    from conceptprobe.pipeline.config import RunConfig

    for name in ("models", "questions"):
        if isinstance(options[name], str):
            options[name] = tuple(part.strip() for part in options[name].split(",") if part.strip())
    with _ranges_told():
        return RunConfig(**options)


def loading_config(loading: Loading) -> LoadingConfig:
    """The configuration from the options that `with_loading` gives; a value out of range is a UsageError."""
    from conceptprobe.pipeline.config import LoadingConfig

    with _ranges_told():
        return LoadingConfig(**loading)


@contextmanager
def _ranges_told() -> Iterator[None]:
    from pydantic import ValidationError

    from conceptprobe.errors import UsageError

    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]).replace("_", "-")
        raise UsageError(
            f"--{name}: {first['msg'].lower()}, not {first['input']!r}", hint="--help shows the ranges"
        ) from error
