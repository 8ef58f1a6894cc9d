"""`conceptprobe plan`: what a run would do. Nothing is executed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from conceptprobe.cli import options as o
from conceptprobe.cli.errors import print_json

if TYPE_CHECKING:
    from conceptprobe.activations import Store
    from conceptprobe.pipeline.config import RunConfig
    from conceptprobe.pipeline.plan import Plan

NAME = "plan"


@o.with_loading
def command(
    concept: o.ConceptArgument,
    models: o.Models = o.MODELS,
    background: o.Background = "background",
    questions: o.Questions = o.QUESTIONS,
    twins: o.Twins = 3,
    permutations: o.Permutations = 999,
    seed: o.Seed = 0,
    human: o.Human = None,
    results: o.Results = Path("results"),
    freeze: o.Freeze = None,
    fetch: o.Fetch = False,
    json_: o.Json = False,
    *,
    loading: o.Loading,
) -> None:
    """Show what a run would do: stimuli, models, what is cached, sizes, and what could be found. Nothing is executed.

    With --freeze the plan is written down before data are seen: hashes of models, stimuli and code, rules, smallest
    effects. `conceptprobe run --plan FILE` follows it or refuses. With --fetch, what the run needs is downloaded, and
    nothing else is done.
    """
    config = o.run_config(
        concept=concept,
        models=models,
        background=background,
        questions=questions,
        twins=twins,
        permutations=permutations,
        seed=seed,
        human=human,
        results=results,
        **loading,
    )
    if fetch:
        _fetch(config, json_, freeze)
        return
    from conceptprobe.activations import Store
    from conceptprobe.pipeline.plan import make_plan

    plan = make_plan(config)
    frozen = _freeze(plan, freeze) if freeze else {}
    summary = summarise(plan, Store()) | frozen
    if json_:
        print_json(summary)
    else:
        _print(summary)
        for line in summary["left_out"]:
            typer.echo(f"note: {line}", err=True)


def _fetch(config: RunConfig, json_: bool, freeze: Path | None) -> None:
    """Download the models of the run, and say what is here now."""
    import sys
    from dataclasses import asdict

    from conceptprobe.cli.progress import Terminal
    from conceptprobe.cli.tables import plain_table
    from conceptprobe.errors import UsageError
    from conceptprobe.files import size
    from conceptprobe.pipeline.finding_models import fetch_models
    from conceptprobe.stimuli import find_concept_file, load_concept

    for other, name in ((freeze, "--freeze"), (config.offline, "--offline")):
        if other:
            raise UsageError(f"--fetch and {name} contradict each other", hint="--fetch downloads, and stops there")
    load_concept(find_concept_file(config.concept))  # a file that no run could read is said before hours of download
    fetched = fetch_models(config, Terminal(), bars=sys.stderr.isatty())
    if json_:
        print_json({"models": [asdict(row) for row in fetched]})
        return
    plain_table(
        f"models of {config.concept}",
        ["model", "is", "size", "revision", "folder"],
        [
            [
                f.model,
                "fetched" if f.downloaded else "was here",
                size(f.bytes_) if f.folder else "",
                f.revision,
                f.folder,
            ]
            for f in fetched
        ],
        right={"size"},
        foot="Random twins are drawn from what is here.",
    )


def _freeze(plan: Plan, path: Path) -> dict[str, Any]:
    """Write the plan to a new file and say so on stderr; what --json adds."""
    from conceptprobe.pipeline.prereg import freeze

    made = freeze(plan, path).plan
    typer.echo(f"frozen: {path}, sha256 {made.sha256}", err=True)
    if made.seen.finished:
        n = len(made.seen.finished)
        typer.echo(f"note: frozen after {n} run{'s' * (n != 1)} of these stimuli, and the plan says so", err=True)
    if made.code.git is not None and made.code.git.dirty:
        typer.echo("note: the code differs from its last commit, so nobody else can check it out", err=True)
    return {
        "frozen": {"file": str(path), "sha256": made.sha256, "date": made.frozen, "runs_seen": len(made.seen.finished)}
    }


def summarise(plan: Plan, store: Store) -> dict[str, Any]:
    """The plan as plain data, as --json prints it."""
    from conceptprobe.pipeline.power import detectable

    cells = [
        {
            "model": cell.spec.info.name,
            "kind": cell.spec.info.kind,
            "modality": cell.spec.info.modalities[0],
            "set": cell.stimuli.name,
            "n": len(cell.stimuli),
            "poolings": list(cell.poolings),
            "sites": len(cell.sites),
            "at": list(cell.sites),
            "entries": cell.entries,
            "missing": cell.missing(store),
            "bytes": cell.bytes_,
        }
        for cell in plan.cells
    ]
    return {
        "concept": plan.concept.id,
        "file": str(plan.concept_path),
        "plan_hash": plan.plan_hash,
        "questions": list(plan.config.questions),
        "sets": {name: len(s) for name, s in plan.sets.items()},
        "cells": cells,
        "entries": sum(c["entries"] for c in cells),
        "missing": sum(c["missing"] for c in cells),
        "bytes": sum(c["bytes"] for c in cells),
        "to_send": plan.to_send(store),
        "cache": str(store.path),
        "left_out": list(plan.left_out),
        "human": [
            {"table": a.table, "pairs": a.judged, "in_pool": len(a.scores), "left_out": a.reason} for a in plan.anchors
        ],
        "power": [vars(row) for row in detectable(plan)],
    }


def _print(summary: dict[str, Any]) -> None:
    from conceptprobe.cli.tables import grouped_table
    from conceptprobe.files import size

    grouped_table(
        f"plan for {summary['concept']}  ({summary['file']}, plan {summary['plan_hash'][:8]})",
        ["set", "stimuli", "sites", "cached", "size", "poolings"],
        {
            heading: [
                [
                    c["set"],
                    str(c["n"]),
                    str(c["sites"]) if c["sites"] > 1 else c["at"][0],
                    f"{c['entries'] - c['missing']}/{c['entries']}",
                    size(c["bytes"]),
                    ", ".join(c["poolings"]),
                ]
                for c in cells
            ]
            for heading, cells in _by_model(summary["cells"]).items()
        },
        right={"stimuli", "sites", "cached", "size"},
        foot="\n".join(
            [
                f"{summary['missing']} of {summary['entries']} entries to compute, {size(summary['bytes'])} in "
                f"{summary['cache']}",
                *(f"{n} texts would be sent to {name.removeprefix('api:')}" for name, n in summary["to_send"].items()),
            ]
        ),
    )
    if summary["human"]:
        _print_human(summary["human"])
    _print_power(summary["power"])


def _print_human(tables: list[dict[str, Any]]) -> None:
    from conceptprobe.cli.tables import plain_table

    plain_table(
        "human word similarities",
        ["table", "pairs", "in the pool", "left out"],
        [[t["table"], str(t["pairs"]), str(t["in_pool"]), t["left_out"]] for t in tables],
        right={"pairs", "in the pool"},
    )


def _print_power(power: list[dict[str, Any]]) -> None:
    from conceptprobe.cli.tables import grouped_table
    from conceptprobe.stats.power import about

    known = [p for p in power if not p["not_simulated"]]
    numbers = ("units", "smallest", "found from", "absent if none", "for twice", "for absent")
    notes = [f"{p['question']}: {p['simulated']}" for p in known if p["simulated"] != "against chance"]
    notes += [f"{p['question']}: not simulated: {p['not_simulated']}" for p in power if p["not_simulated"]]
    grouped_table(
        "what this file can find",
        numbers,
        {
            f"{p['question']}: {p['row']}": [
                [
                    str(p["units"]),
                    f"{p['smallest_effect']:.2f}",
                    f"{_effect(p['detectable'])} ({_effect(p['detectable_if_wide'])})",
                    f"{p['p_absent_if_none']:.0%}",
                    about(p["units_for_twice"]),
                    about(p["units_for_absent"]),
                ]
            ]
            for p in known
        },
        right=set(numbers),
        foot="\n".join([_MEANING, *notes]),
        heading="row",
    )


_MEANING = (
    "The whole verdict rule, simulated with these units per class and all headline rows of a question. Found from: effects "
    "over the reference that are found in 80% of cases; in brackets where the null is half as wide again, as it may be where "
    "probes are trained on few rows. Absent if none: how often no effect is called absent. For twice, for absent: how "
    "many units find twice the smallest effect, and call no effect absent, in 80% of cases."
)


def _effect(value: float) -> str:
    return f"{value:.2f}" if value == value else "-"


def _by_model(cells: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Heading -> cells of one tower; the random twins of a tower, which differ by their seed, are added up."""
    seeds: dict[tuple[str, str, str], dict[str, None]] = {}
    groups: dict[tuple[str, str, str], dict[tuple[Any, ...], dict[str, Any]]] = {}
    for cell in cells:
        base, _, seed = cell["model"].partition("#") if cell["kind"] == "twin" else (cell["model"], "", "")
        tower = (base, cell["modality"], cell["kind"])
        seeds.setdefault(tower, {})[seed] = None
        known = groups.setdefault(tower, {})
        what = (cell["set"], *cell["at"], *cell["poolings"])
        if what in known:
            known[what] = known[what] | {k: known[what][k] + cell[k] for k in ("entries", "missing", "bytes")}
        else:
            known[what] = cell
    return {
        " ".join([tower[0], *(f"#{seed}" for seed in seeds[tower] if seed)]) + f" ({tower[1]}, {tower[2]})": [
            *rows.values()
        ]
        for tower, rows in groups.items()
    }
