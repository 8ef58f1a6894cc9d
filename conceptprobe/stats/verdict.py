"""The verdict rule, in one place: guards first, then absent, supported, else inconclusive."""

from __future__ import annotations

import math
from typing import Literal

Answer = Literal["supported", "absent", "inconclusive"]

MIN_UNITS = 10
"""Fewer independent units per class than this, and no verdict is given: the interval's approximation fails."""


def verdict(
    *,
    estimate: float,
    reference: float,
    ci_low: float,
    ci_high: float,
    q: float,
    smallest_effect: float,
    guard: str = "",
) -> Answer:
    """Verdict of one headline row from its effect (estimate - reference) and the effect's interval.

    `guard` is the reason why no verdict may be given, or empty. `absent`: the interval's upper end is below the
    smallest effect of interest. `supported`: q < 0.05, lower end above 0, and the effect reaches the smallest one.
    """
    if guard or not all(math.isfinite(v) for v in (estimate, reference, ci_low, ci_high, q)):
        return "inconclusive"
    if ci_high < smallest_effect:
        return "absent"
    if q < 0.05 and ci_low > 0.0 and estimate - reference >= smallest_effect:
        return "supported"
    return "inconclusive"


def ceiling_guard(baseline: float, smallest_effect: float) -> str:
    """A sentence where the best baseline leaves no room for the smallest effect; else empty."""
    if baseline > 1.0 - smallest_effect:
        return (
            f"baseline at ceiling: the best baseline reaches {baseline:.3f}, which leaves no room for an effect of "
            f"{smallest_effect:.2f}."
        )
    return ""


def reversal_guard(auroc: float) -> str:
    """A sentence for an AUROC whose whole interval lies below chance: neither found nor absent.

    Held-out items are told apart there, only the other way round than training items: something that differs between
    folds stands beside the concept. Calling that absent would hide it.
    """
    return (
        f"read upside down: an AUROC of {auroc:.2f} lies below chance by more than its interval, so held-out items "
        "differ the other way round than those of training. Look for what changes between units beside the concept."
    )


def units_guard(units: int) -> str:
    """A sentence where there are too few independent units for any verdict; else empty."""
    if units < MIN_UNITS:
        return f"too few groups: {units} independent units per class, at least {MIN_UNITS} are needed."
    return ""
