"""Overlap of nearest neighbours: mutual kNN (Huh et al. 2024, "The Platonic Representation Hypothesis") and Jaccard kNN.

Both ask of every item how many of its k nearest items (cosine about the mean) two spaces agree on. With `focus` only some
items ask, and all answer: the local alignment of a concept in a background pool.

Items equally near are taken in the order of the rows, so copies of one row have a defined, if arbitrary, order, which a null
keeps under the new names: drop or average copies first. `nearest`, `unit_rows`, `asking` and `checked_k` serve every metric
that lives on neighbour lists.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.base import Metric, declare
from conceptprobe.errors import TooFewRows, UsageError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

_DECIMALS = 12


def unit_rows(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Rows about their mean, scaled to unit length; a row that is the mean stays zero."""
    z = np.asarray(x, dtype=np.float64)
    z = z - z.mean(axis=0)
    norm = np.linalg.norm(z, axis=1, keepdims=True)
    return z / np.where(norm > 0, norm, 1.0)


def nearest(likeness: Float[np.ndarray, "n n"], count: int) -> Int[np.ndarray, "n count"]:
    """The `count` items most like each, itself excluded, the most like first; ties in the order of the rows.

    likeness: symmetric, of order 1; overwritten. Differences below 1e-12 are rounding errors and count as ties.
    """
    np.round(likeness, _DECIMALS, out=likeness)
    np.fill_diagonal(likeness, -np.inf)
    n = len(likeness)
    found = np.sort(np.argpartition(likeness, n - count, axis=1)[:, n - count :], axis=1)
    values = np.take_along_axis(likeness, found, axis=1)
    found = np.take_along_axis(found, np.argsort(-values, axis=1, kind="stable"), axis=1)
    # A partition may keep any of the items tied at its edge: only a full sort knows which come first.
    tied = np.flatnonzero((likeness >= values.min(axis=1, keepdims=True)).sum(axis=1) > count)
    found[tied] = np.argsort(-likeness[tied], axis=1, kind="stable")[:, :count]
    return found


def asking(n: int, focus: Bool[np.ndarray, " n"] | None, least: int = 1) -> Bool[np.ndarray, " n"]:
    """Which of n items ask: those in focus, or all. Raises TooFewRows where fewer than `least` do."""
    asks = np.ones(n, dtype=bool) if focus is None else np.asarray(focus, dtype=bool)
    if asks.sum() < least:
        raise TooFewRows(f"{int(asks.sum())} items in focus are too few: at least {least} must ask")
    return asks


def checked_k(k: int, least: int = 1) -> None:
    """Raises UsageError where k neighbours are fewer than `least`."""
    if k < least:
        raise UsageError(f"k = {k} neighbours cannot be compared: k must be at least {least}")


@dataclass(frozen=True)
class ListMetric(Metric):
    """A metric that sees of each space only who the k nearest neighbours of every item are."""

    k: int = 10
    """Neighbours per item."""

    def __post_init__(self) -> None:
        checked_k(self.k)

    @property
    def least_rows(self) -> int:
        """k neighbours, a spare one, the row itself and one more."""
        return self.k + 3

    def prepare(self, x: Float[np.ndarray, "n d"]) -> Int[np.ndarray, "n k+1"]:
        """The k + 1 nearest items of each: one spare, so that deleting an item never shortens a list."""
        self.check(len(x), x.shape[1], x.shape[1])
        z = unit_rows(x)
        return nearest(z @ z.T, self.k + 1)


