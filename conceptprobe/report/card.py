"""The concept card: seven questions, one line each. Pure data; `console` prints it.

The rule for a line is the one of docs/architecture.md: over the headline rows of trained models, or of pairs of
unrelated trained models, `supported` if every row is, `absent` if every row is, `mixed` if both occur, else
`inconclusive`. Baselines, twins and relatives never count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from conceptprobe.errors import UsageError, did_you_mean
from conceptprobe.evidence.finding import QUESTIONS, Finding

CardVerdict = Literal["supported", "absent", "mixed", "inconclusive", "not asked"]

BETWEEN_MODELS: frozenset[str] = frozenset({"shared", "crossmodal"})
"""Questions whose rows may compare two models; then both must be trained, and unrelated, for the row to count."""


@dataclass(frozen=True)
class CardLine:
    """One question: its verdict over `rows` (the headline rows that count), or the `reason` it has none."""

    question: str
    text: str
    verdict: CardVerdict
    rows: tuple[Finding, ...]
    reason: str

    @property
    def asked(self) -> bool:
        """True where at least one headline row counts."""
        return bool(self.rows)


@dataclass(frozen=True)
class Card:
    """The card of one concept; `lines` follow the order of the evidence ladder."""

    concept: str
    lines: tuple[CardLine, ...]


def concept_card(
    findings: Iterable[Finding],
    concept_name: str,
    not_asked: Mapping[str, str],
    *,
    related: Collection[frozenset[str]] = (),
) -> Card:
    """The card of one concept's findings.

    `not_asked` maps a question to the reason it has no rows, in a sentence; a question with rows that count is
    answered by them whatever stands there. `related` holds pairs of model names that share lineage. Raises UsageError
    when the findings are of more than one concept, or when `not_asked` names no question of the ladder.
    """
    rows = list(findings)
    concepts = sorted({row.concept for row in rows})
    if len(concepts) > 1:
        raise UsageError(f"one card, but findings of {', '.join(concepts)}", hint="make one card per concept")
    for name in not_asked:
        if name not in QUESTIONS:
            raise UsageError(f"no question named '{name}'.{did_you_mean(name, QUESTIONS)}")
    lines = []
    for name, text in QUESTIONS.items():
        counting = tuple(row for row in rows if row.question == name and counts(row, related))
        reason = "" if counting else not_asked.get(name) or _default_reason(name, rows)
        lines.append(CardLine(name, text, overall(counting), counting, reason))
    return Card(concept_name, tuple(lines))


def counts(row: Finding, related: Collection[frozenset[str]] = ()) -> bool:
    """True for a headline row of a trained model, or of two trained models that are not the same and not related."""
    if not row.headline or row.kind_a != "trained":
        return False
    if row.question not in BETWEEN_MODELS or not row.model_b:
        return True
    return (
        row.kind_b == "trained" and row.model_a != row.model_b and frozenset({row.model_a, row.model_b}) not in related
    )


def overall(rows: Sequence[Finding]) -> CardVerdict:
    """One verdict for several rows; `not asked` for none."""
    verdicts = {row.verdict for row in rows}
    if not verdicts:
        return "not asked"
    if verdicts == {"supported"}:
        return "supported"
    if verdicts == {"absent"}:
        return "absent"
    if {"supported", "absent"} <= verdicts:
        return "mixed"
    return "inconclusive"


def _default_reason(question: str, rows: Sequence[Finding]) -> str:
    if question in BETWEEN_MODELS and any(row.question == question for row in rows):
        return "It needs two unrelated trained models; here one side is a baseline, a twin or a relative."
    return "No row of this run answers it for a trained model."
