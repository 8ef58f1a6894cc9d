"""What `plan` would say beforehand: how often a true effect of this size is called supported at this number of units."""

from __future__ import annotations

import math

import numpy as np

from conceptprobe.calibration.text import SMALLEST_EFFECT, SPLITS
from conceptprobe.stats.power import Rule, power_curve


def expected_power(question: str, units: int, effect: float) -> float:
    """Share of `supported` by the simulation of the rule, between the points of its curve; nan where none is simulated."""
    smallest = SMALLEST_EFFECT[question]
    rules = {
        "encoded": Rule(units, smallest),
        "beyond_words": Rule(units, smallest, folds=SPLITS[0], scorers=1, swap=True),
        "crossmodal": Rule(units, smallest, scorers=1),
    }
    if question not in rules or not math.isfinite(effect):
        return math.nan
    effects, shares = zip(*power_curve(rules[question]), strict=True)
    return float(np.interp(effect, effects, shares))
