"""Delete-one-unit jackknife (Efron & Tibshirani 1993, chapter 11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.errors import TooFewRows
from conceptprobe.stats.auroc import Z95

if TYPE_CHECKING:
    from jaxtyping import Float


def jackknife_error(leave_one_out: Float[np.ndarray, " units"]) -> float:
    """Standard error from the statistic with each unit left out in turn; TooFewRows below two units."""
    n = len(leave_one_out)
    if n < 2:
        raise TooFewRows("a jackknife needs at least two units")
    return float(np.sqrt((n - 1) / n * np.sum((leave_one_out - leave_one_out.mean()) ** 2)))


def jackknife_interval(value: float, leave_one_out: Float[np.ndarray, " units"], c: float = 1.0) -> tuple[float, float]:
    """value +- 1.96 c SE, from the statistic with each unit left out in turn."""
    half = Z95 * c * jackknife_error(leave_one_out)
    return value - half, value + half
