"""Square matrices over the items of one space: inner products and distances, and how they are centred."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.principal import centred

if TYPE_CHECKING:
    from jaxtyping import Float

_NEAR = 1e-4
"""Share of the two squared lengths below which a squared distance has lost digits to cancellation and is taken again."""


def linear_gram(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    """Inner products of the centred rows, over the largest of them (CKA does not see scale; overflow does). Cost n^2 d."""
    z = centred(x)
    k = z @ z.T
    return k / max(float(np.abs(k).max()), 1e-300)


def squared_distances(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    """Squared Euclidean distances of the rows; zero on the diagonal, accurate also between near rows. Cost n^2 d.

    One matrix product gives them all, but as a difference of large numbers where rows are near: those few are taken
    again from the rows themselves.
    """
    z = centred(x)
    lengths = (z * z).sum(axis=1)
    sums = lengths[:, None] + lengths[None, :]
    squared = sums - 2.0 * (z @ z.T)
    near_i, near_j = np.nonzero(np.triu(squared <= _NEAR * sums, 1))
    for i in np.unique(near_i):
        j = near_j[near_i == i]
        squared[i, j] = ((z[i] - z[j]) ** 2).sum(axis=1)
        squared[j, i] = squared[i, j]
    np.fill_diagonal(squared, 0.0)
    return squared


def distances(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    """Euclidean distances of the rows. Cost n^2 d."""
    return np.sqrt(squared_distances(x))


def double_centred(square: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """HKH: a symmetric matrix whose rows and columns sum to zero; exactly zero where only rounding errors are left."""
    means = square.mean(axis=0)
    out = square - means[:, None] - means[None, :] + means.mean()
    return _without_rounding(out, square)


def u_centred(square: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """U-centring (Szekely & Rizzo 2014): zero diagonal, and off it rows that sum to zero. Needs n >= 3.

    The inner product of two such matrices over n(n - 3) is the unbiased HSIC of Song et al. (2012).
    """
    n = len(square)
    out = square.copy()
    np.fill_diagonal(out, 0.0)
    sums = out.sum(axis=0)
    out += sums.sum() / ((n - 1) * (n - 2)) - (sums[:, None] + sums[None, :]) / (n - 2)
    np.fill_diagonal(out, 0.0)
    return _without_rounding(out, square)


def _without_rounding(out: np.ndarray, before: np.ndarray) -> np.ndarray:
    if np.abs(out).max() <= 64 * np.finfo(np.float64).eps * np.abs(before).max():
        out[:] = 0.0
    return out
