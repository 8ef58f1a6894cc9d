"""Ratios of two estimates with Fieller's interval, shown only where the denominator is clearly large enough.

"What share of the ceiling is reached?" has no finite variance once the denominator may be near 0, so no standard error of
the ratio is used: the interval holds every r for which numerator - r denominator does not differ from 0 (Fieller 1954,
Journal of the Royal Statistical Society B 16:175-185). A ratio is a reading aid and never carries a verdict.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.errors import TooFewRows, UsageError
from conceptprobe.stats.auroc import Z95

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Ratio:
    """numerator / denominator with its 95% interval; `denominator_low`: the lower 95% bound that let it be shown."""

    value: float
    ci_low: float
    ci_high: float
    denominator_low: float


def ratio_of(
    numerator: float,
    denominator: float,
    num_loo: Float[np.ndarray, " units"],
    den_loo: Float[np.ndarray, " units"],
    least: float,
) -> Ratio | None:
    """The ratio of two statistics of the same units, or None where it must not be shown.

    num_loo, den_loo: the two statistics with each unit left out in turn, in one order of units: their jackknife
    variances and covariance go into the interval. least: the smallest effect, 0 or more. None where the denominator's
    lower bound (two-sided 95%) does not exceed `least`, or where something is not finite. Raises UsageError where the
    units do not match or `least` is negative, TooFewRows below two units.
    """
    if not least >= 0.0:
        raise UsageError(f"a denominator cannot be asked to exceed {least}: the smallest effect is 0 or more")
    both = _same_units(num_loo, den_loo)
    if not (math.isfinite(numerator) and math.isfinite(denominator) and np.isfinite(both).all()):
        return None
    (var_num, cov), (_, var_den) = jackknife_covariance(num_loo, den_loo)
    lowest = denominator - Z95 * math.sqrt(var_den)
    if not lowest > least:
        return None
    low, high = fieller(numerator, denominator, float(var_num), float(var_den), float(cov))
    return Ratio(numerator / denominator, low, high, lowest)


def fieller(
    numerator: float, denominator: float, var_num: float, var_den: float, cov: float, z: float = Z95
) -> tuple[float, float]:
    """Ends of {r : (numerator - r denominator)^2 <= z^2 (var_num - 2 r cov + r^2 var_den)}.

    var_num, var_den, cov: variances and covariance of the two estimates (squared standard errors). The ends are
    the roots of a quadratic in r. Where the denominator is not clearly above 0 (denominator <= z standard errors) that
    set has no ends on one side or both, and the answer is (-inf, inf): the data bound the ratio nowhere. Raises
    UsageError where the three numbers are no covariance matrix.
    """
    if not (var_num >= 0.0 and var_den >= 0.0 and cov**2 <= var_num * var_den * (1.0 + 1e-9)):
        raise UsageError(f"variances {var_num}, {var_den} and covariance {cov} belong to no pair of estimates")
    # In units of each estimate's own size, so that squares of very small or very large scores stay in range.
    size_num, size_den = max(abs(numerator), math.sqrt(var_num)), abs(denominator)
    if not denominator > z * math.sqrt(var_den):
        return -math.inf, math.inf
    if size_num == 0.0:
        return 0.0, 0.0
    top, spread_num = numerator / size_num, z**2 * var_num / size_num**2
    spread_den, shared = z**2 * var_den / size_den**2, z**2 * cov / (size_num * size_den)
    square, middle, constant = 1.0 - spread_den, top - shared, top**2 - spread_num
    root = math.sqrt(max(middle**2 - square * constant, 0.0))
    unit = size_num / size_den
    return (middle - root) / square * unit, (middle + root) / square * unit


def jackknife_covariance(
    a: Float[np.ndarray, " units"], b: Float[np.ndarray, " units"]
) -> Float[np.ndarray, "two two"]:
    """Delete-one-unit covariance matrix of two statistics (Efron & Tibshirani 1993, chapter 11).

    (n - 1) / n times the sum of products of deviations from the mean over units. Raises as `ratio_of` does.
    """
    both = _same_units(a, b)
    n = both.shape[1]
    centred = both - both.mean(axis=1, keepdims=True)
    return np.asarray((n - 1) / n * (centred @ centred.T))


def _same_units(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if np.shape(a) != np.shape(b) or np.ndim(a) != 1:
        raise UsageError(
            f"a ratio needs both statistics without each unit: got shapes {np.shape(a)} and {np.shape(b)}",
            hint="leave out the same units, in the same order, from numerator and denominator",
        )
    if len(a) < 2:
        raise TooFewRows("a jackknife needs at least two units")
    return np.stack([a, b]).astype(np.float64)
