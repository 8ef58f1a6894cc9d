"""Detail rows of question 3: what two models share beyond word statistics.

Two models that read the same texts agree about words, and some of it is known of the words without either model: which words
they stand beside, which letters and tokens they have, how long and how frequent they are. Two ways to ask for the rest.

Distances. Partial RSA among the concept's terms: the rank correlation of both models' distances given those of the statistics
(ranks and their squares), and how the shared variance divides into a part that one model explains of the other alone and a
part that the statistics explain as well. No verdict hangs on it, and its p is of little use: a regression on ranks does not
take off all. Simulated, with two models that share nothing but what texts tell, or what one token table tells, a partial
correlation of 0.1 (SD 0.07 over worlds) is left of 0.65; so a partial correlation of 0.2 is no evidence.

Transfer. The concept transfer of the headline, with the same terms, windows, maps, nulls, twins and control concepts, between
what the statistics leave of every model's space (`word_statistics`).

Twins stand in for their models under the same statistics, those of the trained pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.partial_rsa import (
    Part,
    partial_rsa,
    partial_rsa_leave_one_out,
    partial_rsa_null,
    polynomial_terms,
    unique_and_common,
)
from conceptprobe.alignment.rsa import RankedDistances, Rsa
from conceptprobe.evidence.carry import Carry, Side
from conceptprobe.evidence.context import Subject
from conceptprobe.evidence.finding import Finding
from conceptprobe.evidence.rows import Measured, finding, with_other
from conceptprobe.evidence.transferred import Between, Exchanges, Transfer, measured, transfer
from conceptprobe.evidence.word_statistics import Statistic, WordStatistics, explained
from conceptprobe.stats.auroc import difference_interval
from conceptprobe.stats.exchange import add_one_p
from conceptprobe.stats.jackknife import jackknife_interval
from conceptprobe.stats.ratio import ratio_of

if TYPE_CHECKING:
    from jaxtyping import Float, Int

PARTIAL = "partial rsa (given word statistics)"
UNIQUE = "rsa, share unique to the models"
TRANSFER = "auroc (carried probe, word statistics removed)"
LEAST_TERMS = 12
"""Terms that partial RSA asks for: 66 distances for some seven statistics, each with its square."""


def beyond_shared(carry: Carry, between: Between, found: Transfer, draws: int) -> list[Finding]:
    """Up to three detail rows about one pair; without those of distances where too few terms have co-occurrence vectors.

    found: the pair's transfer between whole spaces; draws: of every null.
    """
    statistics = WordStatistics.between(carry.words, between.a, between.b)
    compared = Distances(carry, between, statistics)
    enough = len(compared.items) >= LEAST_TERMS and bool(compared.known)
    rows = []
    if enough:
        null = compared.null(draws)
        rows = [partial_row(compared, null), unique_row(compared, null)]
    missing = "" if enough else f"Only {len(compared.items)} terms have co-occurrence vectors: too few for partial RSA."
    return [*rows, transfer_row(carry, between, found, statistics, draws, missing)]


@dataclass(frozen=True)
class Distances:
    """Distances among the terms in every space that one pair, its twins included, needs.

    Correlation distances of rows standardised by the pool, the spaces of the headline; ranked.
    """

    carry: Carry
    between: Between
    statistics: WordStatistics
    _ranked: dict[tuple[str, str], RankedDistances] = field(default_factory=dict)

    @cached_property
    def items(self) -> Int[np.ndarray, " k"]:
        """Terms with a co-occurrence vector, among all words."""
        return self.carry.items[np.abs(self.carry.words.ruler[self.carry.items]).sum(axis=1) > 0]

    @cached_property
    def known(self) -> list[Statistic]:
        """The statistics that tell any two of these terms apart."""
        return self.statistics.among(self.items)

    @cached_property
    def nuisance(self) -> list[RankedDistances]:
        """Distances by the word statistics, and the squares of their ranks."""
        return polynomial_terms([s.distances(self.items) for s in self.known])

    def of(self, side: Side) -> RankedDistances:
        """Those of one model: cosines about the pool's mean, which see no choice of axes."""
        if side.key not in self._ranked:
            self._ranked[side.key] = Rsa(distance="cosine").prepare(self.carry.space(side).rows[self.items])
        return self._ranked[side.key]

    def of_pair(self, pair: Between) -> tuple[RankedDistances, RankedDistances]:
        """Those of both models."""
        return self.of(pair.a), self.of(pair.b)

    @cached_property
    def twins(self) -> Mapping[str, list[Between]]:
        """In words, whose twins -> the pairs in which they stand in; without models that have none."""
        return {_twins_of(owner, pairs): pairs for owner, pairs in self.between.twins().items() if pairs}

    def null(self, draws: int) -> Float[np.ndarray, " draws"]:
        """Partial correlations with the terms of b renamed, for both rows."""
        a, b = self.between.a, self.between.b
        rng = self.carry.words.run.rng("beyond shared", *a.key, *b.key)
        permutations = np.array([rng.permutation(len(self.items)) for _ in range(draws)])
        return partial_rsa_null(self.of(a), self.of(b), self.nuisance, permutations)

    @cached_property
    def split(self) -> str:
        """Which terms are compared."""
        return f"{len(self.items)} of {len(self.carry.items)} terms, those with co-occurrence vectors"


