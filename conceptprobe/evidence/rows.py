"""From scores to Findings: estimate, reference, interval, null, p; then q and verdict over a question's headline rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from conceptprobe.evidence.context import RunContext, Subject
from conceptprobe.evidence.finding import Finding
from conceptprobe.stats.auroc import Z95, auroc_interval, inflation
from conceptprobe.stats.design import Design
from conceptprobe.stats.exchange import add_one_p, rank_swap_null
from conceptprobe.stats.jackknife import jackknife_interval
from conceptprobe.stats.multiplicity import benjamini_hochberg
from conceptprobe.stats.power import Rule, power_sentence
from conceptprobe.stats.verdict import ceiling_guard, reversal_guard, units_guard, verdict

if TYPE_CHECKING:
    from jaxtyping import Float

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
    upside_down: bool = False
    """The whole interval of the AUROC lies below 0.5."""


def against_chance(auroc: Float[np.ndarray, " draws"], design: Design, c: float | None = None) -> Measured:
    """AUROC (column 0 observed, the rest its null) against 0.5; `c`: inflation, where the null has too few draws for it."""
    value, null = float(auroc[0]), auroc[1:]
    n1, n0 = design.units_per_class
    c = inflation(null, n1, n0) if c is None else c
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
        high < 0.5,
    )


@dataclass(frozen=True)
class Rival:
    """A baseline's held-out item scores; `chosen_how` says in a few words how it came to be the one to beat."""

    name: str
    scores: Float[np.ndarray, " items"]
    chosen_how: str = "best lexical baseline"


@dataclass(frozen=True)
class Hindsight:
    """The baseline that reads the test items best, though nobody could have known, beside the same maximum under every
    relabelling: the best of a dozen is above chance by luck alone."""

    name: str
    value: float
    null_q95: float
    p: float
    among: int

    @classmethod
    def of(cls, auroc: Mapping[str, Float[np.ndarray, " draws"]]) -> Hindsight:
        """auroc: baseline -> AUROC per draw, column 0 observed."""
        best = max(auroc, key=lambda name: float(auroc[name][0]))
        highest = np.max(np.stack(list(auroc.values())), axis=0)
        null = highest[1:]
        return cls(
            best, float(highest[0]), float(np.quantile(null, 0.95)), add_one_p(float(highest[0]), null), len(auroc)
        )

    how: ClassVar[str] = "strongest lexical baseline in hindsight"

    @property
    def is_luck(self) -> bool:
        """True where the best of as many baselines does as well by chance in more than one case of twenty."""
        return self.p > 0.05

    @property
    def sentence(self) -> str:
        """For a note."""
        luck = "no more than luck" if self.is_luck else "more than luck: it has to be beaten, too"
        return (
            f"The strongest of {self.among} baselines in hindsight is {self.name} at {self.value:.2f} "
            f"(the best under exchanged labels stays below {self.null_q95:.2f} in 95%: {luck})."
        )


def against_baselines(
    scores: Float[np.ndarray, "draws items"],
    auroc: Float[np.ndarray, " draws"],
    rivals: Sequence[Rival],
    design: Design,
    rng: np.random.Generator,
) -> Measured:
    """AUROC against the largest of 0.5 and the rivals', all of which it has to beat.

    The effect is the smallest of the gains, over chance and over each rival. Its interval runs from the smallest of the
    lower ends to the smallest of the upper ends, and its p is the largest: label exchange for the gain over chance,
    within-fold rank swaps for the gain over a rival (intersection-union test, Berger 1982).
    """
    chance = against_chance(auroc, design)
    lows, highs, ps = [chance.ci_low], [chance.ci_high], [chance.p]
    left_out = design.auroc_without_each_unit(np.stack([scores[0], *(rival.scores for rival in rivals)]))
    best, reference = rivals[0], -1.0
    for rival, without in zip(rivals, left_out[1:], strict=True):
        value = float(design.auroc(rival.scores))
        best, reference = (rival, value) if value > reference else (best, reference)
        observed, swapped = rank_swap_null(scores[0], rival.scores, design, len(auroc) - 1, rng)
        low, high = _gain_interval(chance, value, left_out[0] - without)
        lows, highs, ps = [*lows, low], [*highs, high], [*ps, add_one_p(observed, swapped)]
    return replace(
        chance,
        reference=max(0.5, reference),
        reference_kind=f"{best.chosen_how}: {best.name}"
        if reference > 0.5
        else f"chance; {best.chosen_how} below: {best.name}",
        ci_low=min(lows),
        ci_high=min(highs),
        p=max(ps),
    )


