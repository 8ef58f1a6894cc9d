"""`conceptprobe show`: a finished run again, or the list of runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from conceptprobe.cli import options as o
from conceptprobe.cli.errors import print_json

if TYPE_CHECKING:
    from rich.console import Console

    from conceptprobe.pipeline.results import Run

NAME = "show"


def command(
    run: Annotated[
        str, typer.Argument(help="A run folder, a run id or the beginning of one, or a concept (its newest run).")
    ] = "",
    results: o.Results = Path("results"),
    json_: o.Json = False,
) -> None:
    """Show a run's concept card and tables again; without an argument, list the runs."""
    from conceptprobe.pipeline.results import find_run, runs

    if run:
        found = find_run(run, results)
        print_json(as_dict(found)) if json_ else print_run(found)
        return
    rows = [_line(found) for found in runs(results)]
    if json_:
        print_json(rows)
        return
    from conceptprobe.cli.tables import plain_table

    columns = ["run", "concept", "status", "started", "models", "folder"]
    plain_table(f"runs in {results}", columns, [[row[c] for c in columns] for row in rows])


def as_dict(run: Run) -> dict[str, Any]:
    """A run as plain data."""
    return {
        "folder": str(run.folder),
        "manifest": run.manifest,
        "findings": [asdict(f) for f in run.findings],
        "pictures": run.pictures,
    }


def print_run(run: Run, console: Console | None = None) -> None:
    """The concept card, the tables and the pictures nearest to the concept, on stdout by default."""
    from rich.console import Console

    from conceptprobe.report.card import concept_card
    from conceptprobe.report.console import RunSummary, render
    from conceptprobe.report.gallery import print_gallery

    manifest = run.manifest
    summary = RunSummary(
        run.run_id,
        definition=manifest["concept"]["definition"],
        models=tuple((m["name"], m["kind"], ", ".join(m["modalities"])) for m in manifest["models"]),
        stimuli={name: about["n"] for name, about in manifest["stimuli"]["sets"].items()},
        folder=str(run.folder),
        plan=frozen_plan(run),
    )
    card = concept_card(run.findings, manifest["concept"]["name"], manifest["not_asked"])
    console = console or Console(highlight=False)
    render(console, card, run.findings, summary)
    print_gallery(console, run.pictures, str(run.contact_sheet))


def frozen_plan(run: Run) -> tuple[str, ...]:
    """`1a2b3c4d, frozen 2026-01-31` and `after 2 runs of these stimuli`; empty where no plan was frozen."""
    plan = run.manifest.get("frozen_plan")
    if not plan:
        return ()
    counts = {"run": plan["runs_seen"], "unfinished run": plan["unfinished_seen"]}
    seen = " and ".join(f"{n} {what}{'s' * (n != 1)}" for what, n in counts.items() if n)
    parts = [
        f"{plan['sha256'][:8]}, frozen {plan['frozen'][:10]}",
        f"after {seen} of these stimuli" if seen else "before any known run of these stimuli",
    ]
    return (*parts, *(f"without {failure['model']}, which failed" for failure in run.failures))


def _line(run: Run) -> dict[str, str]:
    manifest = run.manifest
    return {
        "run": run.run_id,
        "concept": run.folder.parent.name,
        "status": str(manifest["status"]),
        "started": str(manifest.get("started", "")),
        "models": ", ".join(m["name"] for m in manifest.get("models", []) if m["kind"] != "twin"),
        "folder": str(run.folder),
    }