def partial_row(compared: Distances, null: Float[np.ndarray, " draws"]) -> Finding:
    """Rank correlation of both models' distances given the word statistics. null: with the terms of b renamed."""
    a, b = compared.of_pair(compared.between)
    nuisance = compared.nuisance
    value, left_out = partial_rsa(a, b, nuisance), partial_rsa_leave_one_out(a, b, nuisance)
    reference, kind, of_twins = 0.0, "chance", np.zeros(len(compared.items))
    for name, pairs in compared.twins.items():
        found = [compared.of_pair(pair) for pair in pairs]
        mean = float(np.mean([partial_rsa(*pair, nuisance) for pair in found]))
        if mean > reference:
            reference, kind = mean, name
            of_twins = np.mean([partial_rsa_leave_one_out(*pair, nuisance) for pair in found], axis=0)
    interval = jackknife_interval(value - reference, left_out - of_twins)
    whole = Rsa().compare(a, b)
    note = (
        f"{whole:.2f} with word statistics left in. Given {_listed(_names(compared.known))}, and squares of their ranks. A "
        "regression on ranks does not take off all: 0.2 is no evidence yet, whatever its p."
    )
    told = _told(compared, value, reference, kind, interval, null, add_one_p(value, null))
    return _row(compared, PARTIAL, told, note)


@dataclass(frozen=True)
class Shares:
    """How the variance of ranked distances divides, the mean of both ways: of b's by a and of a's by b."""

    unique: Part
    common: Part
    nuisance: Part
    left: float
    """What the statistics leave of a's distances, a share of their variance."""

    @classmethod
    def of(cls, a: RankedDistances, b: RankedDistances, nuisance: Sequence[RankedDistances]) -> Shares:
        """Intervals are means of the ends of both ways: no narrower than that of the mean."""
        there, back = unique_and_common(a, b, nuisance), unique_and_common(b, a, nuisance)
        return cls(
            _mean([there.unique, back.unique]),
            _mean([there.common, back.common]),
            _mean([there.nuisance, back.nuisance]),
            1.0 - back.common.estimate - back.nuisance.estimate,
        )


def unique_row(compared: Distances, null: Float[np.ndarray, " draws"]) -> Finding:
    """The share of one model's distances that the other explains and the word statistics do not, the mean of both ways.

    It is a squared partial correlation times what the statistics leave, and so is its null. Of a renamed model's distances
    they are taken to leave all: its null is a little too large. Squares do not know agreement from its opposite, so the p is
    that of the partial correlation, whose null is `null`.
    """
    a, b = compared.of_pair(compared.between)
    own = Shares.of(a, b, compared.nuisance)
    best, kind = Part(0.0, 0.0, 0.0), "chance"
    for name, pairs in compared.twins.items():
        of_twins = _mean([Shares.of(*compared.of_pair(pair), compared.nuisance).unique for pair in pairs])
        if of_twins.estimate > best.estimate:
            best, kind = of_twins, name
    squares = null**2 * (1.0 + own.left) / 2.0
    interval = difference_interval(own.unique.estimate, _ends(own.unique), best.estimate, _ends(best))
    partial = partial_rsa(a, b, compared.nuisance)
    note = (
        f"Of the variance of ranked distances, {_said(own.unique)} is explained by the other model alone, {_said(own.common)} "
        f"by it and word statistics alike, {_said(own.nuisance)} by word statistics alone."
        + (" The unique part is disagreement: the partial correlation is below 0." if partial < 0 else "")
    )
    told = _told(compared, own.unique.estimate, best.estimate, kind, interval, squares, add_one_p(partial, null))
    return _row(compared, UNIQUE, told, note)


