"""RSA by Kendall's tau-a (Nili et al. 2014): concordant less discordant pairs of distances, over all pairs; ties count as 0.

Unlike Spearman's rho it does not favour a matrix of many tied distances over one of untied ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.base import Metric, declare
from conceptprobe.alignment.distances import DISTANCES, checked

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class RankMatrix:
    """Dense ranks of the m = n(n-1)/2 distances: 0 for the least, equal distances alike; zero diagonal.

    tied: pairs of distances that are equal.
    """

    ranks: Int[np.ndarray, "n n"]
    tied: int


@dataclass(frozen=True)
class KendallRsa(Metric):
    """Kendall's tau-a of two distance matrices, -1 to 1; below 1 even for equal spaces where distances tie.

    distance: a name of `DISTANCES`. Invariant to any monotone change of the distances and to what the distance is.
    Cost n^2 d, then n^2 log n for every comparison, permutations too: some tens of times that of Spearman.
    """

    distance: str = "correlation"

    def __post_init__(self) -> None:
        checked(self.distance)

    @property
    def least_rows(self) -> int:
        """Six distances are the fewest whose ranks can be compared."""
        return 4

    def prepare(self, x: Float[np.ndarray, "n d"]) -> RankMatrix:
        """Dense ranks of the distances, and the number of pairs that tie."""
        n = len(x)
        self.check(n, x.shape[1], x.shape[1])
        upper = np.triu_indices(n, 1)
        values = DISTANCES[self.distance](np.asarray(x, dtype=np.float64))[upper]
        _, dense, counts = np.unique(values, return_inverse=True, return_counts=True)
        full = np.zeros((n, n), dtype=np.int64)
        full[upper] = dense
        return RankMatrix(full + full.T, _pairs(counts))

    def compare(self, a: RankMatrix, b: RankMatrix, focus: Bool[np.ndarray, " n"] | None = None) -> float:
        """Tau-a; a global metric, so `focus` must be None."""
        upper = np.triu_indices(len(a.ranks), 1)
        return _tau_a(a.ranks[upper], b.ranks[upper], a.tied, b.tied)

    def null(
        self,
        a: RankMatrix,
        b: RankMatrix,
        permutations: Int[np.ndarray, "k n"],
        focus: Bool[np.ndarray, " n"] | None = None,
    ) -> Float[np.ndarray, " k"]:
        """Tau-a with the items of b renamed. Cost n^2 log n each: choose fewer permutations, or Spearman, for many items."""
        i, j = np.triu_indices(len(a.ranks), 1)
        own = a.ranks[i, j]
        return np.array([_tau_a(own, b.ranks[order[i], order[j]], a.tied, b.tied) for order in permutations])

    def leave_one_out(
        self, a: RankMatrix, b: RankMatrix, focus: Bool[np.ndarray, " n"] | None = None
    ) -> Float[np.ndarray, " n"]:
        """Exact: all pairs of distances, less those with a distance of the deleted item. Cost n^2 log^2 n."""
        n = len(a.ranks)
        upper = np.triu_indices(n, 1)
        each = np.zeros((n, n))
        each[upper] = concordance(a.ranks[upper], b.ranks[upper])
        each += each.T
        total = each.sum() / 4.0  # every pair is counted from both its ends, and every distance stands twice
        within = np.empty(n)
        for item in range(n):
            others = np.arange(n) != item
            within[item] = concordance(a.ranks[item, others], b.ranks[item, others]).sum() / 2.0
        left = (n - 1) * (n - 2) // 2
        return (total - each.sum(axis=1) + within) / (left * (left - 1) / 2.0)


def concordance(a: Int[np.ndarray, " m"], b: Int[np.ndarray, " m"]) -> Int[np.ndarray, " m"]:
    """For each p, the sum over q of sign(a_p - a_q) sign(b_p - b_q), by merging; cost m log^2 m."""
    m = len(a)
    order = np.lexsort((b, a))
    a, b = a[order], b[order]
    position, names = np.arange(m), int(b.max()) + 1
    score = np.zeros(m, dtype=np.int64)
    width = 1
    while width < m:
        # Blocks of `width` in pairs: nothing in the left is above anything in the right, in a. So count in b, for each item,
        # who in the other block of its pair is below and who is above.
        block = position // (2 * width)
        key = block * names + b
        by_b = np.argsort(key, kind="stable")
        begin, end = block * 2 * width, np.minimum((block + 1) * 2 * width, m)  # the same before and after sorting
        sizes = np.diff(np.flatnonzero(np.diff(key[by_b], prepend=-1, append=-1)))
        last = np.repeat(np.cumsum(sizes), sizes)
        first = last - np.repeat(sizes, sizes)
        is_left = (by_b // width) % 2 == 0
        for others, sign in ((is_left, 1), (~is_left, -1)):
            before = np.concatenate(([0], np.cumsum(others)))
            balance = before[first] - before[begin] - before[end] + before[last]
            score[by_b[~others]] += sign * balance[~others]
        width *= 2
    # Sorted by a and then b, pairs tied in a but not in b were counted as concordant: they are neither.
    tied_a = _group_size(a)
    score -= tied_a - _group_size(a * names + b)
    back = np.empty(m, dtype=np.int64)
    back[order] = score
    return back


def _group_size(values: np.ndarray) -> np.ndarray:
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    return counts[group]


def _pairs(counts: np.ndarray) -> int:
    return int((counts * (counts - 1) // 2).sum())


def _tau_a(a: np.ndarray, b: np.ndarray, tied_a: int, tied_b: int) -> float:
    """Tau-a from SciPy's tau-b, whose denominator leaves out the ties; 0 where all distances of one side tie."""
    from scipy.stats import kendalltau

    pairs = len(a) * (len(a) - 1) // 2
    untied = float(pairs - tied_a) * float(pairs - tied_b)
    return float(kendalltau(a, b, method="asymptotic").statistic) * np.sqrt(untied) / pairs if untied > 0 else 0.0


declare(
    "rsa_kendall",
    KendallRsa(),
    about="correlation distances, Kendall's tau-a",
    invariant_to=("monotone change of distances", "scale and shift of each row"),
    cost="n^2 d + n^2 log n for every permutation",
    fails="slow; distances share rows, so a p over distances is far too small: permute items",
    source="Nili et al. 2014; Kendall 1938",
)
