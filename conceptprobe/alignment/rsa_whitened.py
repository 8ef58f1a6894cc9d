"""Whitened comparison of distance matrices (Diedrichsen et al. 2020): distances that share an item do not count twice.

Noise that is independent over items makes their squared Euclidean distances covary; whitening by that covariance turns the
inner product of two vectors of distances into that of the doubly centred matrices, G = -1/2 H D H:

    whitened cosine    <G_a, G_b> / (|G_a| |G_b|)       this is biased linear CKA
    whitened Pearson   the same after the mean distance was taken from all

The paper's "unbiased" is about distances cross-validated over repetitions of each item; a model gives the same vector every
time, so there is none to do, and squared Euclidean distances carry no measurement noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.base import Metric, declare, renamed
from conceptprobe.alignment.distances import squared_euclidean
from conceptprobe.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

WHITENED = ("pearson", "cosine")
"""What `WhitenedRsa` compares distances by."""


@dataclass(frozen=True)
class CentredDistances:
    """Squared distances with zero diagonal, less their mean (Pearson) or as they are (cosine), and their row sums."""

    d: Float[np.ndarray, "n n"]
    sums: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class WhitenedRsa(Metric):
    """Whitened Pearson (or cosine) of two matrices of squared Euclidean distances; 1 for equal geometry.

    comparison: "pearson" or "cosine". Invariant to rotation, isotropic scaling and translation. Like biased CKA it is high
    for unrelated spaces where d is large beside n: read it beside its null. Cost n^2 d.
    """

    comparison: str = "pearson"

    def __post_init__(self) -> None:
        if self.comparison not in WHITENED:
            raise UsageError(
                f"no whitened comparison named '{self.comparison}'.{did_you_mean(self.comparison, WHITENED)}",
                hint=f"one of: {', '.join(WHITENED)}",
            )

    @property
    def least_rows(self) -> int:
        """Six distances, as for every comparison of distances."""
        return 4

    def prepare(self, x: Float[np.ndarray, "n d"]) -> CentredDistances:
        """Squared distances over the largest, less their mean for Pearson."""
        n = len(x)
        self.check(n, x.shape[1], x.shape[1])
        d = squared_euclidean(np.asarray(x, dtype=np.float64))
        if self.comparison == "pearson":
            d -= d.sum() / (n * (n - 1))
            np.fill_diagonal(d, 0.0)
        return CentredDistances(d, d.sum(axis=1))

    def compare(self, a: CentredDistances, b: CentredDistances, focus: Bool[np.ndarray, " n"] | None = None) -> float:
        """Whitened Pearson or cosine; a global metric, so `focus` must be None. 0 where all distances are equal."""
        return float(_ratio(_inner(a, b), _inner(a, a), _inner(b, b)))

    def null(
        self,
        a: CentredDistances,
        b: CentredDistances,
        permutations: Int[np.ndarray, "k n"],
        focus: Bool[np.ndarray, " n"] | None = None,
    ) -> Float[np.ndarray, " k"]:
        """The same with the items of b renamed: norms do not change."""
        norm_a, norm_b = _inner(a, a), _inner(b, b)
        return np.array(
            [
                _ratio(_inner(a, CentredDistances(d, b.sums[order])), norm_a, norm_b)
                for order, d in zip(permutations, renamed(b.d, permutations), strict=True)
            ]
        )

    def leave_one_out(
        self, a: CentredDistances, b: CentredDistances, focus: Bool[np.ndarray, " n"] | None = None
    ) -> Float[np.ndarray, " n"]:
        """Exact, in closed form in O(n^2) for all n deletions; the mean distance is that of the items that remain."""
        return _ratio(self._left_out(a, b), self._left_out(a, a), self._left_out(b, b))

    def _left_out(self, a: CentredDistances, b: CentredDistances) -> Float[np.ndarray, " n"]:
        m = len(a.sums) - 1
        both = (a.d * b.d).sum(axis=1)
        overlap = both.sum() - 2.0 * both
        rows = a.sums @ b.sums - a.sums * b.sums - b.d @ a.sums - a.d @ b.sums + both
        total_a, total_b = a.sums.sum() - 2.0 * a.sums, b.sums.sum() - 2.0 * b.sums
        inner = overlap - 2.0 * rows / m + total_a * total_b / m**2
        if self.comparison == "cosine":
            return inner
        # Less the mean c of what remains: H (D - c (J - I)) H = H D H + c H, and <H D H, H> = -1'D1 / m, <H, H> = m - 1.
        mean_a, mean_b = total_a / (m * (m - 1)), total_b / (m * (m - 1))
        return inner - (mean_a * total_b + mean_b * total_a) / m + mean_a * mean_b * (m - 1)


def _inner(a: CentredDistances, b: CentredDistances) -> float:
    """<H D_a H, H D_b H>."""
    n = len(a.sums)
    return float(np.vdot(a.d, b.d) - 2.0 * (a.sums @ b.sums) / n + a.sums.sum() * b.sums.sum() / n**2)


def _ratio(cross: float | np.ndarray, norm_a: float | np.ndarray, norm_b: float | np.ndarray) -> np.ndarray:
    # Distances are at most 1 here, so a squared norm of 1e-20 is rounding error: all distances are equal, or all rows one.
    some = (np.asarray(norm_a) > 1e-20) & (np.asarray(norm_b) > 1e-20)
    return np.where(some, cross / np.sqrt(np.where(some, np.asarray(norm_a) * norm_b, 1.0)), 0.0)


declare(
    "rsa_whitened",
    WhitenedRsa(),
    about="squared Euclidean distances, whitened Pearson",
    fails="high for unrelated spaces where d is large beside n, as biased CKA is; its cosine form is biased CKA",
    source="Diedrichsen et al. 2020",
)
