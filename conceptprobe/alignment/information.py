"""Information imbalance (Glielmo et al. 2022, "Ranking the information content of distance measures").

Who is nearest in a: how near is it in b? Delta(a -> b) is the mean rank in b of the k nearest items of a, times 2 / n: 2 / n
(about 0) where they are the nearest in b too, 1 where a says nothing about b. Not symmetric: a rich space predicts a poor
one and not the other way round. Distances are Euclidean; items equally far are taken in the order of the rows, which a null
keeps under the new names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.base import Metric, declare
from conceptprobe.alignment.distances import squared_euclidean
from conceptprobe.alignment.neighbours import asking, checked_k

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class NeighbourRanks:
    """ranks[i, j]: j is the ranks[i, j]-th nearest item of i, 1 to n - 1, and 0 for i itself. lists: the k + 1 nearest."""

    ranks: Int[np.ndarray, "n n"]
    lists: Int[np.ndarray, "n k+1"]


@dataclass(frozen=True)
class InformationImbalance(Metric):
    """Delta(a -> b) in (0, 2): (k + 1) / n for equal spaces, 1 on average for unrelated ones, above 1 for opposed ones.

    k: neighbours in a whose ranks in b are read; the paper's is 1. Invariant to rotation, isotropic scaling and translation.
    Cost n^2 d; 4 n^2 bytes per space.
    """

    k: int = 1

    def __post_init__(self) -> None:
        checked_k(self.k)

    @property
    def least_rows(self) -> int:
        """k neighbours, a spare one, the row itself and one more."""
        return self.k + 3

    def prepare(self, x: Float[np.ndarray, "n d"]) -> NeighbourRanks:
        """Ranks of all items from each, and the nearest with one spare."""
        n = len(x)
        self.check(n, x.shape[1], x.shape[1])
        distances = squared_euclidean(np.asarray(x, dtype=np.float64))
        np.fill_diagonal(distances, -1.0)  # before its copies, too
        order = np.argsort(distances, axis=1, kind="stable")
        ranks = np.empty((n, n), dtype=np.int32)
        np.put_along_axis(ranks, order, np.arange(n, dtype=np.int32)[None, :], axis=1)
        return NeighbourRanks(ranks, order[:, 1 : self.k + 2].copy())

    def compare(self, a: NeighbourRanks, b: NeighbourRanks, focus: Bool[np.ndarray, " n"] | None = None) -> float:
        """Delta(a -> b), asked by the items in focus (all by default). Raises TooFewRows where none asks."""
        asks = np.flatnonzero(asking(len(a.lists), focus))
        return self._delta(a, b, asks, np.arange(len(a.lists)))

    def null(
        self,
        a: NeighbourRanks,
        b: NeighbourRanks,
        permutations: Int[np.ndarray, "p n"],
        focus: Bool[np.ndarray, " n"] | None = None,
    ) -> Float[np.ndarray, " p"]:
        """Delta with the items of b renamed: ranks are read at b's names, none is searched again. Cost n k each."""
        asks = np.flatnonzero(asking(len(a.lists), focus))
        return np.array([self._delta(a, b, asks, order) for order in permutations])

    def _delta(self, a: NeighbourRanks, b: NeighbourRanks, asks: np.ndarray, order: np.ndarray) -> float:
        ranks = b.ranks[order[asks, None], order[a.lists[asks, : self.k]]]
        return float(2.0 * ranks.mean() / len(order))

    def leave_one_out(
        self, a: NeighbourRanks, b: NeighbourRanks, focus: Bool[np.ndarray, " n"] | None = None
    ) -> Float[np.ndarray, " n"]:
        """Delta with each item deleted, exactly: lists refilled from the spare, ranks behind it one less. Cost n^2 k.

        Raises TooFewRows where fewer than two items ask.
        """
        n, k = len(a.lists), self.k
        asks = asking(n, focus, least=2)
        rows = np.flatnonzero(asks)
        ranks, lists = b.ranks[rows], a.lists[rows]
        of_list = np.take_along_axis(ranks, lists, axis=1).astype(np.int64)
        # How many of its k neighbours each other item stands before, in b: their ranks fall by one when it goes.
        before = np.zeros(ranks.shape, dtype=np.int64)
        for place in range(k):
            before += ranks < of_list[:, place, None]
        change = -before
        spare = of_list[:, k, None]
        replaced = spare - of_list[:, :k] - (of_list[:, :k] < spare)
        within = np.take_along_axis(change, lists[:, :k], axis=1)
        np.put_along_axis(change, lists[:, :k], within + replaced, axis=1)
        whole = of_list[:, :k].sum(axis=1)
        change[np.arange(len(rows)), rows] = -whole  # it asks no more
        totals = whole.sum() + change.sum(axis=0)
        return 2.0 * totals / (k * (asks.sum() - asks)) / (n - 1)


declare(
    "information_imbalance",
    InformationImbalance(),
    about="rank in b of the nearest neighbour in a, 0 where a foretells b's neighbours, 1 where it says nothing",
    closer="lower",
    symmetric=False,
    local=True,
    fails="copies of a row are each other's nearest in every space: drop them first",
    source="Glielmo et al. 2022",
)
