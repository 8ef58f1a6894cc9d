"""Projection-weighted CCA (Morcos et al. 2018): canonical correlations, weighted by what the first space does with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.base import declare
from conceptprobe.alignment.cca import CanonicalMetric, without
from conceptprobe.alignment.principal import PrincipalAxes

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


def projection_weighted(cross: Float[np.ndarray, "r s"], loadings: Float[np.ndarray, "r d"]) -> float:
    """Mean canonical correlation, each weighted by how much of the first space its variate h carries: sum_j |<h, x_j>|.

    cross: the product U'V of the two orthonormal bases. loadings: U'X, the first space in its own basis. Defined only
    where the correlations differ: among equal ones (those that are exactly 1 at dx + dy >= n) any rotation of the
    variates is as good, and changes the weights. Morcos et al. 2018, eqs. 1 to 3, on centred features.
    """
    if not cross.size:
        return 0.0
    variates, found, _ = np.linalg.svd(cross, full_matrices=False)
    weights = np.abs(variates.T @ loadings).sum(axis=1)
    return float(weights @ np.minimum(found, 1.0) / weights.sum()) if weights.any() else 0.0


@dataclass(frozen=True)
class Pwcca(CanonicalMetric):
    """Projection-weighted mean canonical correlation, 0 to 1; the weights are the first space's, so it is not symmetric.

    Invariant to isotropic scaling and translation of either space and to any invertible linear map of the second; not to
    rotation of the first, whose features as they stand give the weights. Cost as `Cca`. Raises TooFewRows at
    n <= 2 max(dx, dy).
    """

    def compare(self, a: PrincipalAxes, b: PrincipalAxes, focus: Bool[np.ndarray, " n"] | None = None) -> float:
        """Canonical correlations weighted by the share of a; a global metric, so `focus` must be None."""
        return projection_weighted(a.basis.T @ b.basis, _loadings(a))

    def null(
        self,
        a: PrincipalAxes,
        b: PrincipalAxes,
        permutations: Int[np.ndarray, "k n"],
        focus: Bool[np.ndarray, " n"] | None = None,
    ) -> Float[np.ndarray, " k"]:
        """Correlations and weights of every renaming."""
        loadings = _loadings(a)
        return np.array([projection_weighted(a.basis.T @ b.basis[order], loadings) for order in permutations])

    def leave_one_out(
        self, a: PrincipalAxes, b: PrincipalAxes, focus: Bool[np.ndarray, " n"] | None = None
    ) -> Float[np.ndarray, " n"]:
        """Whitening in closed form; d^3 each for correlations and weights."""
        cross, loadings = a.basis.T @ b.basis, _loadings(a)
        out = np.empty(len(a.basis))
        for item in range(len(out)):
            rest, _, root = without(a.basis, b.basis, cross, item)
            # A direction that went with the item has a variate of no length: its weight is zero.
            out[item] = projection_weighted(rest, root @ loadings)
        return out


def _loadings(axes: PrincipalAxes) -> Float[np.ndarray, "r d"]:
    return axes.lengths[:, None] * axes.directions


declare(
    "pwcca",
    Pwcca(),
    about="canonical correlations weighted by how much of the first space they carry",
    invariant_to=("isotropic scale", "translation", "invertible linear map of the second space"),
    symmetric=False,
    cost="n d^2, d^3 for each permutation and deletion",
    fails="not symmetric, and a rotation of the first space's features moves the weights; refused at n <= 2 d",
    source="Morcos et al. 2018",
)