@dataclass(frozen=True)
class ListOverlap(ListMetric):
    """Mean over the items that ask of a score of how many of their k nearest neighbours two spaces share."""

    @abstractmethod
    def score(self, shared: Int[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Score of lists of k that share so many items: 1 for k of them, 0 for none."""

    def compare(
        self,
        a: Int[np.ndarray, "n k+1"],
        b: Int[np.ndarray, "n k+1"],
        focus: Bool[np.ndarray, " n"] | None = None,
    ) -> float:
        """Mean score over the items in focus (all by default). Raises TooFewRows where none is."""
        asks = asking(len(a), focus)
        return float(self.score(_shared(a[asks, : self.k], b[asks, : self.k])).mean())

    def null(
        self,
        a: Int[np.ndarray, "n k+1"],
        b: Int[np.ndarray, "n k+1"],
        permutations: Int[np.ndarray, "p n"],
        focus: Bool[np.ndarray, " n"] | None = None,
    ) -> Float[np.ndarray, " p"]:
        """Items of b renamed: the lists of the items that ask are relabelled, no space is searched again."""
        asks = np.flatnonzero(asking(len(a), focus))
        own = a[asks]
        out = np.empty(len(permutations))
        for i, order in enumerate(permutations):
            inverse = np.empty_like(order)
            inverse[order] = np.arange(len(order))
            out[i] = self.compare(own, inverse[b[order[asks]]])
        return out

    def leave_one_out(
        self,
        a: Int[np.ndarray, "n k+1"],
        b: Int[np.ndarray, "n k+1"],
        focus: Bool[np.ndarray, " n"] | None = None,
    ) -> Float[np.ndarray, " n"]:
        """The metric with each item deleted, lists refilled from the spare neighbour; the mean is that of all rows.

        A deletion changes only the lists that hold the item, and each of them in one of three ways. Cost n k^2.
        Raises TooFewRows where fewer than two items ask.
        """
        n, k = len(a), self.k
        asks = asking(n, focus, least=2)
        kept_a, spare_a, kept_b, spare_b = a[asks, :k], a[asks, k], b[asks, :k], b[asks, k]
        same = kept_a[:, :, None] == kept_b[:, None, :]
        shared = same.sum(axis=(1, 2))
        whole = self.score(shared)
        gain_a = (kept_b == spare_a[:, None]).any(axis=1)
        gain_b = (kept_a == spare_b[:, None]).any(axis=1)
        only_a = self.score(shared + gain_a) - whole
        only_b = self.score(shared + gain_b) - whole
        in_both = self.score(shared - 1 + gain_a + gain_b + (spare_a == spare_b)) - whole
        a_in_b, b_in_a = same.any(axis=2), same.any(axis=1)
        totals = np.full(n, whole.sum())
        np.add.at(totals, kept_a, np.where(a_in_b, in_both[:, None], only_a[:, None]))
        np.add.at(totals, kept_b, np.where(b_in_a, 0.0, only_b[:, None]))
        totals[asks] -= whole
        return totals / (asks.sum() - asks)


@dataclass(frozen=True)
class MutualKnn(ListOverlap):
    """Mutual kNN: the share of the k nearest neighbours both spaces name; k / (n - 1) on average for unrelated spaces.

    0 to 1. Invariant to rotation and isotropic scaling about the mean, which is removed first. Cost n^2 d.
    """

    def score(self, shared: Int[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Shared items over k."""
        return np.asarray(shared) / self.k


@dataclass(frozen=True)
class JaccardKnn(ListOverlap):
    """Jaccard kNN: items in both lists over items in either (Jaccard 1912), 0 to 1.

    With s shared items it is s / (2k - s): a monotone change of every item's mutual kNN that rewards lists shared almost whole.
    """

    def score(self, shared: Int[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Shared items over all items of the two lists."""
        return np.asarray(shared) / (2.0 * self.k - np.asarray(shared))


def _shared(a: np.ndarray, b: np.ndarray) -> Int[np.ndarray, " n"]:
    return (a[:, :, None] == b[:, None, :]).sum(axis=(1, 2))


declare(
    "mutual_knn",
    MutualKnn(),
    about="share of the k nearest neighbours that both spaces agree on, cosine",
    local=True,
    fails="rows of one word in many templates are neighbours whatever the model: average them first",
    source="Huh et al. 2024",
)

declare(
    "jaccard_knn",
    JaccardKnn(),
    about="items in both lists of k nearest neighbours over items in either, cosine",
    local=True,
    fails="rows of one word in many templates are neighbours whatever the model: average them first",
    source="Jaccard 1912; Klabunde et al. 2025",
)
