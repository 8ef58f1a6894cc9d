"""The whole verdict rule, replication by replication, on binormal scores at a given number of units.

Every replication draws held-out scores and takes them through the rule itself: the score interval, the jackknife
against a baseline, both exchanges, Benjamini-Hochberg over the headline rows, the guards and `verdict`. Assumed, and
nothing else:

- each unit has one positive and one control item; scores are normal with equal variance (the binormal model), their
  separation set by the true AUROC;
- what held-out scores share (one probe, trained on few rows) moves the separation of a whole replication, with the
  spread that makes the null as wide as c Hanley-McNeil errors;
- scores under exchanged labels are fresh noise of that spread, so the label null is N(0.5, spread);
- a baseline's scores, and those of other headline rows, are independent of the model's; all rows have the same effect;
- no second baseline joins in hindsight (one at chance does so once in twenty).

A baseline that errs on the same items as the model would make a difference easier to see, and probes that learn worse
where units are few would make it harder: the figures are those of the rule, not of a model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.stats.auroc import Z95, auroc_interval, hanley_mcneil
from conceptprobe.stats.multiplicity import benjamini_hochberg, draws_needed
from conceptprobe.stats.ranked import Ranked
from conceptprobe.stats.verdict import Answer, ceiling_guard, reversal_guard, units_guard, verdict

if TYPE_CHECKING:
    from jaxtyping import Float

HIGHEST = 0.995
"""A true AUROC beyond this is 1 to all purposes, and the binormal separation runs away."""
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Rule:
    """One headline row before data are seen: all that its power depends on.

    units: per class, one matched pair each; smallest_effect: of interest, on the scale of the effect.
    reference: 0.5, or the true AUROC of the baselines (below 0.5 it counts as 0.5, as in the rule).
    scorers: 0 where the reference is known, else the number of scorers whose mean AUROC estimates it from the same
    units: 1 for a baseline, several for random twins.
    swap: the p of the difference, from within-fold rank swaps, must hold, too; against one baseline only.
    c: spread of the null over Hanley-McNeil; less than what the folds alone make it counts as that.
    folds: pairs compare within one of so many folds; 1: all pairs compare.
    rows: headline rows of the question; permutations: draws per null as asked for.
    """

    units: int
    smallest_effect: float
    reference: float = 0.5
    c: float = 1.0
    folds: int = 1
    scorers: int = 0
    swap: bool = False
    rows: int = 1
    permutations: int = 999


def replications(rule: Rule) -> int:
    """Number of simulated rows, whole questions of them: 1000 up to 30 units, fewer where each costs more, 160 at least."""
    questions = min(1000, max(160, 30_000 // max(rule.units, 1))) // rule.rows
    return max(questions, 1) * rule.rows


class Simulation:
    """Replications of one row; the noise is drawn once and shared by all effects, so that power rises with the effect.

    For at least 2 units and folds of at least 2 (TooFewRows below that).
    """

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        n = rule.units
        self.fold = np.arange(n) % rule.folds
        self.draws = draws_needed(rule.rows, rule.permutations)
        sizes = np.bincount(self.fold).astype(np.float64)
        # The Mann-Whitney variance of each fold, m^2 (2m + 1) / 12 wins, over the number of pairs.
        alone = math.sqrt(float(sizes**2 @ (2 * sizes + 1)) / 12.0) / float(sizes @ sizes)
        expected = hanley_mcneil(0.5, n, n)
        self.spread = max(alone, rule.c * expected)
        """Standard deviation of the null of exchanged labels."""
        self.c = max(1.0, self.spread / expected)
        # Near 0.5 an AUROC moves by phi(0) / sqrt(2) = 1 / (2 sqrt(pi)) per unit of separation.
        self.shift = math.sqrt(self.spread**2 - alone**2) * 2.0 * math.sqrt(math.pi)
        rng = np.random.default_rng([20, n])
        shape = (1 + rule.scorers, replications(rule), 2 * n)
        self._noise = rng.standard_normal(shape)
        self._moved = rng.standard_normal(shape[:2]) * self.shift
        self._seeds = rng.integers(0, 2**31, 2)
        # Both ends are smooth in the estimate, and bend most near 0 and 1.
        grid = 0.5 - 0.5 * np.cos(np.linspace(0.0, math.pi, 41))
        ends = np.array([auroc_interval(float(value), n, n, self.c) for value in grid])
        self._interval = grid, ends[:, 0], ends[:, 1]

    def answers(self, effect: float) -> list[Answer]:
        """The verdict of every replication when the true effect over the reference is `effect`."""
        rule = self.rule
        scores = self.ranked(0, max(rule.reference, 0.5) + effect)
        estimate = scores.auroc()
        p = self._label_p(estimate)
        grid, lows, highs = self._interval
        low, high = np.interp(estimate, grid, lows), np.interp(estimate, grid, highs)
        upside_down = high < 0.5
        reference = np.full(len(p), max(rule.reference, 0.5))
        if rule.scorers:
            measured, gain_low, gain_high = self._gain(scores, estimate)
            reference = np.maximum(measured, 0.5)
            low, high = np.minimum(low - 0.5, gain_low), np.minimum(high - 0.5, gain_high)
            if rule.swap:
                p = np.maximum(p, self._swap_p(scores))
        else:
            low, high = low - reference, high - reference
        q = np.concatenate([benjamini_hochberg(row) for row in p.reshape(-1, rule.rows)])
        few = units_guard(rule.units)
        return [
            verdict(
                estimate=a,
                reference=r,
                ci_low=lower,
                ci_high=upper,
                q=value,
                smallest_effect=rule.smallest_effect,
                guard=few or (reversal_guard(a) if reversed_ else ceiling_guard(r, rule.smallest_effect)),
            )
            for a, r, lower, upper, value, reversed_ in zip(
                *(x.tolist() for x in (estimate, reference, low, high, q, upside_down)), strict=True
            )
        ]

    def scores(self, scorer: int, auroc: float) -> Float[np.ndarray, "replications items"]:
        """Scores of the model (0) or of a baseline (1 and up) whose true AUROC is `auroc`."""
        # The separation is spread by `shift`; the factor keeps the mean AUROC where it should be.
        apart = math.sqrt(2.0 + self.shift**2) * _NORMAL.inv_cdf(min(max(auroc, 1.0 - HIGHEST), HIGHEST))
        out = self._noise[scorer].copy()
        out[:, : self.rule.units] += apart + self._moved[scorer][:, None]
        return out

    def ranked(self, scorer: int, auroc: float) -> Ranked:
        """The same scores, ranked."""
        return Ranked(self.scores(scorer, auroc), self.fold)

    @cached_property
    def _baselines(self) -> list[Ranked]:
        return [self.ranked(i, self.rule.reference) for i in range(1, 1 + self.rule.scorers)]

    @cached_property
    def _baseline_aurocs(self) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, "r units"]]:
        """Mean AUROC of the baselines, and the same without each unit."""
        whole = np.mean([b.auroc() for b in self._baselines], axis=0)
        return whole, np.mean([b.without_each() for b in self._baselines], axis=0)

    def _gain(self, scores: Ranked, estimate: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The measured reference, and the jackknife interval of the gain over it, by replication."""
        reference, reference_without = self._baseline_aurocs
        without = scores.without_each() - reference_without
        n = without.shape[1]
        error = np.sqrt((n - 1) / n * ((without - without.mean(axis=1, keepdims=True)) ** 2).sum(axis=1))
        half = Z95 * self.c * error
        return reference, estimate - reference - half, estimate - reference + half

    def _label_p(self, estimate: np.ndarray) -> np.ndarray:
        """The add-one p of the label exchange: how many of K draws of N(0.5, spread) reach the estimate."""
        z = (estimate - 0.5) / self.spread
        tail = np.array([_NORMAL.cdf(-value) for value in z.tolist()])
        reached = np.random.default_rng(self._seeds[0]).binomial(self.draws, tail)
        return (1.0 + reached) / (1.0 + self.draws)

    @cached_property
    def _swaps(self) -> Float[np.ndarray, "draws units"]:
        """+-1 per unit and draw, shared by all replications."""
        rng = np.random.default_rng(self._seeds[1])
        signs: np.ndarray = rng.integers(0, 2, (self.draws, self.rule.units)) * 2.0 - 1.0
        return signs

    def _swap_p(self, scores: Ranked) -> np.ndarray:
        """The add-one p of within-fold rank swaps."""
        weights = scores.swap_weights(self._baselines[0])
        null, observed = self._swaps @ weights.T, weights.sum(axis=1)
        reached = (null >= observed - 1e-12).sum(axis=0)
        p: np.ndarray = (1.0 + reached) / (1.0 + self.draws)
        return p
