"""The headline of question 3: a concept carried between two models, beyond its twins and beyond matched control concepts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.evidence.carry import Carry, Side
from conceptprobe.evidence.context import Subject
from conceptprobe.evidence.finding import Finding
from conceptprobe.evidence.rows import Measured, finding, with_other
from conceptprobe.stats.auroc import Z95, auroc_interval, difference_interval, inflation
from conceptprobe.stats.exchange import add_one_p
from conceptprobe.stats.jackknife import jackknife_error

if TYPE_CHECKING:
    from jaxtyping import Float, Int

METRIC = "auroc (carried probe)"
_THIRD = NormalDist().inv_cdf(1.0 - 0.025 / 3.0) / Z95
"""Errors are this much longer at a third of the level."""
GATE = 0.60
"""Mean AUROC that ordinary kinds of words must reach: a pair of models that carries nothing over can refute nothing."""


@dataclass(frozen=True)
class Between:
    """Two models at a site each. counts: both trained and no relatives; note: why not, a full sentence."""

    a: Side
    b: Side
    counts: bool
    note: str

    @property
    def ways(self) -> tuple[tuple[Side, Side], ...]:
        """(source, target), both ways."""
        return (self.a, self.b), (self.b, self.a)

    def twins(self) -> dict[Subject, list[Between]]:
        """Whose twins -> the pairs in which each of them stands in for their model, at its site."""
        found = {self.a.subject: [replace(self, a=replace(self.a, subject=t)) for t in self.a.subject.twins]}
        found[self.b.subject] = [replace(self, b=replace(self.b, subject=t)) for t in self.b.subject.twins]
        return found


@dataclass(frozen=True)
class Exchanges:
    """Draws that all pairs of one run share. labels: observed, then flipped unit by unit; pairings: of the map's words."""

    carry: Carry
    draws: int

    @cached_property
    def labels(self) -> Int[np.ndarray, "1+draws t"]:
        """+-1 per term."""
        windows = self.carry.windows
        sign = self.carry.words.run.rng("exchange", "shared").integers(0, 2, (self.draws, windows.n_units)) * 2 - 1
        return np.vstack([windows.label, sign[:, windows.unit] * windows.label])

    @cached_property
    def pairings(self) -> Int[np.ndarray, "draws kept"]:
        """Who is paired with whom in the fit of the map."""
        rng = self.carry.words.run.rng("pairing", "shared")
        return np.array([rng.permutation(len(self.carry.kept)) for _ in range(self.draws)])


@dataclass(frozen=True)
class Transfer:
    """What one pair of models carries, the mean of both ways throughout.

    label_null, map_null: AUROCs under exchanged labels and over shuffled maps; controls: of every control concept; twins: mean
    AUROC of the side whose twins carry more, 0 without twins; twins_error: its standard error, as other seeds would give
    other twins; without: the AUROC, and without_twins that of those twins, with
    each unit left out.
    """

    auroc: float
    ways: tuple[float, float]
    label_null: Float[np.ndarray, " draws"]
    map_null: Float[np.ndarray, " draws"]
    controls: Float[np.ndarray, " s"]
    twins: float
    twins_error: float
    whose: str
    without: Float[np.ndarray, " units"]
    without_twins: Float[np.ndarray, " units"]

    @property
    def excess_p(self) -> float:
        """(1 + control concepts that carry as well) / (1 + control concepts)."""
        return add_one_p(self.auroc, self.controls)


def transfer(carry: Carry, between: Between, exchanges: Exchanges, draws: int) -> Transfer:
    """Everything about one pair, with so many draws of each null."""
    windows = carry.windows
    labels, pairings = exchanges.labels[: 1 + draws], exchanges.pairings[:draws]
    ways = [carry.target(*way, labels.astype(np.float64), pairings) for way in between.ways]
    observed = [scores[0] for scores in ways]
    under_labels = np.mean([windows.auroc(scores[: 1 + draws], labels) for scores in ways], axis=0)
    over_maps = np.mean([windows.auroc(scores[1 + draws :]) for scores in ways], axis=0)
    twins, error, whose, without_twins = _twins(carry, between)
    return Transfer(
        float(under_labels[0]),
        (float(windows.auroc(observed[0])), float(windows.auroc(observed[1]))),
        under_labels[1:],
        over_maps,
        np.mean([carry.controls(*way) for way in between.ways], axis=0),
        twins,
        error,
        whose,
        np.mean([windows.auroc_without_each_unit(scores) for scores in observed], axis=0),
        without_twins,
    )


def carried(carry: Carry, between: Between) -> float:
    """The AUROC of one pair, the mean of both ways, and nothing else."""
    label = carry.windows.label[None].astype(np.float64)
    return float(np.mean([carry.windows.auroc(carry.target(*way, label)[0]) for way in between.ways]))


def _twins(carry: Carry, between: Between) -> tuple[float, float, str, Float[np.ndarray, " units"]]:
    """Mean AUROC of the better side's twins, its standard error, whose they are, and the mean without each unit."""
    windows = carry.windows
    label = windows.label[None].astype(np.float64)
    best = (0.0, "none", np.zeros(windows.n_units))
    apart: list[float] = []
    for owner, pairs in between.twins().items():
        scores = [[carry.target(*way, label)[0] for way in pair.ways] for pair in pairs]
        values = [float(np.mean([windows.auroc(s) for s in ways])) for ways in scores]
        apart += [value - float(np.mean(values)) for value in values]
        if values and float(np.mean(values)) > best[0]:
            without = np.mean([windows.auroc_without_each_unit(s) for ways in scores for s in ways], axis=0)
            whose = f"{len(pairs)} {'twin' if len(pairs) == 1 else 'twins'} of {owner.name}"
            best = (float(np.mean(values)), whose, without)
    # The spread of twins about their side's mean, pooled over the sides: two or three twins alone say little about it.
    free = len(apart) - sum(bool(pairs) for pairs in between.twins().values())
    few = min((len(pairs) for pairs in between.twins().values() if pairs), default=1)
    error = float(np.sqrt(np.sum(np.square(apart)) / free / few)) if free > 0 else 0.0
    return best[0], error, best[1], best[2]


