"""Promises against what was found: one line per row and question, and exact binomial intervals over all checks.

A check fails only when the interval of Clopper & Pearson (1934), at a level of 5% shared by all checks of the table
(Bonferroni), excludes the promise: so a sound machinery fails one table in twenty at most, and with more replications
smaller failings show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist

import numpy as np

from conceptprobe.calibration.expected import expected_power
from conceptprobe.calibration.replicate import Outcome, Replicated
from conceptprobe.calibration.rows import Asked, Promise
from conceptprobe.calibration.spaces import SharedWorld
from conceptprobe.calibration.truth import Truth

LEVEL = 0.05
"""Of all checks of a table together."""
ALLOWED = 0.05
"""Largest share of false verdicts."""
COVERAGE = (0.92, 0.98)
BIAS = 0.01


@dataclass(frozen=True)
class Check:
    """One promise: what was found with its interval at the shared level, the range promised, and whether they are
    compatible."""

    promise: Promise
    found: float
    low: float
    high: float
    promised: tuple[float, float]

    @property
    def held(self) -> bool:
        """True unless the interval excludes the promise."""
        return self.high >= self.promised[0] and self.low <= self.promised[1]


@dataclass(frozen=True)
class Line:
    """One question of one row. Counts are out of `n`; `bias` is of `biased` (the effect, the estimate, or a metric's name),
    with its standard error. `power` is the share of `supported` that a plan expects at the true effect (nan: none)."""

    row: str
    says: str
    question: str
    n: int
    units: int
    truth: Truth
    supported: int
    absent: int
    inconclusive: int
    small_p: int
    covered: int
    biased: str
    bias: float
    bias_error: float
    power: float
    checks: tuple[Check, ...] = field(default=())

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that did not hold."""
        return tuple(c for c in self.checks if not c.held)


def tabulate(replicated: Sequence[Replicated]) -> list[Line]:
    """The table; every check's level is 5% over the number of checks."""
    checks = sum(len(asked.promises) for r in replicated for asked in r.row.asked)
    return [line for r in replicated for line in _lines(r, LEVEL / max(checks, 1))]


def clopper_pearson(count: int, n: int, level: float) -> tuple[float, float]:
    """Exact two-sided interval of a proportion at confidence 1 - level."""
    from scipy.stats import binomtest

    interval = binomtest(count, n).proportion_ci(1.0 - level, method="exact")
    return float(interval.low), float(interval.high)


def _lines(replicated: Replicated, level: float) -> Iterator[Line]:
    for asked in replicated.row.asked:
        outcomes = [o for o in replicated.outcomes if o.question == asked.question]
        truth = replicated.truth[asked.question]
        biased, values, value_truth = _estimates(replicated, asked, outcomes, truth)
        error = (
            float(np.hypot(values.std(ddof=1) / np.sqrt(len(values)), value_truth.error)) if len(values) > 1 else np.inf
        )
        told = {v: sum(o.verdict == v for o in outcomes) for v in ("supported", "absent", "inconclusive")}
        line = Line(
            replicated.row.name,
            replicated.row.says,
            asked.question,
            len(outcomes),
            outcomes[0].units,
            truth,
            told["supported"],
            told["absent"],
            told["inconclusive"],
            small_p=sum(o.p <= 0.05 for o in outcomes),
            covered=sum(o.ci_low <= truth.effect <= o.ci_high for o in outcomes),
            biased=biased,
            bias=float(values.mean()) - value_truth.effect,
            bias_error=error,
            power=expected_power(asked.question, outcomes[0].units, truth.effect),
        )
        checks = tuple(_check(promise, line, level) for promise in asked.promises)
        yield replace(line, checks=checks)


def _estimates(
    replicated: Replicated, asked: Asked, outcomes: Sequence[Outcome], truth: Truth
) -> tuple[str, np.ndarray, Truth]:
    """What bias is told of, its values, and its true value.

    A debiased metric where the row has one; the estimate itself where the truth is 0.5 or an AUROC against it, because an
    effect over the larger of chance and an estimated reference is pulled down by that maximum.
    """
    world = replicated.row.world
    if asked.debiased and isinstance(world, SharedWorld):
        return asked.debiased, np.array([o.estimate_debiased for o in outcomes]), Truth(world.cka)
    if asked.question == "shared" or truth.effect < 0:
        return "effect", np.array([o.effect for o in outcomes]), truth
    return "estimate", np.array([o.estimate for o in outcomes]), Truth(0.5 + truth.effect, truth.error)


def _check(promise: Promise, line: Line, level: float) -> Check:
    if promise == "bias":
        half = NormalDist().inv_cdf(1.0 - level / 2.0) * line.bias_error
        return Check(promise, line.bias, line.bias - half, line.bias + half, (-BIAS, BIAS))
    count, promised = {
        "never supported": (line.supported, (0.0, ALLOWED)),
        "never absent": (line.absent, (0.0, ALLOWED)),
        "coverage": (line.covered, COVERAGE),
        "coverage at least": (line.covered, (COVERAGE[0], 1.0)),
    }[promise]
    low, high = clopper_pearson(count, line.n, level)
    return Check(promise, count / line.n, low, high, promised)
