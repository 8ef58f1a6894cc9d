"""What could have been found: the verdict rule simulated on binormal scores at this file's number of units."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from conceptprobe.stats.auroc import auroc, auroc_interval, hanley_mcneil

_GRID = np.round(np.arange(0.02, 0.5001, 0.02), 2)
_REPLICATIONS = 400


@dataclass(frozen=True)
class Power:
    """detectable: smallest effect found in 80% of simulations (nan: none up to the ceiling);
    p_absent_if_none: how often a true null is called absent; units: per class."""

    detectable: float
    p_absent_if_none: float
    units: int


@lru_cache(maxsize=256)
def auroc_power(units: int, smallest_effect: float, reference: float = 0.5, c: float = 1.0) -> Power:
    """Power of an AUROC row with `units` per class against a fixed reference.

    Scores are normal with equal variance in both classes, the separation set by the AUROC; p is one-sided from the
    null's spread c HM(0.5), as an exchange would give it. Where the reference is an estimated baseline the true power
    is lower: read the figure as the best case.
    """
    if units < 2:
        return Power(float("nan"), 0.0, units)
    rng = np.random.default_rng([20, units])
    noise = rng.standard_normal((_REPLICATIONS, 2 * units))
    labels = np.repeat([1, -1], units)
    bounds = [auroc_interval(i / units**2, units, units, c) for i in range(units**2 + 1)]
    critical = 0.5 + 1.6448536269514722 * c * hanley_mcneil(0.5, units, units)

    def outcomes(effect: float) -> tuple[float, float]:
        target = min(reference + effect, 1.0 - 1e-6)
        shift = np.sqrt(2.0) * _normal_quantile(target)
        values = auroc(noise + shift * (labels > 0), labels)
        low, high = np.array([bounds[round(v * units**2)] for v in values]).T
        supported = (low > reference) & (values - reference >= smallest_effect) & (values > critical)
        return float(np.mean(supported)), float(np.mean(high - reference < smallest_effect))

    detectable = next((float(e) for e in _GRID if e + reference <= 1.0 and outcomes(float(e))[0] >= 0.8), float("nan"))
    return Power(detectable, outcomes(0.0)[1], units)


def _normal_quantile(p: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(p)
