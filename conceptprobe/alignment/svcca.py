"""Singular vector CCA (Raghu et al. 2017): canonical correlations of the principal axes that hold most of the variance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.base import Metric, declare
from conceptprobe.alignment.cca import mean_correlation, refuse_few_rows
from conceptprobe.alignment.principal import PrincipalAxes, principal_axes
from conceptprobe.errors import UsageError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


def kept_axes(axes: PrincipalAxes, threshold: float) -> int:
    """How many leading axes hold the share `threshold` of the variance, at least one where there is any."""
    if not axes.lengths.size:
        return 0
    return _kept(axes.lengths**2, threshold)


def _kept(variances: np.ndarray, threshold: float) -> int:
    shares = np.cumsum(variances) / variances.sum()
    return min(int(np.searchsorted(shares, threshold)) + 1, len(variances))


@dataclass(frozen=True)
class TruncatedAxes:
    """A space and how many of its principal axes are kept."""

    axes: PrincipalAxes
    kept: int

    @property
    def basis(self) -> Float[np.ndarray, "n k"]:
        """The kept axes over the items."""
        return self.axes.basis[:, : self.kept]


@dataclass(frozen=True)
class Svcca(Metric):
    """Mean canonical correlation of the leading principal axes of each space, 0 to 1.

    Invariant to rotation, isotropic scaling and translation. Cost n d min(n, d); n k^2 + k^3 for each permutation,
    r^3 with r = min(n - 1, d) for each deletion. Raises TooFewRows at n <= 2 k with k axes kept, UsageError where the
    threshold is not a share.
    """

    threshold: float = 0.99
    """Share of the variance that the kept axes hold."""

    def __post_init__(self) -> None:
        """A share of the variance."""
        if not 0.0 < self.threshold < 1.0:
            raise UsageError(f"threshold is a share of the variance, between 0 and 1, not {self.threshold}")

    @property
    def least_rows(self) -> int:
        """Leaving one out of one axis needs four; how many axes are kept is known only from the data."""
        return 4

    def prepare(self, x: Float[np.ndarray, "n d"]) -> TruncatedAxes:
        """The principal axes, and how many hold the threshold. Raises TooFewRows at n <= 2 k."""
        self.check(len(x), x.shape[1], x.shape[1])
        axes = principal_axes(x)
        kept = kept_axes(axes, self.threshold)
        refuse_few_rows(len(x), kept)
        return TruncatedAxes(axes, kept)

    def compare(self, a: TruncatedAxes, b: TruncatedAxes, focus: Bool[np.ndarray, " n"] | None = None) -> float:
        """Mean canonical correlation of the kept axes; a global metric, so `focus` must be None."""
        return mean_correlation(a.basis.T @ b.basis)

    def null(
        self,
        a: TruncatedAxes,
        b: TruncatedAxes,
        permutations: Int[np.ndarray, "k n"],
        focus: Bool[np.ndarray, " n"] | None = None,
    ) -> Float[np.ndarray, " k"]:
        """The axes of renamed items are the axes, renamed."""
        return np.array([mean_correlation(a.basis.T @ b.basis[order]) for order in permutations])

    def leave_one_out(
        self, a: TruncatedAxes, b: TruncatedAxes, focus: Bool[np.ndarray, " n"] | None = None
    ) -> Float[np.ndarray, " n"]:
        """Axes and how many are kept are found anew for each rest: r^3 each, n r^3 in all."""
        scores_a, scores_b = a.axes.scores, b.axes.scores
        cross, growth = scores_a.T @ scores_b, len(scores_a) / (len(scores_a) - 1)
        out = np.empty(len(scores_a))
        for item, (u, v) in enumerate(zip(scores_a, scores_b, strict=True)):
            left = _whitened_axes(a.axes.lengths, growth, u, self.threshold)
            right = _whitened_axes(b.axes.lengths, growth, v, self.threshold)
            out[item] = mean_correlation(left.T @ (cross - growth * np.outer(u, v)) @ right)
        return out


def _whitened_axes(lengths: np.ndarray, growth: float, row: np.ndarray, threshold: float) -> Float[np.ndarray, "r k"]:
    """Kept axes of a space without one row, in the principal coordinates of all rows, each over its length."""
    if not lengths.size:
        return np.zeros((0, 0))
    variances, axes = np.linalg.eigh(np.diag(lengths**2) - growth * np.outer(row, row))
    variances, axes = np.maximum(variances[::-1], 0.0), axes[:, ::-1]
    if variances[0] <= 1e-12 * lengths[0] ** 2:
        return np.zeros((len(lengths), 0))
    kept = _kept(variances, threshold)
    return axes[:, :kept] / np.sqrt(variances[:kept])


declare(
    "svcca",
    Svcca(),
    about="mean canonical correlation of the principal axes that hold 99% of the variance",
    cost="n d^2, k^3 for each permutation, d^3 for each deletion",
    fails="the number of axes kept decides it; refused at n <= 2 k",
    source="Raghu et al. 2017",
)