def measured(found: Transfer, units: int, words: int) -> Measured:
    """AUROC less the largest of chance, the twins' and the control concepts' mean, and the largest p.

    Three exchanges must speak against chance: labels within pairs (do the scores know the concept?), pairings of the map's
    words (do they know it through the map?) and the choice of the concept (more than others?); an intersection-union test
    (Berger 1982). The effect is the smallest of three gains: its interval runs from the smallest of their lower ends to the
    smallest of their upper ends, the latter at a third of the level each, because any of them may fall short. Its width
    follows the exchange of labels.
    """
    c = inflation(found.label_null, units, units)
    center = float(found.controls.mean()) if len(found.controls) else 0.0
    low = min(low for low, _ in _gains(found, units, c))
    high = min(high for _, high in _gains(found, units, c * _THIRD))
    reference, kind = max(
        (0.5, "chance"),
        (found.twins, f"random twins ({found.whose})"),
        (center, f"control concepts (mean of {len(found.controls)})"),
    )
    return Measured(
        estimate=found.auroc,
        reference=reference,
        reference_kind=kind,
        ci_low=low,
        ci_high=high,
        null_mean=float(found.map_null.mean()),
        null_q95=float(np.quantile(found.map_null, 0.95)),
        p=max(add_one_p(found.auroc, found.label_null), add_one_p(found.auroc, found.map_null), found.excess_p),
        n=words,
        units=units,
        c=c,
    )


def _gains(found: Transfer, units: int, c: float) -> list[tuple[float, float]]:
    """Intervals of the gains over chance, over control concepts and over twins; errors times c."""
    own = auroc_interval(found.auroc, units, units, c)
    gains = [(own[0] - 0.5, own[1] - 0.5)]
    if len(found.controls) > 1:
        mean, spread = found.controls.mean(), c * Z95 * found.controls.std(ddof=1) / np.sqrt(len(found.controls))
        gains.append(difference_interval(found.auroc, own, float(mean), (float(mean - spread), float(mean + spread))))
    if found.whose != "none":
        error = float(np.hypot(c * jackknife_error(found.without - found.without_twins), c * found.twins_error))
        gain = found.auroc - found.twins
        gains.append((gain - Z95 * error, gain + Z95 * error))
    return gains


def transfer_row(carry: Carry, between: Between, found: Transfer, *, headline: bool) -> Finding:
    """The row of one pair; verdict and q of headline rows are filled in by `settle`."""
    run, a, b = carry.words.run, between.a, between.b
    told = measured(found, carry.windows.n_units, len(carry.items))
    row = finding(
        run,
        "shared",
        a.subject,
        told,
        site=a.site,
        metric=METRIC,
        split=f"both ways, map from {len(carry.kept)} background words",
        headline=headline,
        note=" ".join(s for s in (between.note, _said(found)) if s),
    )
    return with_other(row, b.subject, b.site)


def _said(found: Transfer) -> str:
    if not len(found.controls):
        return ""
    beaten = int((found.controls < found.auroc).sum())
    return (
        f"{found.ways[0]:.2f} there, {found.ways[1]:.2f} back. Carries over better than {beaten} of {len(found.controls)} "
        f"matched control concepts (mean {found.controls.mean():.2f}, 95th percentile "
        f"{np.quantile(found.controls, 0.95):.2f}). p: exchanged labels {add_one_p(found.auroc, found.label_null):.3f}, "
        f"shuffled maps {add_one_p(found.auroc, found.map_null):.3f}, control concepts {found.excess_p:.3f}; the largest "
        "counts."
    )


def guard(carry: Carry, ordinary: float) -> str:
    """Why a pair may carry no verdict, or empty. ordinary: mean AUROC of ordinary kinds of words between the two models."""
    if reason := carry.words.control_concepts.shortfall:
        return reason
    if not ordinary >= GATE:
        said = (
            f"carry over at a mean AUROC of {ordinary:.2f} only" if ordinary == ordinary else "are too few in this pool"
        )
        return f"ordinary kinds of words {said}, so these two models could not show agreement on any concept."
    return ""


def remark(row: Finding, found: Transfer) -> str:
    """What the verdict of a headline row leaves open, a full sentence or empty; for a row that no guard holds back."""
    if row.verdict == "absent":
        known = max(add_one_p(found.auroc, found.label_null), add_one_p(found.auroc, found.map_null))
        above = "It does carry over above chance, but" if known < 0.05 else "It carries over"
        return f"{above} no more than ordinary concepts do: that is what absent means here."
    return "" if row.verdict == "supported" else needed(found, row.smallest_effect)


def needed(found: Transfer, smallest_effect: float) -> str:
    """What would have been enough for an excess over the control concepts; empty where there are none."""
    if not len(found.controls):
        return ""
    allowed = math.ceil(0.05 * (len(found.controls) + 1)) - 2  # control concepts that may carry as well where p < 0.05
    least = float(np.sort(found.controls)[-1 - allowed]) if allowed >= 0 else 1.0
    high = max(least, float(found.controls.mean()) + smallest_effect)
    return (
        f"To be supported it would have to carry over above {high:.2f} at least, better than all but {max(allowed, 0)} of the "
        "control concepts."
    )