def _gain_interval(chance: Measured, value: float, left_out: Float[np.ndarray, " units"]) -> tuple[float, float]:
    """Of estimate - value. Where no unit changes the difference (scores that tie throughout, or part everything) the
    jackknife has no width, and the score interval of the estimate stands in for it."""
    if np.ptp(left_out) <= 1e-12:
        return chance.ci_low + 0.5 - value, chance.ci_high + 0.5 - value
    return jackknife_interval(chance.estimate - value, left_out, chance.c)


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
    row = bare_finding(
        measured,
        model=subject if isinstance(subject, str) else subject.name,
        kind=kind or (subject.info.kind if isinstance(subject, Subject) else "static"),
        modality="text" if isinstance(subject, str) else subject.modality,
        concept=run.concept,
        question=question,
        site=site,
        metric=metric,
        split=split,
        smallest_effect=run.smallest_effect[question],
        note=note,
    )
    return replace(row, run_id=run.run_id, headline=headline)


def with_other(row: Finding, other: Subject, site: str) -> Finding:
    """A row about one model as a row about a pair."""
    return replace(row, model_b=other.name, kind_b=other.info.kind, modality_b=other.modality, site_b=site)


def plainly(
    value: float,
    reference: float,
    reference_kind: str,
    error: float,
    null: Float[np.ndarray, " draws"],
    *,
    n: int,
    units: int,
) -> Measured:
    """value - reference with the interval of 1.96 errors on either side, and the add-one p of the value in its null."""
    effect = value - reference
    return Measured(
        value,
        reference,
        reference_kind,
        effect - Z95 * error,
        effect + Z95 * error,
        float(null.mean()),
        float(np.quantile(null, 0.95)),
        add_one_p(value, null),
        n,
        units,
        1.0,
    )


def bare_finding(
    measured: Measured,
    *,
    model: str,
    kind: str,
    modality: str,
    concept: str,
    question: str,
    site: str,
    metric: str,
    split: str,
    smallest_effect: float,
    note: str,
) -> Finding:
    """A detail row of no run: what was measured, and of what."""
    return Finding(
        run_id="",
        concept=concept,
        question=question,
        headline=False,
        model_a=model,
        model_b="",
        kind_a=kind,
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
        smallest_effect=smallest_effect,
        verdict="detail",
        note=note,
    )


def at_one_site(auroc: Float[np.ndarray, " draws"], design: Design) -> dict[str, float]:
    """AUROC, interval and null band of one site alone, for a map over sites: no statistic is chosen from it."""
    n1, n0 = design.units_per_class
    low, high = auroc_interval(float(auroc[0]), n1, n0, inflation(auroc[1:], n1, n0))
    return {
        "auroc": float(auroc[0]),
        "ci_low": low,
        "ci_high": high,
        "null_low": float(np.quantile(auroc[1:], 0.025)),
        "null_high": float(np.quantile(auroc[1:], 0.975)),
    }


def settle(
    rows: Sequence[Finding], guards: Sequence[str], spread: Sequence[float], *, explain: bool = True
) -> list[Finding]:
    """q over the headline rows of one question, then each verdict, with what could have been found.

    guards: a reason why a row may carry no verdict, or empty; spread: the inflation c of each row, for the power note;
    explain: simulate what an inconclusive row could have found, for its note.
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
            _power_note(row, c, len(rows)) if explain and not reason and answer == "inconclusive" else "",
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


def guard_of(measured: Measured, smallest_effect: float) -> str:
    """Why an AUROC may carry no verdict: read upside down, or a baseline at ceiling; else empty."""
    return (
        reversal_guard(measured.estimate)
        if measured.upside_down
        else ceiling_guard(measured.reference, smallest_effect)
    )


def _power_note(row: Finding, c: float, rows: int) -> str:
    """What these units can find, and how many would be enough; the rule is simulated with what the row measured.

    c and reference are rounded, so that rows alike share one simulation. A reference that was measured (baselines,
    twins) is simulated as one scorer's; where it is the mean of several twins, that is a little pessimistic.
    """
    if not (math.isfinite(row.reference) and math.isfinite(c)):
        return ""
    measured = row.reference_kind != "chance"
    rule = Rule(
        row.units,
        row.smallest_effect,
        round(row.reference * 20) / 20,
        round(c, 1),
        scorers=int(measured),
        swap="baseline" in row.reference_kind,
        rows=rows,
    )
    return power_sentence(rule)
