"""`conceptprobe probe`: the instrument of question 1 on arrays of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from conceptprobe.cli import options as o
from conceptprobe.cli.errors import print_json

if TYPE_CHECKING:
    from conceptprobe.pipeline.probe import Probed

NAME = "probe"


def command(
    x: Annotated[
        Path,
        typer.Argument(
            metavar="X", help="Features: .npy [n d] or [n sites d], .npz or .safetensors.", show_default=False
        ),
    ],
    labels: Annotated[
        Path, typer.Option("--labels", help="csv, tsv or parquet, one row per row of X.", show_default=False)
    ],
    label: Annotated[str, typer.Option("--label", help="Column of the label: 0/1, -1/+1, true/false.")] = "label",
    positive: Annotated[
        str, typer.Option("--positive", help="The value that means the concept, for other labels.")
    ] = "",
    group: Annotated[
        list[str] | None,
        typer.Option("--group", help="Column whose levels are held out whole. Repeat; the order does not matter."),
    ] = None,
    crossed: Annotated[
        str, typer.Option("--crossed", help="The group crossed with the others, or none; found out where not given.")
    ] = "",
    pair: Annotated[str, typer.Option("--pair", help="Column that links matched rows.")] = "",
    item: Annotated[str, typer.Option("--item", help="Column of items: the scores of their rows are averaged.")] = "",
    site: Annotated[
        list[str] | None, typer.Option("--site", help="Only these arrays of a file with several. Repeat.")
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind", help="Probe; the first is the headline. Repeat, or all. Default: ridge.", show_default=False
        ),
    ] = None,
    permutations: Annotated[int, typer.Option("--permutations", help="Draws of the null (20 or more).")] = 999,
    smallest_effect: Annotated[
        float, typer.Option("--smallest-effect", help="Smallest effect of interest, as AUROC above chance.")
    ] = 0.10,
    seed: Annotated[int, typer.Option("--seed", help="Of folds and exchanges.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for findings, figures and the direction.", show_default=False)
    ] = None,
    plugin: o.Plugin = None,
    json_: o.Json = False,
) -> None:
    """Probe your own arrays: held-out AUROC with its null, interval and verdict.

    Groups are held out whole: a test row shares none of them with any training row.
    """
    from conceptprobe import registry
    from conceptprobe.cli.progress import Terminal
    from conceptprobe.pipeline.probe import probe
    from conceptprobe.pipeline.probe_config import ProbeConfig
    from conceptprobe.pipeline.probe_files import as_dict, said, write_probe

    for file in plugin or ():
        registry.load_plugin_file(file)
    config = ProbeConfig(
        x=x,
        labels=labels,
        label=label,
        positive=positive,
        groups=tuple(group or ()),
        pair=pair,
        item=item,
        crossed=crossed,
        sites=tuple(site or ()),
        kinds=tuple(kind or ("ridge",)),
        permutations=permutations,
        smallest_effect=smallest_effect,
        seed=seed,
    )
    with Terminal() as reporter:
        probed, blocks, table = probe(config, reporter)
        written = [str(path) for path in write_probe(out, config, probed, blocks, table)] if out else []
    if json_:
        print_json(as_dict(config, probed, blocks, table) | {"files": written})
        return
    _print(probed, [f"The concept is '{table.meaning[0]}', the control '{table.meaning[1]}'.", *said(probed, blocks)])
    if out:
        typer.echo(f"files in {out}")


def _print(probed: Probed, sentences: list[str]) -> None:
    from rich.console import Console

    from conceptprobe.cli.tables import plain_table
    from conceptprobe.report.numbers import count, interval, number, p_value, signed
    from conceptprobe.report.page import Page
    from conceptprobe.report.phrases import Places

    places, first = Places.of(probed.findings), probed.findings[0]
    rows = [
        [
            row.metric.removeprefix("auroc (").rstrip(")"),
            number(row.estimate, places.estimate),
            number(row.reference, places.estimate),
            f"{signed(row.effect, places.effect)} {interval(row.ci_low, row.ci_high, places.effect)}",
            number(row.null_mean, places.estimate),
            number(row.null_q95, places.estimate),
            p_value(row.p),
        ]
        for row in probed.findings
    ]
    plain_table(
        f"{first.model_a}: {count(first.n)} rows, {count(probed.design.n_items)} items, "
        f"{count(first.units)} units per class, {first.split}",
        ["probe", "AUROC", "over", "effect [95%]", "null", "null 95%", "p"],
        rows,
        right=("AUROC", "over", "null", "null 95%", "p"),
    )
    if len(probed.curve) > 1:
        _print_sites(probed)
    page = Page(Console(highlight=False))
    page.print(page.verdict(first.verdict).append_text(page.text(f", {rows[0][0]} probe at {probed.site}")))
    if first.reference_kind != "chance":
        sentences = [*sentences, f"The reference is {first.reference_kind}."]
    kinds: dict[str, list[str]] = {}
    for cells, row in zip(rows, probed.findings, strict=True):
        kinds.setdefault(row.note, []).append(cells[0])
    notes = [f"{', '.join(names)}: {note}" for note, names in kinds.items() if note]
    arrays = "Nothing was compared with words, templates alone or an untrained twin: arrays have none."
    sentences = [*notes, *sentences, arrays]
    for sentence in sentences:
        page.print(*page.paragraph(sentence, page.width, hang=2))
    for warning in probed.warnings:
        typer.echo(f"warning: {warning}", err=True)


def _print_sites(probed: Probed) -> None:
    from conceptprobe.cli.tables import plain_table
    from conceptprobe.report.numbers import interval, number

    plain_table(
        "every site alone, ridge (a map: nothing is chosen from it)",
        ["site", "AUROC", "95%", "null, 95%"],
        [
            [
                record["site"],
                number(record["auroc"]),
                interval(record["ci_low"], record["ci_high"]),
                interval(record["null_low"], record["null_high"]),
            ]
            for record in probed.curve
        ],
        right=("AUROC",),
    )
