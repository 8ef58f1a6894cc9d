"""Distances between the items of one space: the dissimilarity matrices of representational similarity analysis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from jaxtyping import Float

_DECIMALS = 12


def correlation(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    """1 minus the correlation of two rows. A constant row has no correlation: its distances are 1."""
    return cosine(x - x.mean(axis=1, keepdims=True))


def cosine(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    """1 minus the cosine of two rows about the origin. A zero row has no direction: its distances are 1."""
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    z = x / np.where(norm > 0, norm, 1.0)
    return _clean(1.0 - z @ z.T)


def squared_euclidean(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    """Squared Euclidean distances over the largest of them."""
    z = x - x.mean(axis=0)  # distances do not change, their rounding errors shrink
    size = (z**2).sum(axis=1)
    squared = size[:, None] + size - 2.0 * (z @ z.T)
    return _clean(squared / max(float(squared.max()), 1e-300))


def euclidean(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    """Euclidean distances over the largest of them."""
    return np.sqrt(squared_euclidean(x))


def _clean(distances: np.ndarray) -> np.ndarray:
    """Symmetric, zero on the diagonal, never negative; what differs by a rounding error is made equal, so that ties tie."""
    rounded = np.maximum(np.round((distances + distances.T) / 2.0, _DECIMALS), 0.0)
    np.fill_diagonal(rounded, 0.0)
    return rounded


DISTANCES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "correlation": correlation,
    "cosine": cosine,
    "euclidean": euclidean,
    "squared_euclidean": squared_euclidean,
}
"""Name -> function from rows [n, d], float64, to a symmetric matrix [n, n] with zero diagonal; copies of a row are 0 apart."""


def checked(name: str) -> None:
    """Raises UsageError where no distance has this name."""
    if name not in DISTANCES:
        raise UsageError(
            f"no distance named '{name}'.{did_you_mean(name, DISTANCES)}", hint=f"one of: {', '.join(DISTANCES)}"
        )
