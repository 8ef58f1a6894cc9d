"""Length buckets: batches of like length under a token budget, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Int


def buckets(lengths: Sequence[int], budget: int) -> list[Int[np.ndarray, " b"]]:
    """Row numbers of each batch: longest first, rows x longest <= `budget` (a longer row is a batch of its own).

    Depends on nothing but the lengths; equal lengths keep the order of the rows. Longest first, so that a machine
    with too little memory fails at once, not at the end.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    batches: list[Int[np.ndarray, " b"]] = []
    start = 0
    while start < len(order):
        longest = max(int(lengths[order[start]]), 1)
        end = start + max(budget // longest, 1)
        batches.append(order[start:end])
        start = end
    return batches
