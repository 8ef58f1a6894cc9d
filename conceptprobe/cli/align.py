"""`conceptprobe align`: the metrics of question 3 on arrays of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from conceptprobe.cli import options as o
from conceptprobe.cli.errors import print_json

if TYPE_CHECKING:
    from conceptprobe.pipeline.align import Aligned, SiteMap
    from conceptprobe.pipeline.align_spaces import Failure

NAME = "align"
PRINTED_MAPS = 3
"""Maps of more metrics than these are not printed: --json and --out have them."""


def command(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="A B [C ...]",
            help="Two or more arrays of the same stimuli: .npy [n d] or [n sites d], .npz or .safetensors.",
            show_default=False,
        ),
    ],
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            help="The first is the headline. Repeat, or all. Default: cka, mutual_knn, rsa.",
            show_default=False,
        ),
    ] = None,
    permutations: Annotated[int, typer.Option("--permutations", help="Draws of the null (20 or more).")] = 999,
    k: Annotated[
        int | None, typer.Option("--k", help="Neighbours, for metrics that have them. Default: 10.", show_default=False)
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option("--groups", help="csv, tsv or parquet, one row per row of the arrays.", show_default=False),
    ] = None,
    group: Annotated[
        str, typer.Option("--group", help="Column of items: the rows of one are averaged to one vector.")
    ] = "",
    focus: Annotated[
        str, typer.Option("--focus", help="Column of 0/1: in local metrics only these items ask, and all answer.")
    ] = "",
    site: Annotated[
        list[str] | None, typer.Option("--site", help="Only these sites, in whatever files have them. Repeat.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of permutations and subsamples.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for findings, maps and figures.", show_default=False)
    ] = None,
    plugin: o.Plugin = None,
    json_: o.Json = False,
) -> None:
    """Compare your own arrays: alignment of every pair of files and sites, with null and interval.

    Average the rows of one item first, with --groups and --group, because rows of one word are neighbours whatever the model.
    """
    from conceptprobe import registry
    from conceptprobe.cli.progress import Terminal
    from conceptprobe.pipeline.align import align
    from conceptprobe.pipeline.align_config import USUAL, AlignConfig
    from conceptprobe.pipeline.align_files import as_dict, said, write_align

    for file in plugin or ():
        registry.load_plugin_file(file)
    config = AlignConfig(
        files=tuple(files),
        metrics=tuple(metric or USUAL),
        sites=tuple(site or ()),
        groups=groups,
        group=group,
        focus=focus,
        permutations=permutations,
        k=k,
        seed=seed,
    )
    with Terminal() as reporter:
        aligned = align(config, reporter)
        written = []
        if out:
            with reporter.task("writing") as advance:
                written = [str(path) for path in write_align(out, config, aligned, advance)]
    if json_:
        print_json(as_dict(config, aligned) | {"files_written": written})
    else:
        _print(aligned, said(config, aligned))
        if out:
            typer.echo(f"files in {out}")
    for warning in aligned.warnings:
        typer.echo(f"warning: {warning}", err=True)
    _tell(aligned.failures)
    if aligned.failures:
        raise typer.Exit(1)


def _tell(failures: list[Failure]) -> None:
    """On stderr: what was left out and why, each reason once."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for failure in failures:
        reasons.setdefault((failure.message, failure.hint), []).append(failure.what)
    for (message, hint), what in reasons.items():
        said = len(what) == 1 and message.startswith(what[0])
        typer.echo(f"failed: {message}" if said else f"failed: {'; '.join(what)}: {message}", err=True)
        if hint:
            typer.echo(f"hint: {hint}", err=True)


def _print(aligned: Aligned, sentences: list[str]) -> None:
    from rich.console import Console

    from conceptprobe.report.page import Page

    pairs: dict[frozenset[str], list[SiteMap]] = {}
    for one in aligned.maps:
        pairs.setdefault(frozenset((one.a, one.b)), []).append(one)
    for maps in pairs.values():
        _print_pair(maps, [space.name for space in aligned.spaces.files])
    if aligned.sizes:
        _print_sizes(aligned)
    page = Page(Console(highlight=False))
    for sentence in sentences:
        page.print(*page.paragraph(sentence, page.width, hang=2))


