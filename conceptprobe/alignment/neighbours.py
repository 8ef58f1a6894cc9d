"""Mutual k-nearest-neighbour overlap (Huh et al. 2024, "The Platonic Representation Hypothesis").

Mean share of the k nearest words (cosine) that two spaces agree on. With `focus` only some words ask, and all answer:
the local alignment of a concept in a background pool.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.base import Metric
from conceptprobe.registry import register

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class MutualKnn(Metric):
    """Mutual kNN overlap in [0, 1]; k / (n - 1) on average for unrelated spaces.

    Invariant to rotation and isotropic scaling about the mean, which is removed first. Cost n^2 d.
    """

    k: int = 10

    @property
    def least_rows(self) -> int:
        """k neighbours, a spare one, the row itself and one more."""
        return self.k + 3

    def prepare(self, x: Float[np.ndarray, "n d"]) -> Int[np.ndarray, "n k+1"]:
        """The k + 1 nearest words of each: one spare, so that deleting a word never shortens a list."""
        n = len(x)
        self.check(n, x.shape[1], x.shape[1])
        z = np.asarray(x, dtype=np.float64)
        z = z - z.mean(axis=0)
        norm = np.linalg.norm(z, axis=1, keepdims=True)
        z = z / np.where(norm > 0, norm, 1.0)
        likeness = z @ z.T
        np.fill_diagonal(likeness, -np.inf)
        return np.argsort(-likeness, axis=1, kind="stable")[:, : self.k + 1]

    def compare(self, a: np.ndarray, b: np.ndarray, focus: Bool[np.ndarray, " n"] | None = None) -> float:
        """Mean overlap over the words in focus (all by default)."""
        overlap = _shared(a[:, : self.k], b[:, : self.k]) / self.k
        return float(overlap.mean() if focus is None else overlap[focus].mean())

    def null(
        self,
        a: np.ndarray,
        b: np.ndarray,
        permutations: Int[np.ndarray, "k n"],
        focus: Bool[np.ndarray, " n"] | None = None,
    ) -> Float[np.ndarray, " k"]:
        """Words of b renamed: the lists of the words that ask are relabelled, no space is searched again."""
        asks = np.arange(len(a)) if focus is None else np.flatnonzero(focus)
        own = a[asks]
        out = np.empty(len(permutations))
        for i, order in enumerate(permutations):
            inverse = np.empty_like(order)
            inverse[order] = np.arange(len(order))
            out[i] = self.compare(own, inverse[b[order[asks]]])
        return out

    def leave_one_out(
        self, a: np.ndarray, b: np.ndarray, focus: Bool[np.ndarray, " n"] | None = None
    ) -> Float[np.ndarray, " n"]:
        """Overlap with each word deleted, lists refilled from the spare neighbour."""
        n, k = len(a), self.k
        asks = np.ones(n, dtype=bool) if focus is None else np.asarray(focus)
        whole = _shared(a[:, :k], b[:, :k]).astype(np.float64)
        totals = np.full(n, whole[asks].sum())
        # A deletion changes only the lists that hold the word: recount those, one row at a time.
        for row in np.flatnonzero(asks):
            for word in np.union1d(a[row, :k], b[row, :k]):
                la, lb = a[row][a[row] != word][:k], b[row][b[row] != word][:k]
                totals[word] += len(np.intersect1d(la, lb, assume_unique=True)) - whole[row]
        totals[asks] -= whole[asks]
        return totals / (k * (asks.sum() - asks))


def _shared(a: np.ndarray, b: np.ndarray) -> Int[np.ndarray, " n"]:
    return (a[:, :, None] == b[:, None, :]).sum(axis=(1, 2))


register(
    "metric",
    "mutual_knn",
    about="share of the k nearest neighbours that both spaces agree on, cosine",
    invariant_to=("rotation", "isotropic scale", "translation"),
    closer="higher",
    symmetric=True,
    local=True,
    cost="n^2 d",
    fails="rows of one word in many templates are neighbours whatever the model: average them first",
    source="Huh et al. 2024",
)(MutualKnn())
