"""Matched pairs ranked once per fold: AUROC, jackknife and rank swaps of many replications from the same ranks.

For simulations, where one argsort per scorer has to serve everything; `Design` and `rank_swap_null` are the general
forms, and the tests hold the two together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Ranked:
    """Scores of r replications of n matched pairs, positives in columns 0 to n - 1, their controls in n to 2n - 1.

    fold: of each pair; only items of one fold are compared. Scores within a fold are taken to have no ties.
    """

    def __init__(self, scores: Float[np.ndarray, "r items"], fold: Int[np.ndarray, " pairs"]) -> None:
        n = len(fold)
        self.pairs = [np.flatnonzero(fold == f) for f in np.unique(fold)]
        self.sizes: Float[np.ndarray, " pairs"] = np.bincount(fold)[fold].astype(np.float64)
        """Number of pairs in the fold of each pair."""
        self._place, self._below, self._above = [], [], []
        for own in self.pairs:
            m = len(own)
            order = np.argsort(scores[:, np.concatenate([own, own + n])], axis=1)
            place = np.empty_like(order)
            np.put_along_axis(place, order, np.arange(2 * m)[None], axis=1)
            positive = (order < m).astype(np.float64)  # by rank
            up_to = positive.cumsum(axis=1) - positive / 2.0
            self._place.append(place)
            # At each rank: controls below it and positives above it, one on the rank itself counting half.
            self._above.append(m - up_to)
            self._below.append(np.arange(2 * m) + 0.5 - up_to)

    def won(self, other: Ranked | None = None) -> Float[np.ndarray, "r pairs"]:
        """Per pair: controls of its fold below its positive, plus positives of its fold above its control.

        With `other`, the pair's own items have this scorer's ranks and all others those of `other`; equal ranks count half.
        """
        other = other or self
        out = np.empty((len(self._place[0]), len(self.sizes)))
        for f, own in enumerate(self.pairs):
            m = len(own)
            out[:, own] = np.take_along_axis(other._below[f], self._place[f][:, :m], axis=1)
            out[:, own] += np.take_along_axis(other._above[f], self._place[f][:, m:], axis=1)
        return out

    def auroc(self) -> Float[np.ndarray, " r"]:
        """AUROC over positive-control pairs of one fold."""
        # Every comparison is counted twice: for the pair of its positive and for that of its control.
        auroc: np.ndarray = self.won().sum(axis=1) / (2.0 * self.sizes.sum())
        return auroc

    def without_each(self) -> Float[np.ndarray, "r pairs"]:
        """The AUROC with each pair left out in turn."""
        won = self.won()
        inside = np.empty_like(won)
        for f, own in enumerate(self.pairs):
            m = len(own)
            inside[:, own] = self._place[f][:, :m] > self._place[f][:, m:]
        left: np.ndarray = won.sum(axis=1, keepdims=True) / 2.0 - (won - inside)
        return left / (self.sizes.sum() - (2.0 * self.sizes - 1.0))

    def swap_weights(self, other: Ranked) -> Float[np.ndarray, "r pairs"]:
        """What the swap of each pair's ranks does to the difference AUROC(self) - AUROC(other) on within-fold ranks.

        sum(sign * weight) is that difference with the ranks of all pairs of sign -1 swapped between the scorers. It is
        odd in the signs, so products of two signs cancel and it is linear: a whole null is one matrix product.
        """
        odd = self.won() - other.won() + self.won(other) - other.won(self)
        weights: np.ndarray = 0.5 * odd / self.sizes.sum()
        return weights
