"""`conceptprobe extract`: activations as files, for one's own analysis or for `probe` and `align`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from conceptprobe.cli import options as o
from conceptprobe.cli.errors import print_json

if TYPE_CHECKING:
    from conceptprobe.pipeline.extraction import Written

NAME = "extract"


@o.with_loading
def command(
    stimuli: Annotated[
        str,
        typer.Argument(
            metavar="STIMULI", help="A concept file or pool, its bare name, or a .txt file of one text per line."
        ),
    ],
    model: Annotated[str, typer.Option("--model", "-m", help="One model, named as in `run`.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.", show_default=False)],
    sets: Annotated[str, typer.Option("--sets", help="Comma-separated sets of a concept file. Default: all.")] = "",
    sites: Annotated[
        str,
        typer.Option(
            "--sites", help="Comma-separated: resid_post.3, attn_out.0, or TransformerLens' hook points. Default: all."
        ),
    ] = "",
    pooling: Annotated[
        str, typer.Option("--pooling", help="Comma-separated. Default: concept_span where there are spans, else mean.")
    ] = "",
    json_: o.Json = False,
    *,
    loading: o.Loading,
) -> None:
    """Write activations of a model as safetensors, one array per site, and a table that says what each row is."""
    from conceptprobe.activations import Store
    from conceptprobe.cli.progress import Terminal
    from conceptprobe.pipeline.extraction import extract_to

    config = o.loading_config(loading)
    with Terminal() as reporter:
        written = extract_to(
            out,
            stimuli,
            model,
            sets=_listed(sets),
            sites=_listed(sites),
            poolings=_listed(pooling),
            options=config.options,
            download=not config.offline,
            store=Store(warn=reporter.message),
            reporter=reporter,
        )
    if json_:
        print_json([_as_dict(w) for w in written])
        return
    from conceptprobe.cli.tables import plain_table

    columns = ["model", "set", "pooling", "rows", "sites", "width", "file"]
    plain_table("activations", columns, [_row(w) for w in written], right={"rows", "sites", "width"}, foot=_FOOT)


_FOOT = "Each file lies beside SET.csv, whose rows are the rows of its arrays: conceptprobe probe FILE --labels SET.csv"


def _listed(names: str) -> tuple[Any, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())


def _row(w: Written) -> list[str]:
    widths = sorted(set(w.widths.values()))
    width = str(widths[0]) if len(widths) == 1 else f"{widths[0]}-{widths[-1]}"
    return [w.model, w.set_name, w.pooling, str(w.n), str(len(w.widths)), width, str(w.file)]


def _as_dict(w: Written) -> dict[str, Any]:
    return {**asdict(w), "file": str(w.file), "labels": str(w.labels)}
