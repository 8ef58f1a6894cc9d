"""`conceptprobe doctor --model NAME`: the proof of one model, as a table or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from conceptprobe.cli.errors import print_json

if TYPE_CHECKING:
    from conceptprobe.doctor.proof import Check, Proof, SiteError
    from conceptprobe.models.options import Options


def command_for(name: str, options: Options, json_: bool) -> None:
    """Prove the model of that name under these options, and print the proof. Exit code 1 where it is not safe to use."""
    from conceptprobe.doctor.prove import prove_all
    from conceptprobe.models import resolve

    proofs = prove_all(resolve(name, options=options))
    print_proofs(name, proofs, json_)
    if not all(proof.safe for proof in proofs):
        raise typer.Exit(1)


def print_proofs(name: str, proofs: Sequence[Proof], json_: bool) -> None:
    """Every tower's proof, and the verdict over all."""
    reasons = [f"{proof.modality}: {proof.reason}" if len(proofs) > 1 else proof.reason for proof in proofs]
    safe = all(proof.safe for proof in proofs)
    if json_:
        towers = [proof.record() for proof in proofs]
        print_json({"model": name, "safe": safe, "reason": "; ".join(r for r in reasons if r), "towers": towers})
        return
    from rich.console import Console
    from rich.text import Text

    for proof in proofs:
        print_proof(proof)
    done = sum(check.passed is True for proof in proofs for check in proof.checks)
    verdict = f"safe to use: {done} checks passed" if safe else f"not safe to use: {'; '.join(r for r in reasons if r)}"
    Console(highlight=False, soft_wrap=True).print(Text(verdict, style="bold" if safe else "bold red"))


def print_proof(proof: Proof) -> None:
    """One tower: its checks in three parts, then the errors of its sites."""
    from conceptprobe.cli.tables import grouped_table, plain_table

    kernel = f"{proof.kernel} attention, " if proof.kernel else ""
    title = f"{proof.model}: {proof.family}, {proof.modality}, {kernel}{proof.dtype} on {proof.device}"
    parts: dict[str, list[list[str]]] = {}
    for check in proof.checks:
        parts.setdefault(_part(check), []).append(_cells(check))
    grouped_table(title, ("check", "", "error", "limit", "found"), parts, right=("error", "limit"), heading="part")
    if proof.sites:
        rows = [_site_cells(kind, of) for kind, of in _by_kind(proof.sites).items()]
        plain_table(
            "largest difference from float64",
            ("site", "width", "eager float32", "float32 as run", "as asked"),
            rows,
            right=("width", "eager float32", "float32 as run", "as asked"),
            foot="Relative to the largest value of the site; --json has every site by itself.",
        )


_STATES = {True: "ok", False: "FAILS", None: ""}
_TOKENS = ("tokenizer", "bos", "special", "offsets", "terms")
_MODEL = ("loads", "shown", "blocks", "sites", "finite", "runs", "hidden_states", "branches")


def _part(check: Check) -> str:
    return "the model" if check.name in _MODEL else "its texts" if check.name in _TOKENS else "its rows"


def _cells(check: Check) -> list[str]:
    from conceptprobe.doctor.proof import QUESTIONS

    found = f"{QUESTIONS[check.name]}: {check.note}" if check.note else QUESTIONS[check.name]
    return [check.name.replace("_", " "), _STATES[check.passed], _number(check.error), _number(check.limit), found]


def _by_kind(sites: Sequence[SiteError]) -> dict[str, list[SiteError]]:
    kinds: dict[str, list[SiteError]] = {}
    for site in sites:
        kinds.setdefault(site.site.partition(".")[0], []).append(site)
    return kinds


def _site_cells(kind: str, sites: Sequence[SiteError]) -> list[str]:
    def largest(way: str) -> str:
        return _number(max((getattr(s, way) for s in sites if getattr(s, way) is not None), default=None))

    widths = "/".join(str(width) for width in dict.fromkeys(site.width for site in sites))
    name = f"{kind}.0 to .{len(sites) - 1}" if len(sites) > 1 else sites[0].site
    return [name, widths, *(largest(way) for way in ("eager", "fused", "asked"))]


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.1e}"
