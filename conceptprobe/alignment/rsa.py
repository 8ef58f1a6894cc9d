"""Representational similarity analysis (Kriegeskorte et al. 2008): correlation distances, compared by Spearman's rho."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.base import Metric, renamed
from conceptprobe.registry import register
from conceptprobe.stats.auroc import average_ranks

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class RankedDistances:
    """Ranks of the n(n-1)/2 distances as a symmetric matrix with zero diagonal, centred and scaled to unit length."""

    ranks: Float[np.ndarray, "n n"]


@dataclass(frozen=True)
class Rsa(Metric):
    """Spearman correlation of two correlation-distance matrices, -1 to 1.

    Invariant to any monotone change of the distances, and to scaling and shifting each word's vector.
    """

    @property
    def least_rows(self) -> int:
        """Six distances are the fewest whose ranks can be compared."""
        return 4

    def prepare(self, x: Float[np.ndarray, "n d"]) -> RankedDistances:
        """Ranked distances. A word with a constant vector has no correlation: its distances are set to 1."""
        n = len(x)
        self.check(n, x.shape[1], x.shape[1])
        z = np.asarray(x, dtype=np.float64)
        z = z - z.mean(axis=1, keepdims=True)
        norm = np.linalg.norm(z, axis=1, keepdims=True)
        z = z / np.where(norm > 0, norm, 1.0)
        upper = np.triu_indices(n, 1)
        ranks = average_ranks(1.0 - (z @ z.T)[upper])
        ranks -= ranks.mean()
        length = float(np.linalg.norm(ranks))
        full = np.zeros((n, n))
        full[upper] = ranks / length if length > 0 else 0.0
        return RankedDistances(full + full.T)

    def compare(self, a: RankedDistances, b: RankedDistances, focus: Bool[np.ndarray, " n"] | None = None) -> float:
        """Spearman's rho of the two sets of distances; a global metric, so `focus` must be None."""
        return float(np.vdot(a.ranks, b.ranks) / 2.0)

    def null(
        self,
        a: RankedDistances,
        b: RankedDistances,
        permutations: Int[np.ndarray, "k n"],
        focus: Bool[np.ndarray, " n"] | None = None,
    ) -> Float[np.ndarray, " k"]:
        """Rho with the words of b renamed (the Mantel test)."""
        return np.array([np.vdot(a.ranks, ranks) / 2.0 for ranks in renamed(b.ranks, permutations)])

    def leave_one_out(
        self, a: RankedDistances, b: RankedDistances, focus: Bool[np.ndarray, " n"] | None = None
    ) -> Float[np.ndarray, " n"]:
        """Correlation of the remaining ranks with each word deleted; ranks are kept from the full set, not redone."""
        n = len(a.ranks)
        pairs = (n - 1) * (n - 2) / 2.0
        sum_a, sum_b = -a.ranks.sum(axis=1), -b.ranks.sum(axis=1)  # the full sums are zero
        cross = np.vdot(a.ranks, b.ranks) / 2.0 - (a.ranks * b.ranks).sum(axis=1) - sum_a * sum_b / pairs
        var_a = 1.0 - (a.ranks**2).sum(axis=1) - sum_a**2 / pairs
        var_b = 1.0 - (b.ranks**2).sum(axis=1) - sum_b**2 / pairs
        return cross / np.sqrt(np.maximum(var_a * var_b, 1e-300))


register(
    "metric",
    "rsa",
    about="correlation distances, Spearman",
    invariant_to=("monotone change of distances", "scale and shift of each row"),
    closer="higher",
    symmetric=True,
    local=False,
    cost="n^2 d",
    fails="distances share rows, so a p over distances is far too small: permute items",
    source="Kriegeskorte et al. 2008",
)(Rsa())
