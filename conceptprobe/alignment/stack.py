"""The sites of one model as they go into all pairs: arrays where they lie, centred and rounded a block of rows at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import blas

from conceptprobe.errors import UsageError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Stack = Sequence["np.ndarray"]
"""One array [n, d] per site, or one [sites, n, d]; d may differ from site to site."""

READ = 256
"""Rows taken to float64 at a time."""


def check_stacks(stack_a: Stack, stack_b: Stack, permutations: Int[np.ndarray, "k n"] | None) -> int:
    """The number of items; raises UsageError where sites or permutations do not fit it."""
    rows = {x.shape[0] if x.ndim == 2 else -1 for x in (*stack_a, *stack_b)}
    if not len(stack_a) or not len(stack_b):
        raise UsageError("a stack without sites cannot be compared")
    if len(rows) != 1 or -1 in rows:
        raise UsageError(
            "all sites must be arrays [n, d] of the same n items", hint="rows are items, in the same order"
        )
    (n,) = rows
    if permutations is not None:
        fits = permutations.ndim == 2 and permutations.shape[1] == n
        if not fits or not np.array_equal(
            np.sort(permutations, axis=1), np.broadcast_to(np.arange(n), permutations.shape)
        ):
            raise UsageError(f"permutations must be an array [k, {n}], each row a permutation of the {n} items")
    return n


@dataclass(frozen=True)
class Site:
    """Features of one site, with what takes their rows to mean 0 and to a mean square length of 1.

    square: squared lengths of the rows then. shrink: what takes each of them to length 1, 0 for a row at the mean.
    """

    x: Float[np.ndarray, "n d"]
    mean: Float[np.ndarray, " d"]
    scale: float
    square: Float[np.ndarray, " n"]
    shrink: Float[np.ndarray, " n"]

    @classmethod
    def read(cls, x: Float[np.ndarray, "n d"]) -> Site:
        """Two passes over the rows, in float64. Raises UsageError for values that are not finite."""
        n, total = len(x), np.zeros(x.shape[1])
        for i in range(0, n, READ):
            total += x[i : i + READ].sum(axis=0, dtype=np.float64)
        if not np.isfinite(total).all():
            raise UsageError(
                "values that are not finite cannot be compared", hint="look for NaN or infinity in the arrays"
            )
        mean, square = total / n, np.empty(n)
        for i in range(0, n, READ):
            z = np.subtract(x[i : i + READ], mean)
            np.einsum("nd,nd->n", z, z, out=square[i : i + READ])
        scale = float(square.mean()) ** -0.5 if square.any() else 1.0
        square *= scale**2
        shrink = np.divide(1.0, np.sqrt(square), out=np.zeros(n), where=square > 0)
        return cls(x, mean, scale, square, shrink)

    def rows(self, which: Any) -> Float[np.ndarray, "m d"]:
        """These rows, a slice or indices, in float64."""
        z: np.ndarray = np.subtract(self.x[which], self.mean, dtype=np.float64)
        z *= self.scale
        return z

    def unit(self, which: Any) -> Float[np.ndarray, "m d"]:
        """These rows in float64, each of length 1; a row at the mean stays 0."""
        return self.rows(which) * self.shrink[which][:, None]

    def block(self, begin: int, end: int, dtype: type[np.floating[Any]] = np.float32) -> Float[np.ndarray, "m d"]:
        """Rows from begin to end, centred in float64 before they are rounded to dtype."""
        out = np.empty((end - begin, self.x.shape[1]), dtype=dtype)
        for i in range(begin, end, READ):
            last = min(end, i + READ)
            np.subtract(self.x[i:last], self.mean, out=out[i - begin : last - begin], casting="same_kind")
        out *= np.array(self.scale, dtype=dtype)
        return out


def product_triangle(z: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    """Upper triangle of the inner products of the rows, 0 below: half the work of z @ z.T, and no copy of it.

    In float32 or float64, as z is.
    """
    rank_k_update = blas.ssyrk if z.dtype == np.float32 else blas.dsyrk
    # BLAS counts by columns: the rows of z are its columns, and its lower triangle is the upper one here.
    return rank_k_update(1.0, z.T, trans=1, lower=1).T
