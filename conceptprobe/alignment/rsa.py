"""Representational similarity analysis (Kriegeskorte et al. 2008): two matrices of distances, compared by a correlation.

Here the comparisons that are one inner product of prepared matrices: Spearman's rho and Pearson's r. Kendall's tau-a is in
`rsa_kendall.py`, the whitened comparisons are in `rsa_whitened.py`, the kinds of distance in `distances.py`.

Copies of a row are exactly 0 apart, and equal distances share their mean rank.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.base import Metric, declare, renamed
from conceptprobe.alignment.distances import DISTANCES, checked
from conceptprobe.errors import UsageError, did_you_mean
from conceptprobe.stats.auroc import average_ranks

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

COMPARISONS = ("spearman", "pearson")
"""What `Rsa` compares distances by."""


@dataclass(frozen=True)
class RankedDistances:
    """Ranks of the n(n-1)/2 distances as a symmetric matrix with zero diagonal, centred and scaled to unit length.

    For Pearson's r the distances themselves stand in place of their ranks. All zero where all distances are equal.
    """

    ranks: Float[np.ndarray, "n n"]


@dataclass(frozen=True)
class Rsa(Metric):
    """Spearman or Pearson correlation of two distance matrices, -1 to 1; 0 where one has only equal distances.

    distance: a name of `DISTANCES`; comparison: "spearman" or "pearson". Spearman sees through any monotone change of the
    distances; beyond that the invariances are those of the distance: correlation, scale and shift of each row; cosine,
    rotation and scale of each row; Euclidean, rotation, isotropic scale and translation. Cost n^2 d.
    """

    distance: str = "correlation"
    comparison: str = "spearman"

    def __post_init__(self) -> None:
        checked(self.distance)
        if self.comparison not in COMPARISONS:
            raise UsageError(
                f"no comparison of distances named '{self.comparison}'.{did_you_mean(self.comparison, COMPARISONS)}",
                hint=f"one of: {', '.join(COMPARISONS)}",
            )

    @property
    def least_rows(self) -> int:
        """Six distances are the fewest whose ranks can be compared."""
        return 4

    def prepare(self, x: Float[np.ndarray, "n d"]) -> RankedDistances:
        """Ranked distances. For correlation and cosine, a row without direction is at distance 1 from all others."""
        n = len(x)
        self.check(n, x.shape[1], x.shape[1])
        upper = np.triu_indices(n, 1)
        values = DISTANCES[self.distance](np.asarray(x, dtype=np.float64))[upper]
        if self.comparison == "spearman":
            values = average_ranks(values)
        # Equal values differ from their own mean by a rounding error, which scaling would blow up.
        values = values - values.mean() if np.ptp(values) > 0 else np.zeros_like(values)
        length = float(np.linalg.norm(values))
        full = np.zeros((n, n))
        full[upper] = values / length if length > 0 else 0.0
        return RankedDistances(full + full.T)

    def compare(self, a: RankedDistances, b: RankedDistances, focus: Bool[np.ndarray, " n"] | None = None) -> float:
        """Correlation of the two sets of distances; a global metric, so `focus` must be None."""
        return float(np.vdot(a.ranks, b.ranks) / 2.0)

    def null(
        self,
        a: RankedDistances,
        b: RankedDistances,
        permutations: Int[np.ndarray, "k n"],
        focus: Bool[np.ndarray, " n"] | None = None,
    ) -> Float[np.ndarray, " k"]:
        """The correlation with the items of b renamed (the Mantel test)."""
        return np.array([np.vdot(a.ranks, ranks) / 2.0 for ranks in renamed(b.ranks, permutations)])

    def leave_one_out(
        self, a: RankedDistances, b: RankedDistances, focus: Bool[np.ndarray, " n"] | None = None
    ) -> Float[np.ndarray, " n"]:
        """Correlation of what remains with each item deleted, in closed form for all n.

        Exact for Pearson. For Spearman ranks are kept from the full set, not redone: within 0.005 at 40 items.
        """
        n = len(a.ranks)
        pairs = (n - 1) * (n - 2) / 2.0
        sum_a, sum_b = -a.ranks.sum(axis=1), -b.ranks.sum(axis=1)  # the full sums are zero
        cross = np.vdot(a.ranks, b.ranks) / 2.0 - (a.ranks * b.ranks).sum(axis=1) - sum_a * sum_b / pairs
        var_a = np.vdot(a.ranks, a.ranks) / 2.0 - (a.ranks**2).sum(axis=1) - sum_a**2 / pairs
        var_b = np.vdot(b.ranks, b.ranks) / 2.0 - (b.ranks**2).sum(axis=1) - sum_b**2 / pairs
        # What is left of unit length by rounding alone counts as nothing: only equal distances remain.
        some = (var_a > 1e-12) & (var_b > 1e-12)
        return np.where(some, cross / np.sqrt(np.where(some, var_a * var_b, 1.0)), 0.0)


_SHARE_ROWS = "distances share rows, so a p over distances is far too small: permute items"

declare(
    "rsa",
    Rsa(),
    about="correlation distances, Spearman",
    invariant_to=("monotone change of distances", "scale and shift of each row"),
    fails=_SHARE_ROWS,
    source="Kriegeskorte et al. 2008",
)

declare(
    "rsa_pearson",
    Rsa(comparison="pearson"),
    about="correlation distances, Pearson",
    invariant_to=("linear change of distances", "scale and shift of each row"),
    fails=f"a few items far from all others decide it; {_SHARE_ROWS}",
    source="Kriegeskorte et al. 2008",
)

declare(
    "rsa_euclidean",
    Rsa(distance="euclidean"),
    about="Euclidean distances, Spearman",
    invariant_to=("monotone change of distances", "rotation", "isotropic scale", "translation"),
    fails=f"one direction of large variance decides it; {_SHARE_ROWS}",
    source="Kriegeskorte et al. 2008",
)

declare(
    "rsa_cosine",
    Rsa(distance="cosine"),
    about="cosine distances about the origin, Spearman",
    invariant_to=("monotone change of distances", "rotation", "scale of each row"),
    fails=f"a mean far from the origin hides all else; {_SHARE_ROWS}",
    source="Kriegeskorte et al. 2008",
)
