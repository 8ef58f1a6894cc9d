"""From scores to Findings: estimate, reference, interval, null, p; then q and verdict over a question's headline rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.evidence.context import RunContext, Subject
from conceptprobe.evidence.finding import Finding
from conceptprobe.stats.auroc import auroc_interval, inflation
from conceptprobe.stats.design import Design
from conceptprobe.stats.exchange import add_one_p, rank_swap_null
from conceptprobe.stats.jackknife import jackknife_interval
from conceptprobe.stats.multiplicity import benjamini_hochberg
from conceptprobe.stats.power import auroc_power
from conceptprobe.stats.verdict import ceiling_guard, units_guard, verdict

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

NAN = math.nan


@dataclass(frozen=True)
class Measured:
    """An AUROC with all that makes it honest; `effect` bounds are those of the effect, not of the estimate."""

    estimate: float
    reference: float
    reference_kind: str
    ci_low: float
    ci_high: float
    null_mean: float
    null_q95: float
    p: float
    n: int
    units: int
    c: float


def against_chance(auroc: Float[np.ndarray, " draws"], design: Design) -> Measured:
    """AUROC (column 0 observed, the rest its null) against 0.5."""
    value, null = float(auroc[0]), auroc[1:]
    n1, n0 = design.units_per_class
    c = inflation(null, n1, n0)
    low, high = auroc_interval(value, n1, n0, c)
    return Measured(
        value,
        0.5,
        "chance",
        low - 0.5,
        high - 0.5,
        float(null.mean()),
        float(np.quantile(null, 0.95)),
        add_one_p(value, null),
        len(design.item),
        design.n_units,
        c,
    )


def against_baseline(
    scores: Float[np.ndarray, "draws items"],
    auroc: Float[np.ndarray, " draws"],
    baseline: Float[np.ndarray, " items"],
    baseline_name: str,
    design: Design,
    rng: np.random.Generator,
) -> Measured:
    """AUROC against the larger of 0.5 and the baseline's, both of which it has to beat.

    The effect is the smaller of two gains, over chance and over the baseline. Its interval runs from the smaller of the
    two lower ends to the smaller of the two upper ends, and its p is the larger of the two: label exchange for the gain
    over chance, within-fold rank swaps for the gain over the baseline (intersection-union test, Berger 1982).
    """
    chance = against_chance(auroc, design)
    reference = float(design.auroc(baseline))
    observed, swapped = rank_swap_null(scores[0], baseline, design, len(auroc) - 1, rng)

    def gain(keep: Bool[np.ndarray, " items"]) -> float:
        return float(design.auroc(scores[0], keep=keep) - design.auroc(baseline, keep=keep))

    low, high = jackknife_interval(chance.estimate - reference, gain, design.unit, chance.c)
    above = reference > 0.5
    return replace(
        chance,
        reference=max(0.5, reference),
        reference_kind=f"best lexical baseline: {baseline_name}"
        if above
        else f"chance; best lexical baseline below: {baseline_name}",
        ci_low=min(chance.ci_low, low),
        ci_high=min(chance.ci_high, high),
        p=max(chance.p, add_one_p(observed, swapped)),
    )


def finding(
    run: RunContext,
    question: str,
    subject: Subject | str,
    measured: Measured,
    *,
    kind: str = "",
    site: str = "",
    metric: str = "auroc (ridge)",
    split: str,
    headline: bool = False,
    note: str = "",
) -> Finding:
    """A row about one model or baseline; verdict and q of headline rows are filled in by `settle`."""
    name = subject if isinstance(subject, str) else subject.name
    modality = "text" if isinstance(subject, str) else subject.modality
    return Finding(
        run_id=run.run_id,
        concept=run.concept,
        question=question,
        headline=headline,
        model_a=name,
        model_b="",
        kind_a=kind or (subject.info.kind if isinstance(subject, Subject) else "static"),
        kind_b="",
        modality_a=modality,
        modality_b="",
        site_a=site,
        site_b="",
        metric=metric,
        split=split,
        estimate=measured.estimate,
        reference=measured.reference,
        reference_kind=measured.reference_kind,
        effect=measured.estimate - measured.reference,
        ci_low=measured.ci_low,
        ci_high=measured.ci_high,
        null_mean=measured.null_mean,
        null_q95=measured.null_q95,
        p=measured.p,
        q=NAN,
        n=measured.n,
        units=measured.units,
        smallest_effect=run.smallest_effect[question],
        verdict="detail",
        note=note,
    )


def settle(rows: Sequence[Finding], guards: Sequence[str], spread: Sequence[float]) -> list[Finding]:
    """q over the headline rows of one question, then each verdict, with what could have been found.

    guards: a reason why a row may carry no verdict, or empty; spread: the inflation c of each row, for the power note.
    """
    q = benjamini_hochberg(np.array([r.p for r in rows], dtype=np.float64))
    out = []
    for row, guard, c, value in zip(rows, guards, spread, q, strict=True):
        reason = guard or units_guard(row.units)
        answer = verdict(
            estimate=row.estimate,
            reference=row.reference,
            ci_low=row.ci_low,
            ci_high=row.ci_high,
            q=float(value),
            smallest_effect=row.smallest_effect,
            guard=reason,
        )
        notes = [
            row.note,
            reason[:1].upper() + reason[1:],
            "" if reason or answer != "inconclusive" else _power_note(row, c),
        ]
        out.append(replace(row, q=float(value), verdict=answer, note=" ".join(n for n in notes if n)))
    return out


def unique(rows: Sequence[Finding]) -> list[Finding]:
    """Rows of baselines that do not depend on the model (tf-idf, co-occurrence) appear once."""
    seen: dict[tuple[str, ...], Finding] = {}
    for row in rows:
        seen.setdefault(
            (row.model_a, row.model_b, row.modality_a, row.modality_b, row.metric, row.split, row.site_a), row
        )
    return list(seen.values())


def baseline_guard(measured: Measured, smallest_effect: float) -> str:
    """Baseline at ceiling, or empty."""
    return ceiling_guard(measured.reference, smallest_effect)


def _power_note(row: Finding, c: float) -> str:
    power = auroc_power(row.units, row.smallest_effect, round(row.reference, 2), round(c, 2))
    if math.isnan(power.detectable):
        return f"With {row.units} units per class no effect up to the ceiling is found in 80% of cases."
    return (
        f"With {row.units} units per class, effects from {power.detectable:.2f} up are found in 80% of cases; "
        "more units narrow the interval."
    )