def _print_pair(maps: list[SiteMap], files: list[str]) -> None:
    """The cell of the last sites for every metric, then what the maps hold."""
    from conceptprobe.cli.tables import plain_table
    from conceptprobe.report.numbers import count, interval, number, p_value

    a, b = sorted((maps[0].a, maps[0].b), key=files.index)
    at = {name: one.sites_a[-1] if one.a == name else one.sites_b[-1] for one in maps for name in (a, b)}
    several = maps[0].value.size > 1
    rows = []
    for one in maps:
        if one.measured[-1, -1]:
            value, low, high = one.value[-1, -1], one.ci_low[-1, -1], one.ci_high[-1, -1]
            rows.append(
                [
                    _named(one, a),
                    f"{number(value)} {interval(low, high)}",
                    number(one.null_mean[-1, -1]),
                    number(one.null_q95[-1, -1]),
                    p_value(float(one.p[-1, -1])),
                    one.chosen.closer,
                ]
            )
    where = f", {at[a]} and {at[b]}" if several else ""
    plain_table(
        f"{a} and {b}{where}: {count(maps[0].n)} items",
        ["metric", "value [95%]", "null", "null 95%", "p", "closer"],
        rows,
        right=("null", "null 95%", "p"),
    )
    if several:
        _print_maps(maps, a)


def _print_maps(maps: list[SiteMap], first: str) -> None:
    import numpy as np

    from conceptprobe.cli.tables import plain_table
    from conceptprobe.report.numbers import number

    rows = []
    for one in maps:
        own = one.value[one.measured]
        rows.append(
            [
                _named(one, first),
                number(float(np.min(own))),
                number(float(np.median(own))),
                number(float(np.max(own))),
                f"{int(one.survives.sum())} of {own.size}",
            ]
        )
    plain_table(
        "all pairs of sites (a map: nothing is chosen from it)",
        ["metric", "lowest", "median", "highest", "cells that stand out"],
        rows,
        right=("lowest", "median", "highest"),
    )
    for one in maps[:PRINTED_MAPS] if len(maps) <= PRINTED_MAPS else maps[:1]:
        _print_map(one, _named(one, first))


def _print_map(one: SiteMap, name: str) -> None:
    """Sites of a down, of b across, in as many blocks as the terminal needs."""
    from rich.console import Console

    from conceptprobe.cli.tables import GAP, plain_table
    from conceptprobe.report.numbers import number

    def cell(i: int, j: int) -> str:
        return f"{number(float(one.value[i, j]))}{'*' if one.survives[i, j] else ' '}"

    console = Console()
    heads = [f"{site} " for site in one.sites_b]  # the room of a star
    width = max(map(len, [*heads, *(cell(i, j) for i in range(len(one.sites_a)) for j in range(len(heads)))])) + GAP
    room = console.width - max(map(len, (one.a, *one.sites_a))) - GAP
    step = max(1, room // width) if console.is_terminal else len(heads)
    for start in range(0, len(heads), step):
        across = range(start, min(start + step, len(heads)))
        plain_table(
            f"{name}: sites of {one.a} down, of {one.b} across (* stands out)",
            ["", *(heads[j] for j in across)],
            [[site, *(cell(i, j) for j in across)] for i, site in enumerate(one.sites_a)],
            right=[heads[j] for j in across],
        )


def _named(one: SiteMap, first: str) -> str:
    """The metric and, where it is not symmetric, which file asks: > the first about the second, < the other way round."""
    return one.chosen.name if one.chosen.symmetric else f"{one.chosen.name} {'>' if one.a == first else '<'}"


def _print_sizes(aligned: Aligned) -> None:
    from conceptprobe.cli.tables import plain_table
    from conceptprobe.report.numbers import MISSING, count, number

    first = aligned.sizes[0]
    steps = sorted({size.n for size in aligned.sizes})
    cells: dict[tuple[str, str], dict[int, str]] = {}
    for size in aligned.sizes:
        # the last size is all items: one sample, no spread
        spread = f" ± {number(size.sd)}" if size.sd == size.sd else ""
        cells.setdefault((size.metric, size.a), {})[size.n] = f"{number(size.mean)}{spread}"
    symmetric = {one.chosen.name: one.chosen.symmetric for one in aligned.maps}
    files = [space.name for space in aligned.spaces.files]
    plain_table(
        f"score against n: {first.a} ({first.site_a}) and {first.b} ({first.site_b}), mean ± SD of subsamples",
        ["metric", *(f"n = {count(n)}" for n in steps)],
        [
            [
                metric if symmetric[metric] else f"{metric} {'>' if a == files[0] else '<'}",
                *(own.get(n, MISSING) for n in steps),
            ]
            for (metric, a), own in cells.items()
        ],
        right=[f"n = {count(n)}" for n in steps],
    )
