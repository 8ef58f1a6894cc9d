"""The principal axes of one space: what metrics that rotate, whiten or regress start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class PrincipalAxes:
    """Thin singular value decomposition of the centred rows, basis * lengths @ directions, of rank r.

    Directions without variance are left out, so that whitening never divides by a rounding error.
    """

    basis: Float[np.ndarray, "n r"]
    """Orthonormal columns: the items along each axis, at unit length."""
    lengths: Float[np.ndarray, " r"]
    """Singular values, falling; their squares are n times the variances."""
    directions: Float[np.ndarray, "r d"]
    """Orthonormal rows: the axes in the features."""

    @property
    def scores(self) -> Float[np.ndarray, "n r"]:
        """The centred rows in principal coordinates: distances and angles are those of the features."""
        return self.basis * self.lengths


def centred(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """The rows without their mean, in double precision; a constant column becomes exactly zero.

    Otherwise the rounding error of its mean would stay, and metrics that whiten or normalise would blow it up.
    """
    rows = np.asarray(x, dtype=np.float64)
    z = rows - rows.mean(axis=0)
    z[:, np.abs(z).max(axis=0) <= 16 * np.finfo(np.float64).eps * np.abs(rows).max(axis=0)] = 0.0
    return z


def principal_axes(x: Float[np.ndarray, "n d"]) -> PrincipalAxes:
    """Principal axes of n items in d dimensions; r = 0 where all items are the same. Cost n d min(n, d)."""
    basis, lengths, directions = np.linalg.svd(centred(x), full_matrices=False)
    least = max(x.shape) * np.finfo(np.float64).eps * lengths.max(initial=0.0)
    r = int((lengths > least).sum())
    return PrincipalAxes(basis[:, :r], lengths[:r], directions[:r])
