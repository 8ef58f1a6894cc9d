"""Benjamini & Hochberg (1995) false discovery rate over the headline rows of one question."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


def benjamini_hochberg(p: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """q values in the order given: q_(i) = min over j >= i of m p_(j) / j, at most 1."""
    p = np.asarray(p, dtype=np.float64)
    m = len(p)
    order = np.argsort(p)
    scaled = p[order] * m / np.arange(1, m + 1)
    q = np.empty(m)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q


def draws_needed(rows: int, wanted: int = 999) -> int:
    """K >= max(999, 100 x headline rows), so that the smallest p can still survive the correction."""
    return max(999, wanted, 100 * rows)
