"""Canonical correlation analysis (Hotelling 1936): mean CCA, and what its variants in svcca.py and pwcca.py share.

Canonical correlations do not see any invertible linear map of either space. The price: with dx + dy > n - 1 some of them are
exactly 1 whatever the data are, so the metrics are refused at n <= 2 d, d being the larger number of dimensions kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.base import Metric, declare
from conceptprobe.alignment.principal import PrincipalAxes, principal_axes
from conceptprobe.errors import TooFewRows

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

_LEVERAGE = 1.0 - 1e-10
"""An item that takes so much of a direction carries it alone: deleted, the direction is gone."""


def canonical_correlations(cross: Float[np.ndarray, "r s"]) -> Float[np.ndarray, " m"]:
    """The min(r, s) canonical correlations, falling, from the product U'V of two orthonormal bases over the items."""
    return np.minimum(np.linalg.svd(cross, compute_uv=False), 1.0) if cross.size else np.zeros(0)


def mean_correlation(cross: Float[np.ndarray, "r s"]) -> float:
    """Mean canonical correlation of two orthonormal bases, from their product U'V; 0 where a space does not vary."""
    found = canonical_correlations(cross)
    return float(found.mean()) if found.size else 0.0


def refuse_few_rows(n: int, d: int) -> None:
    """Raises TooFewRows at n <= 2 d: canonical correlations would be high for any two spaces."""
    if n <= 2 * d:
        raise TooFewRows(
            f"{n} rows are too few for canonical correlations in {d} dimensions: more than {2 * d} are needed",
            hint="use cka, rsa or mutual_knn, which many dimensions do not fool; or svcca with a lower threshold",
        )


@dataclass(frozen=True)
class CanonicalMetric(Metric):
    """Canonical correlations of all dimensions; `check` refuses them at n <= 2 d."""

    @property
    def least_rows(self) -> int:
        """Leaving one out of one dimension needs four."""
        return 4

    def check(self, n: int, dx: int, dy: int) -> None:
        """Raises TooFewRows at n <= 2 max(dx, dy), and below least_rows."""
        super().check(n, dx, dy)
        refuse_few_rows(n, max(dx, dy))

    def prepare(self, x: Float[np.ndarray, "n d"]) -> PrincipalAxes:
        """An orthonormal basis of the space over the items."""
        self.check(len(x), x.shape[1], x.shape[1])
        return principal_axes(x)


@dataclass(frozen=True)
class Cca(CanonicalMetric):
    """Mean canonical correlation, 0 to 1.

    Invariant to any invertible linear map and translation of either space. Cost n d^2; n d^2 + d^3 for each permutation,
    d^3 for each deletion. Raises TooFewRows at n <= 2 max(dx, dy).
    """

    def compare(self, a: PrincipalAxes, b: PrincipalAxes, focus: Bool[np.ndarray, " n"] | None = None) -> float:
        """Mean canonical correlation; a global metric, so `focus` must be None."""
        return mean_correlation(a.basis.T @ b.basis)

    def null(
        self,
        a: PrincipalAxes,
        b: PrincipalAxes,
        permutations: Int[np.ndarray, "k n"],
        focus: Bool[np.ndarray, " n"] | None = None,
    ) -> Float[np.ndarray, " k"]:
        """The basis of renamed items is the basis, renamed."""
        return np.array([mean_correlation(a.basis.T @ b.basis[order]) for order in permutations])

    def leave_one_out(
        self, a: PrincipalAxes, b: PrincipalAxes, focus: Bool[np.ndarray, " n"] | None = None
    ) -> Float[np.ndarray, " n"]:
        """Both spaces are whitened anew in closed form; d^3 each for the correlations."""
        cross = a.basis.T @ b.basis
        out = np.empty(len(a.basis))
        for item in range(len(out)):
            rest, left, _ = without(a.basis, b.basis, cross, item)
            found = canonical_correlations(rest)[:left]
            out[item] = found.mean() if left else 0.0
        return out


def without(
    a: Float[np.ndarray, "n r"], b: Float[np.ndarray, "n s"], cross: Float[np.ndarray, "r s"], item: int
) -> tuple[Float[np.ndarray, "r s"], int, Float[np.ndarray, "r r"]]:
    """U'V of two orthonormal bases whitened anew without one item, how many correlations are left, and the root for a.

    cross is a'b. Without row u the basis has the Gram I - n/(n - 1) u u' about the mean of the rest: its root, inverse or
    not, differs from the identity along u alone.
    """
    growth = len(a) / (len(a) - 1)
    u, v = a[item], b[item]
    lever_u, lever_v = growth * float(u @ u), growth * float(v @ v)
    left = min(len(u) - (lever_u > _LEVERAGE), len(v) - (lever_v > _LEVERAGE))
    rest = _along(u, lever_u, -0.5) @ (cross - growth * np.outer(u, v)) @ _along(v, lever_v, -0.5)
    return rest, left, _along(u, lever_u, 0.5)


def _along(u: np.ndarray, lever: float, power: float) -> Float[np.ndarray, "r r"]:
    """(I - c u u')^power, with zero for the inverse along u where nothing is left."""
    square = float(u @ u)
    left = (1.0 - lever) ** power if lever <= _LEVERAGE else 0.0
    return np.eye(len(u)) + ((left - 1.0) / square if square > 0 else 0.0) * np.outer(u, u)


declare(
    "cca",
    Cca(),
    about="mean canonical correlation",
    invariant_to=("invertible linear map", "rotation", "isotropic scale", "translation"),
    cost="n d^2, d^3 for each permutation and deletion",
    fails="directions of no variance count as much as the first: noise raises it; refused at n <= 2 d",
    source="Hotelling 1936; Raghu et al. 2017",
)
