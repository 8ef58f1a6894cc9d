"""`conceptprobe list`: what there is to name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from conceptprobe.cli import options as o
from conceptprobe.cli.errors import print_json

if TYPE_CHECKING:
    from conceptprobe.models.families.catalogue import Entry

NAME = "list"
WHAT = ("models", "concepts", "questions", "metrics", "probes", "figures")


def command(
    what: Annotated[str, typer.Argument(help=f"One of: {', '.join(WHAT)}.")] = "models",
    families: Annotated[
        bool, typer.Option("--families", help="With models: the families that are read, and what was proved of each.")
    ] = False,
    json_: o.Json = False,
) -> None:
    """List models, concepts, questions, metrics, probes or figures."""
    from conceptprobe.errors import UsageError, did_you_mean

    if what not in WHAT:
        raise UsageError(
            f"nothing to list named '{what}'.{did_you_mean(what, WHAT)}", hint=f"one of: {', '.join(WHAT)}"
        )
    if families:
        _families(what, json_)
        return
    rows = _ROWS[what]()
    if json_:
        print_json(rows)
        return
    from conceptprobe.cli.tables import described_table, plain_table

    if what == "metrics":
        shown = [{name: say for name, say in row.items() if name in METRIC_COLUMNS} for row in rows]
        described_table(what, shown, beside=("closer",))
        return
    columns = list(rows[0]) if rows else []
    plain_table(what, columns, [[str(row[c]) for c in columns] for row in rows], prose=True)


def _models() -> list[dict[str, Any]]:
    from conceptprobe.models.zoo import zoo_entries

    return [{"name": e.name, "modality": e.modality, "size": e.size, "what": e.line} for e in zoo_entries()]


def _families(what: str, json_: bool) -> None:
    """The table of families; docs/models.md has its numbers by themselves."""
    from dataclasses import asdict

    from conceptprobe.errors import UsageError
    from conceptprobe.models.families.catalogue import entries, read_proofs

    if what != "models":
        raise UsageError(f"{what} have no families", hint="conceptprobe list models --families")
    known = entries()
    if json_:
        rows = [{**asdict(e), "safe": e.safe, "kernel": e.kernel, "sites": e.sites, "proved": e.proved} for e in known]
        print_json({"versions": read_proofs()["versions"], "families": rows})
        return
    from rich.console import Console

    from conceptprobe.cli.tables import WIDE, described_table, plain_table

    said = ", ".join(f"{package} {version}" for package, version in read_proofs()["versions"].items())
    foot = (
        f"{sum(e.safe for e in known)} of {len(known)} pass every check, on tiny checkpoints with large weights ({said})."
        " The error is the largest against transformers alone, of batches, of fused attention and against float64, relative to"
        " the scale of a site; docs/models.md has each by itself, and all sites.\n"
        "`conceptprobe doctor --model NAME` proves one model, with its own weights, on this machine."
    )
    console = Console()
    if console.is_terminal and console.width < WIDE:
        described_table("families", [_family_lines(entry) for entry in known], beside=("reads", "attention"), foot=foot)
        return
    rows = [_family_cells(entry) for entry in known]
    plain_table("families", list(rows[0]), [list(row.values()) for row in rows], right=(_ERROR,), foot=foot)


def _family_cells(entry: Entry) -> dict[str, str]:
    from conceptprobe.models.families.catalogue import BATCHES

    errors = [entry.error(*names) for names in (("reading",), BATCHES, ("fused",), ("fused_float64",))]
    largest = max((error for error in errors if error is not None), default=None)
    return {
        "family": entry.family,
        "reads": entry.reads,
        "attention": entry.kernel,
        "proved": "yes" if entry.safe else entry.proved,
        _ERROR: "" if largest is None else f"{largest:.0e}",
        "example": entry.example,
    }


_ERROR = "error"


def _family_lines(entry: Entry) -> dict[str, str]:
    return {
        "family": entry.family,
        "reads": entry.reads,
        "attention": entry.kernel,
        "proved": entry.proved,
        "sites": ", ".join(entry.sites),
        "example": entry.example,
    }


def _concepts() -> list[dict[str, Any]]:
    from conceptprobe.stimuli import known_concepts

    return [{"name": name, "file": str(path)} for name, path in known_concepts().items()]


def _questions() -> list[dict[str, Any]]:
    from conceptprobe.evidence.finding import QUESTIONS
    from conceptprobe.pipeline.defaults import ASKED, NOT_ASKED

    return [
        {"name": name, "question": text, "asked": "yes" if name in ASKED else f"no: {NOT_ASKED[name]}"}
        for name, text in QUESTIONS.items()
    ]


METRIC_COLUMNS = ("name", "what", "closer", "invariant to", "cost", "fails")
"""As printed; --json has all that is known."""


def _metrics() -> list[dict[str, Any]]:
    from dataclasses import asdict, is_dataclass

    from conceptprobe import registry

    named = {"about": "what", "invariant_to": "invariant to"}
    rows = []
    for entry in registry.entries("metric").values():
        about = {named.get(key, key): value for key, value in entry.about.items()}
        known = {"name": entry.name} | {key: about.pop(key, "") for key in METRIC_COLUMNS[1:]} | about
        known["invariant to"] = ", ".join(known["invariant to"])
        settings = asdict(entry.value) if is_dataclass(entry.value) and not isinstance(entry.value, type) else {}
        rows.append(known | {"settings": settings})
    return rows


def _registered(kind: str) -> list[dict[str, Any]]:
    from conceptprobe import registry

    def say(value: Any) -> str:
        return ", ".join(map(str, value)) if isinstance(value, tuple) else getattr(value, "__name__", str(value))

    return [
        {"name": e.name, "about": "; ".join(f"{k}: {say(v)}" for k, v in e.about.items())}
        for e in registry.entries(kind).values()
    ]


_ROWS = {
    "models": _models,
    "concepts": _concepts,
    "questions": _questions,
    "metrics": _metrics,
    "probes": lambda: _registered("probe"),
    "figures": lambda: _registered("figure"),
}
