"""Orthogonal Procrustes distance and angular shape distance (Schonemann 1966; Williams et al. 2021).

Both spaces are centred and scaled to unit Frobenius norm; nu, the sum of the singular values of X'Y, is then the largest inner
product that any rotation or reflection of one reaches with the other. The distance is sqrt(2 - 2 nu), the angle arccos(nu):
both are metrics in the strict sense, triangle inequality included, so they may be clustered and embedded.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.base import Metric, declare
from conceptprobe.alignment.principal import principal_axes

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


def fitted_overlap(cross: Float[np.ndarray, "r s"]) -> float:
    """Nu: the nuclear norm of X'Y, at most 1 for spaces of unit norm."""
    return min(float(np.linalg.svd(cross, compute_uv=False).sum()), 1.0) if cross.size else 0.0


@dataclass(frozen=True)
class _Shape(Metric):
    """A distance of two shapes that is a falling function of nu."""

    @abstractmethod
    def distance(self, nu: float) -> float:
        """The distance at the best rotation, from the overlap reached there."""

    @property
    def least_rows(self) -> int:
        """Two items have no shape but their distance; leaving one out needs four."""
        return 4

    def prepare(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n r"]:
        """The items in principal coordinates at unit norm: at most n - 1 columns, whatever d is."""
        self.check(len(x), x.shape[1], x.shape[1])
        scores = principal_axes(x).scores
        return scores / max(float(np.linalg.norm(scores)), 1e-300)

    def compare(self, a: np.ndarray, b: np.ndarray, focus: Bool[np.ndarray, " n"] | None = None) -> float:
        """The distance of two shapes, n r^2 + r^3; a global metric, so `focus` must be None."""
        return self.distance(fitted_overlap(a.T @ b))

    def null(
        self,
        a: np.ndarray,
        b: np.ndarray,
        permutations: Int[np.ndarray, "k n"],
        focus: Bool[np.ndarray, " n"] | None = None,
    ) -> Float[np.ndarray, " k"]:
        """The rotation is fitted anew to every renaming: n r^2 + r^3 each."""
        return np.array([self.compare(a, b[order]) for order in permutations])

    def leave_one_out(
        self, a: np.ndarray, b: np.ndarray, focus: Bool[np.ndarray, " n"] | None = None
    ) -> Float[np.ndarray, " n"]:
        """Centring and norms in closed form, the rotation fitted anew to each rest: r^3 each, n r^3 in all."""
        n = len(a)
        cross, growth = a.T @ b, n / (n - 1)
        out = np.empty(n)
        for item, (u, v) in enumerate(zip(a, b, strict=True)):
            # The rest, about its own mean, has the cross products of all less n/(n - 1) of the deleted row's.
            norms = _rest(a, growth * float(u @ u)) * _rest(b, growth * float(v @ v))
            nu = fitted_overlap((cross - growth * np.outer(u, v)) / np.sqrt(norms)) if norms > 0 else 0.0
            out[item] = self.distance(nu)
        return out


def _rest(space: np.ndarray, taken: float) -> float:
    """Squared norm, of one, that is left without an item; exactly none where only rounding is."""
    left = 1.0 - taken
    return left if space.size and left > 1e-12 else 0.0


@dataclass(frozen=True)
class Procrustes(_Shape):
    """Orthogonal Procrustes distance: 0 for equal geometry, at most sqrt(2).

    Invariant to rotation and reflection, isotropic scaling and translation of either space. Cost n d^2, and r^3 for each
    comparison, permutation and deletion, with r = min(n - 1, d). Raises TooFewRows below 4 rows.
    """

    def distance(self, nu: float) -> float:
        """The length of the difference left, sqrt(2 - 2 nu)."""
        return float(np.sqrt(2.0 - 2.0 * nu))


@dataclass(frozen=True)
class AngularProcrustes(_Shape):
    """Angular shape distance in radians: 0 for equal geometry, at most pi/2.

    Invariances, cost and errors as `Procrustes`, of which it is a rising function.
    """

    def distance(self, nu: float) -> float:
        """The angle on the sphere of shapes, arccos(nu)."""
        return float(np.arccos(nu))


declare(
    "procrustes",
    Procrustes(),
    about="orthogonal Procrustes distance, centred, unit norm",
    closer="lower",
    cost="n d^2 + d^3, d^3 for each permutation and deletion",
    fails="small for independent spaces with more dimensions than rows: read it against its null",
    source="Schonemann 1966; Williams et al. 2021",
)

declare(
    "angular_procrustes",
    AngularProcrustes(),
    about="angle between shapes in radians, arccos of the Procrustes overlap",
    closer="lower",
    cost="n d^2 + d^3, d^3 for each permutation and deletion",
    fails="small for independent spaces with more dimensions than rows: read it against its null",
    source="Williams et al. 2021",
)
