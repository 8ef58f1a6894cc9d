"""CKNNA (Huh et al. 2024): centred kernel alignment of what both spaces call near.

With K and L the cosine Grams about the mean, zero diagonals, and N_k(i) the k nearest neighbours of i,

    mask[i, j] = 1 where j is in N_k(i) of both spaces, else 0;   K' = mask * K,  L' = mask * L
    HSIC(K', L') = (tr(K'L') + 1'K'1 1'L'1 / ((n-1)(n-2)) - 2 1'K'L'1 / (n-2)) / (n (n-3))
    CKNNA = HSIC(K', L') / sqrt(HSIC(K*, K*) HSIC(L*, L*))

where K* and L* are masked by their own neighbours. This is the published code with unbiased=True (Song et al. 2012, eq. 5)
without the 1e-6 it adds to the denominator, which at n = 1000 is not small beside it. The masked Grams are not symmetric, so
1'K'L'1 and with it the value depends a little on which space comes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.base import Metric, declare
from conceptprobe.alignment.neighbours import checked_k, nearest, unit_rows

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class NearGram:
    """The k + 1 nearest items of each of n, their cosines, and the HSIC of the space with itself."""

    lists: Int[np.ndarray, "n k+1"]
    cosines: Float[np.ndarray, "n k+1"]
    norm: float


@dataclass(frozen=True)
class Cknna(Metric):
    """CKNNA: 1 for equal geometry; little above 0 for unrelated spaces (0.04 at n = 101, k = 5, where mutual kNN is 0.05).

    The estimator of HSIC is unbiased for whole Grams; what is masked by nearness is positive, so its null is not at 0.
    k: neighbours per item, 2 or more.

    Invariant to rotation and isotropic scaling about the mean. A global metric: every pair of neighbours enters one sum.
    """

    k: int = 10

    def __post_init__(self) -> None:
        checked_k(self.k, least=2)

    @property
    def least_rows(self) -> int:
        """k neighbours, a spare one, the row itself and one more; HSIC with one left out needs five."""
        return max(self.k + 3, 5)

    def prepare(self, x: Float[np.ndarray, "n d"]) -> NearGram:
        """Neighbour lists with one spare, and the cosines of the pairs in them. Cost n^2 d."""
        self.check(len(x), x.shape[1], x.shape[1])
        z = unit_rows(x)
        cosine = z @ z.T
        lists = nearest(cosine, self.k + 1)
        alone = NearGram(lists, np.take_along_axis(cosine, lists, axis=1), 0.0)
        return NearGram(lists, alone.cosines, _Pairs(alone, alone, self.k).hsic())

    def compare(self, a: NearGram, b: NearGram, focus: Bool[np.ndarray, " n"] | None = None) -> float:
        """CKNNA of two spaces; a global metric, so `focus` must be None."""
        return _ratio(_Pairs(a, b, self.k).hsic(), a.norm, b.norm)

    def null(
        self,
        a: NearGram,
        b: NearGram,
        permutations: Int[np.ndarray, "p n"],
        focus: Bool[np.ndarray, " n"] | None = None,
    ) -> Float[np.ndarray, " p"]:
        """CKNNA with the items of b renamed: lists are relabelled, norms do not change. Cost n k^2 each."""
        out = np.empty(len(permutations))
        for i, order in enumerate(permutations):
            inverse = np.empty_like(order)
            inverse[order] = np.arange(len(order))
            out[i] = self.compare(a, NearGram(inverse[b.lists[order]], b.cosines[order], b.norm))
        return out

    def leave_one_out(
        self, a: NearGram, b: NearGram, focus: Bool[np.ndarray, " n"] | None = None
    ) -> Float[np.ndarray, " n"]:
        """CKNNA with each item deleted, lists refilled from the spare neighbour; the mean is that of all rows. Cost n^2 k."""
        parts = (_Pairs(*pair, self.k).leave_one_out() for pair in ((a, b), (a, a), (b, b)))
        return np.array([_ratio(*hsics) for hsics in zip(*parts, strict=True)])


class _Pairs:
    """All (i, j) with j among the k + 1 nearest of i in both spaces, and HSIC over those that a deletion leaves valid."""

    def __init__(self, a: NearGram, b: NearGram, k: int) -> None:
        self.n, self.k = len(a.lists), k
        self.i, self.place_a, self.place_b = np.nonzero(a.lists[:, :, None] == b.lists[:, None, :])
        self.j = a.lists[self.i, self.place_a]
        self.in_a, self.in_b = a.cosines[self.i, self.place_a], b.cosines[self.i, self.place_b]
        self.lists_a, self.lists_b = a.lists, b.lists
        # Where (j, i) stands in the list of pairs; those without it point at the last place, which is never valid.
        names = self.i * self.n + self.j
        order = np.argsort(names)
        at = np.searchsorted(names, self.j * self.n + self.i, sorter=order).clip(max=max(len(names) - 1, 0))
        mirror = order[at] if len(names) else at
        self.mirror = np.where(names[mirror] == self.j * self.n + self.i, mirror, len(names))

    def hsic(self) -> float:
        return self._hsic((self.place_a < self.k) & (self.place_b < self.k), self.n)

    def leave_one_out(self) -> Iterator[float]:
        """HSIC with each item gone: its pairs leave, and the spare of every list that named it comes in."""
        for gone in range(self.n):
            refilled_a = (self.lists_a[:, : self.k] == gone).any(axis=1)
            refilled_b = (self.lists_b[:, : self.k] == gone).any(axis=1)
            valid = (self.i != gone) & (self.j != gone)
            valid &= (self.place_a < self.k) | refilled_a[self.i]
            valid &= (self.place_b < self.k) | refilled_b[self.i]
            yield self._hsic(valid, self.n - 1)

    def _hsic(self, valid: np.ndarray, n: int) -> float:
        in_a, in_b = np.where(valid, self.in_a, 0.0), np.where(valid, self.in_b, 0.0)
        # The Grams are symmetric, only the masks are not: L'[j, i] is L[i, j] where both (i, j) and (j, i) are valid.
        both = np.append(valid, False)[self.mirror]
        columns_a = np.bincount(self.j, in_a, minlength=self.n)
        rows_b = np.bincount(self.i, in_b, minlength=self.n)
        total = in_a.sum() * in_b.sum() / ((n - 1) * (n - 2))
        return float((np.vdot(in_a, in_b * both) + total - 2.0 * columns_a @ rows_b / (n - 2)) / (n * (n - 3)))


def _ratio(cross: float, norm_a: float, norm_b: float) -> float:
    # Unbiased norms can be <= 0 for pure noise: then no alignment can be claimed.
    return cross / float(np.sqrt(norm_a * norm_b)) if norm_a > 0 and norm_b > 0 else 0.0


declare(
    "cknna",
    Cknna(),
    about="debiased CKA over the neighbours both spaces share, cosine",
    symmetric=False,
    fails="few shared neighbours leave it to a handful of pairs; the order of the spaces moves it a little",
    source="Huh et al. 2024; Song et al. 2012",
)