@dataclass(frozen=True)
class Remainder:
    """Spaces of one pair's models without word statistics. Made once per model and site."""

    carry: Carry
    statistics: WordStatistics
    _made: dict[tuple[str, str], Float[np.ndarray, "n d"]] = field(default_factory=dict)

    def rows(self, subject: Subject, site: str) -> Float[np.ndarray, "n d"]:
        """What the statistics leave of the model's rows, which were standardised by the pool."""
        side = Side(subject, site)
        if side.key not in self._made:
            self._made[side.key] = self.statistics.residual(self.carry.space(side).rows)
        return self._made[side.key]

    def explained(self, side: Side) -> float:
        """Share of the pool's variance that the statistics explain, held out."""
        return explained(self.carry.space(side).rows, self.rows(side.subject, side.site), self.carry.words.ground)


def transfer_row(
    carry: Carry, between: Between, found: Transfer, statistics: WordStatistics, draws: int, missing: str = ""
) -> Finding:
    """The concept transfer of the headline between what word statistics leave of both models."""
    run = carry.words.run
    remainder = Remainder(carry, statistics)
    # The statistics are this pair's, so what is left of a model serves no other pair, and goes when the pair is done.
    view = " ".join(("without word statistics of", *between.a.key, *between.b.key))
    rest = Carry(carry.words, remainder.rows, view)
    left = transfer(rest, between, Exchanges(rest, draws), draws)
    for key in [key for key in list(run.memo) if view in key]:
        del run.memo[key]
    fraction = ratio_of(
        left.auroc - 0.5, found.auroc - 0.5, left.without - 0.5, found.without - 0.5, run.smallest_effect["shared"]
    )
    note = " ".join(
        [
            f"{left.ways[0]:.2f} there, {left.ways[1]:.2f} back; {found.auroc:.2f} with word statistics left in.",
            f"Of what carries over, {_share(fraction.value)} is left ({_share(fraction.ci_low)} to {_share(fraction.ci_high)})."
            if fraction
            else "",
            f"Removed: {_listed(_names(statistics.learnt))}; of words the regressions did not see they explain "
            f"{_share(remainder.explained(between.a))} of the variance in {between.a.subject.name} and "
            f"{_share(remainder.explained(between.b))} in {between.b.subject.name}.",
            f"Better than {int((left.controls < left.auroc).sum())} of {len(left.controls)} control concepts.",
            missing,
        ]
    )
    told = measured(left, rest.windows.n_units, len(rest.items))
    row = finding(
        run,
        "shared",
        between.a.subject,
        told,
        site=between.a.site,
        metric=TRANSFER,
        split=f"both ways, map from {len(rest.kept)} background words",
        note=_joined(between.note, note),
    )
    return with_other(row, between.b.subject, between.b.site)


def _told(
    compared: Distances,
    value: float,
    reference: float,
    kind: str,
    interval: tuple[float, float],
    null: Float[np.ndarray, " draws"],
    p: float,
) -> Measured:
    n = len(compared.items)
    return Measured(
        estimate=value,
        reference=reference,
        reference_kind=kind,
        ci_low=interval[0],
        ci_high=interval[1],
        null_mean=float(null.mean()),
        null_q95=float(np.quantile(null, 0.95)),
        p=p,
        n=n,
        units=n,
        c=1.0,
    )


def _row(compared: Distances, metric: str, told: Measured, note: str) -> Finding:
    a, b = compared.between.a, compared.between.b
    row = finding(
        compared.carry.words.run,
        "shared",
        a.subject,
        told,
        site=a.site,
        metric=metric,
        split=compared.split,
        note=_joined(compared.between.note, note),
    )
    return with_other(row, b.subject, b.site)


def _names(statistics: Sequence[Statistic]) -> list[str]:
    return [s.name for s in statistics]


def _twins_of(owner: Subject, pairs: Sequence[Between]) -> str:
    return f"random twins ({len(pairs)} {'twin' if len(pairs) == 1 else 'twins'} of {owner.name})"


def _mean(parts: Sequence[Part]) -> Part:
    return Part(*(float(np.mean([getattr(part, end) for part in parts])) for end in ("estimate", "ci_low", "ci_high")))


def _ends(part: Part) -> tuple[float, float]:
    return part.ci_low, part.ci_high


def _said(part: Part) -> str:
    return f"{_share(part.estimate)} ({_share(part.ci_low)} to {_share(part.ci_high)})"


def _share(value: float) -> str:
    return f"{value:.0%}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else "".join(names) or "nothing"


def _joined(*sentences: str) -> str:
    return " ".join(" ".join(sentences).split())
