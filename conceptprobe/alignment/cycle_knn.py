"""Cycle-kNN (Huh et al. 2024, appendix): out along the neighbours of one space, and back along those of the other.

An item succeeds if one of its k nearest neighbours in a names it among its own k nearest in b. Neighbours are those of
`neighbours.py`: cosine about the mean, ties in the order of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.base import declare
from conceptprobe.alignment.neighbours import ListMetric, asking

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class CycleKnn(ListMetric):
    """Share of items that come back to themselves, 0 to 1; about 1 - (1 - k / (n - 1))^k for unrelated spaces.

    Out by a, back by b: the published code, whose arguments are the other way round, computes knn_A[knn_B]. Two equal
    spaces need not reach 1: an item that nobody names cannot come back. Cost n^2 d.
    """

    def compare(
        self,
        a: Int[np.ndarray, "n k+1"],
        b: Int[np.ndarray, "n k+1"],
        focus: Bool[np.ndarray, " n"] | None = None,
    ) -> float:
        """Share of the items in focus (all by default) that come back. Raises TooFewRows where none asks."""
        asks = np.flatnonzero(asking(len(a), focus))
        return self._share(a[asks], b, asks, np.arange(len(a)))

    def null(
        self,
        a: Int[np.ndarray, "n k+1"],
        b: Int[np.ndarray, "n k+1"],
        permutations: Int[np.ndarray, "p n"],
        focus: Bool[np.ndarray, " n"] | None = None,
    ) -> Float[np.ndarray, " p"]:
        """Items of b renamed: item i answers to b's name order[i], and no space is searched again. Cost n k^2 each."""
        asks = np.flatnonzero(asking(len(a), focus))
        own = a[asks]
        return np.array([self._share(own, b, asks, order) for order in permutations])

    def _share(self, own: np.ndarray, b: np.ndarray, asks: np.ndarray, order: np.ndarray) -> float:
        back = b[order[own[:, : self.k]], : self.k]
        return float((back == order[asks][:, None, None]).any(axis=(1, 2)).mean())

    def leave_one_out(
        self,
        a: Int[np.ndarray, "n k+1"],
        b: Int[np.ndarray, "n k+1"],
        focus: Bool[np.ndarray, " n"] | None = None,
    ) -> Float[np.ndarray, " n"]:
        """The share with each item deleted, lists refilled from the spare neighbour; the mean is that of all rows.

        Every way out and back, spares included, is listed once; a deletion closes some and opens others. Cost n^2 k.
        Raises TooFewRows where fewer than two items ask.
        """
        n, k = len(a), self.k
        asks = asking(n, focus, least=2)
        start, out = np.nonzero(np.repeat(asks[:, None], k + 1, axis=1))
        by = a[start, out]
        way, back = np.nonzero(b[by] == start[:, None])
        start, by, out = start[way], by[way], out[way]
        holds_a, holds_b = _holders(a[:, :k], n), _holders(b[:, :k], n)
        values = np.empty(n)
        for gone in range(n):
            refilled_a, refilled_b = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
            refilled_a[holds_a[gone]] = True
            refilled_b[holds_b[gone]] = True
            is_open = (start != gone) & (by != gone)
            is_open &= ((out < k) | refilled_a[start]) & ((back < k) | refilled_b[by])
            came = np.zeros(n, dtype=bool)
            came[start[is_open]] = True
            values[gone] = came.sum() / (asks.sum() - asks[gone])
        return values


def _holders(lists: np.ndarray, n: int) -> list[np.ndarray]:
    """For each item, the rows whose list names it."""
    flat = lists.ravel()
    rows = np.argsort(flat, kind="stable") // lists.shape[1]
    return np.split(rows, np.cumsum(np.bincount(flat, minlength=n))[:-1])


declare(
    "cycle_knn",
    CycleKnn(),
    about="share of items that come back to themselves: out to the k nearest in one space, back in the other",
    symmetric=False,
    local=True,
    fails="chance is about k^2 / n, not 0, and equal spaces need not reach 1: read it beside its null",
    source="Huh et al. 2024",
)
