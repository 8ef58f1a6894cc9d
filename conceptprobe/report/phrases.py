"""One finding in words: names of models, towers, metrics and references, and its numbers as short phrases."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from conceptprobe.evidence.finding import Finding
from conceptprobe.report.numbers import MISSING, count, decimals, interval, number, p_value, signed

PREFIXES = {"static": ("words:", "static:", "position", "length"), "twin": ("random:",)}
"""Beginnings of names that tell what a model is."""
_REST = re.compile(r"[:;] | \(")

SPELLING = {
    "auroc": "AUROC",
    "cka": "CKA",
    "rsa": "RSA",
    "mutual_knn": "mutual kNN",
    "information_imbalance": "information imbalance",
    "spearman": "Spearman",
}
"""Names of metrics in a registry are lower case; abbreviations are not."""


@dataclass(frozen=True)
class Places:
    """Decimals of numbers that stand under one another: as few as the rows allow."""

    estimate: int
    effect: int

    @classmethod
    def of(cls, rows: Sequence[Finding]) -> Places:
        """Two each, or three where two would hide what a verdict rests on."""
        effects = [decimals((r.effect, r.ci_low, r.ci_high), (0.0, 1.0, r.smallest_effect)) for r in rows]
        return cls(decimals(v for r in rows for v in (r.estimate, r.reference, r.null_q95)), max(effects, default=2))


def model_name(row: Finding) -> str:
    """`minilm`, `words:tfidf`, `minilm vs words:cooccurrence (static)`, `pocket-lm > pocket-vision (image)`.

    In a comparison what is not a trained model is always marked; alone, only where its name does not say so. Across
    modalities an AUROC goes one way: a probe of the first is read in the second.
    """
    sides = ((row.model_a, row.kind_a, row.modality_a), (row.model_b, row.kind_b, row.modality_b))
    both = [side for side in sides if side[0]]
    told = [len(both) == 1 and name.startswith(PREFIXES.get(kind, ())) for name, kind, _ in both]
    names = [
        tower_name(name, modality, "" if said or kind == "trained" else kind)
        for (name, kind, modality), said in zip(both, told, strict=True)
    ]
    return (" > " if row.question == "crossmodal" and row.metric.startswith("auroc") else " vs ").join(names)


def tower_name(name: str, modality: str, kind: str = "") -> str:
    """`pocket-joint`, and `pocket-joint (image)` for the tower that reads pictures; text needs no mention."""
    marks = [mark for mark in (kind, "" if modality == "text" else modality) if mark]
    return f"{name} ({', '.join(marks)})" if marks else name


def site_name(row: Finding) -> str:
    """`resid_post.2`, or both where two sites are compared."""
    return " vs ".join(site for site in (row.site_a, row.site_b) if site)


def modality_name(row: Finding) -> str:
    """`image vs text`; nothing for plain text, which needs no mention."""
    names = " vs ".join(dict.fromkeys(m for m in (row.modality_a, row.modality_b) if m))
    return "" if names == "text" else names


def metric_name(row: Finding) -> str:
    """The metric as the field writes it: `AUROC`, `mutual kNN`."""
    return " ".join(SPELLING.get(word, word) for word in row.metric.split())


def reference_name(row: Finding, places: int) -> str:
    """`chance 0.50`, `best lexical baseline 0.53: words:tfidf`; the value stands before what explains the name."""
    return worded_reference(row.reference_kind, row.reference, places)


def worded_reference(kind: str, value: float, places: int) -> str:
    """The same for a reference of its own."""
    name, rest = reference_parts(kind)
    return f"{name} {number(value, places)}{rest}".strip()


def reference_parts(kind: str) -> tuple[str, str]:
    """What a reference is, and what explains it: `best lexical baseline`, `: words:tfidf`."""
    rest = _REST.search(kind)
    return (kind[: rest.start()], kind[rest.start() :]) if rest else (kind, "")


def size(row: Finding) -> str:
    """`1,080 rows, 24 units`."""
    return f"{count(row.n)} rows, {count(row.units)} units"


def facts(row: Finding, places: Places, *, brief: bool = False) -> tuple[list[str], list[str]]:
    """The numbers of a row as short phrases: what was found, and what it stands on.

    `brief`: less what explains the reference, and the numbers of rows and units.
    """
    reference = f"{reference_parts(row.reference_kind)[0]} {number(row.reference, places.estimate)}".strip()
    found = [
        f"effect {signed(row.effect, places.effect)} {interval(row.ci_low, row.ci_high, places.effect)}",
        f"over {reference if brief else reference_name(row, places.estimate)}",
    ]
    null = f"null 95% {number(row.null_q95, places.estimate)}"
    basis = [null, f"p {p_value(row.p)}", f"q {p_value(row.q)}", *([] if brief else [size(row)])]
    return found, [phrase for phrase in basis if not phrase.endswith(f" {MISSING}")]
