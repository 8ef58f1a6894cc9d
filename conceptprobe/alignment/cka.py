"""Centred kernel alignment (Kornblith et al. 2019), linear, debiased by Song et al. (2012).

The biased form of two independent Gaussian clouds of 256 rows in 4,096 dimensions is 0.94; the debiased form is 0 on
average and may be slightly negative. HSIC is estimated by its unbiased U-statistic on Grams with zeroed diagonals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.base import Metric, renamed
from conceptprobe.registry import register

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Gram:
    """Linear Gram of n rows with a zero diagonal, its row sums, and the unbiased HSIC of the space with itself."""

    k: Float[np.ndarray, "n n"]
    sums: Float[np.ndarray, " n"]
    norm: float


def _hsic(overlap: np.ndarray, total_k: np.ndarray, total_l: np.ndarray, cross: np.ndarray, n: int) -> np.ndarray:
    """Unbiased HSIC (Song et al. 2012, eq. 5) from tr(KL), 1'K1, 1'L1 and 1'KL1."""
    return (overlap + total_k * total_l / ((n - 1) * (n - 2)) - 2.0 * cross / (n - 2)) / (n * (n - 3))


def _pair(a: Gram, b: Gram) -> float:
    n = len(a.sums)
    return float(_hsic(np.vdot(a.k, b.k), a.sums.sum(), b.sums.sum(), a.sums @ b.sums, n))


def _leave_one_out(a: Gram, b: Gram) -> Float[np.ndarray, " n"]:
    n = len(a.sums)
    both = (a.k * b.k).sum(axis=1)
    overlap = both.sum() - 2.0 * both
    cross = a.sums @ b.sums - a.sums * b.sums - b.k @ a.sums - a.k @ b.sums + both
    return _hsic(overlap, a.sums.sum() - 2.0 * a.sums, b.sums.sum() - 2.0 * b.sums, cross, n - 1)


@dataclass(frozen=True)
class Cka(Metric):
    """Debiased linear CKA: 1 for equal geometry, about 0 for independent spaces.

    Invariant to rotation, isotropic scaling and translation of either space. Cost n^2 d.
    """

    @property
    def least_rows(self) -> int:
        """Leaving one out needs four."""
        return 5

    def prepare(self, x: Float[np.ndarray, "n d"]) -> Gram:
        """Gram of the rows, centred first for numerical accuracy (the estimator does not need it)."""
        self.check(len(x), x.shape[1], x.shape[1])
        z = np.asarray(x, dtype=np.float64)
        z = z - z.mean(axis=0)
        k = z @ z.T
        k /= max(float(np.abs(k).max()), 1e-300)
        np.fill_diagonal(k, 0.0)
        gram = Gram(k, k.sum(axis=1), 0.0)
        return Gram(k, gram.sums, _pair(gram, gram))

    def compare(self, a: Gram, b: Gram, focus: Bool[np.ndarray, " n"] | None = None) -> float:
        """CKA of two Grams; it is a global metric, so `focus` must be None."""
        return _ratio(_pair(a, b), a.norm, b.norm)

    def null(
        self, a: Gram, b: Gram, permutations: Int[np.ndarray, "k n"], focus: Bool[np.ndarray, " n"] | None = None
    ) -> Float[np.ndarray, " k"]:
        """CKA with the words of b renamed: norms do not change, only the overlap does."""
        n = len(a.sums)
        out = np.empty(len(permutations))
        for i, (order, k) in enumerate(zip(permutations, renamed(b.k, permutations), strict=True)):
            overlap = np.vdot(a.k, k)
            hsic = _hsic(overlap, a.sums.sum(), b.sums.sum(), a.sums @ b.sums[order], n)
            out[i] = _ratio(float(hsic), a.norm, b.norm)
        return out

    def leave_one_out(self, a: Gram, b: Gram, focus: Bool[np.ndarray, " n"] | None = None) -> Float[np.ndarray, " n"]:
        """Closed form in O(n^2) for all n deletions."""
        norms = _leave_one_out(a, a) * _leave_one_out(b, b)
        return _leave_one_out(a, b) / np.sqrt(np.maximum(norms, 1e-300))


def _ratio(cross: float, norm_a: float, norm_b: float) -> float:
    product = norm_a * norm_b
    # Unbiased norms can be <= 0 for pure noise: then no alignment can be claimed.
    return cross / float(np.sqrt(product)) if norm_a > 0 and norm_b > 0 else 0.0


register(
    "metric",
    "cka",
    about="linear CKA, debiased (Song)",
    invariant_to=("rotation", "isotropic scale", "translation"),
    closer="higher",
    symmetric=True,
    local=False,
    cost="n^2 d",
    fails="one direction of large variance decides it",
    source="Kornblith et al. 2019; Song et al. 2012",
)(Cka())
