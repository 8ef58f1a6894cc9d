"""What could have been found: how often the whole verdict rule gives each answer, before data are seen.

`simulation` says what is simulated and what is assumed. Figures are shares of simulated rows: with 1000 of them, 0.80
has a standard error of 0.013.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import NormalDist

from conceptprobe.stats.simulation import HIGHEST, Rule, Simulation
from conceptprobe.stats.verdict import MIN_UNITS, Answer, units_guard

__all__ = [
    "Power",
    "Rule",
    "about",
    "auroc_power",
    "detectable_effect",
    "power_curve",
    "power_sentence",
    "rule_power",
    "units_needed",
]

WANTED = 0.8
"""The share of simulations in which an effect counts as found."""
MOST_UNITS = 1000
"""Where the search for enough units ends."""
_STEP = 0.01
_TIGHT = 1.15  # 160 replications cannot tell numbers of units nearer to each other than this
_CURVE = tuple(round(0.05 * i, 2) for i in range(11))
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Power:
    """detectable: smallest effect found in 80% of simulations (nan: none up to the ceiling); p_absent_if_none: how often
    a true null is called absent; p_supported_if_none: how often it is called supported; p_supported_at_smallest: how
    often an effect exactly as large as the smallest of interest is called supported (never above about one half, since
    the estimate must reach it); units: per class."""

    detectable: float
    p_absent_if_none: float
    units: int
    p_supported_at_smallest: float = 0.0
    p_supported_if_none: float = 0.0


def auroc_power(units: int, smallest_effect: float, reference: float = 0.5, c: float = 1.0) -> Power:
    """Power of an AUROC row with `units` per class against a known reference; `rule_power` is for all others."""
    return rule_power(Rule(units, smallest_effect, reference, c))


@lru_cache(maxsize=512)
def rule_power(rule: Rule) -> Power:
    """The power of one headline row; nan and zeros where a guard forbids any verdict."""
    absent, false = _share(rule, 0.0, "absent"), _share(rule, 0.0, "supported")
    at_smallest = _share(rule, rule.smallest_effect, "supported")
    return Power(detectable_effect(rule), absent, rule.units, at_smallest, false)


@lru_cache(maxsize=512)
def detectable_effect(rule: Rule) -> float:
    """The smallest effect found in 80% of simulations, to 0.01; nan where none is, up to the ceiling."""
    # Bisection: power grows with the effect.
    low, high = 0, math.floor(_ceiling(rule) / _STEP + 1e-9)
    if high < 1 or _share(rule, high * _STEP, "supported") < WANTED:
        return math.nan
    while high - low > 1:
        middle = (low + high) // 2
        if _share(rule, middle * _STEP, "supported") >= WANTED:
            high = middle
        else:
            low = middle
    return round(high * _STEP, 2)


def power_curve(rule: Rule) -> tuple[tuple[float, float], ...]:
    """(true effect, how often it is called supported), from no effect in steps of 0.05 up to the ceiling."""
    return tuple((e, _share(rule, e, "supported")) for e in _CURVE if _ceiling(rule) >= e)


@lru_cache(maxsize=512)
def units_needed(effect: float, rule: Rule) -> int | None:
    """Units per class with which `effect` gets the verdict it deserves in 80% of simulations, to about 15%.

    That is `supported` above the smallest effect of interest and `absent` below it (0: no effect). None where 1000
    units are not enough; so at the smallest effect itself, which the estimate misses half of the time. `rule.units` is
    where the search begins. At least 10, because with fewer there is no verdict.
    """
    if math.isclose(effect, rule.smallest_effect) or effect > _ceiling(rule):
        return None
    answer: Answer = "supported" if effect > rule.smallest_effect else "absent"
    low = high = 0  # too few; enough
    n = min(max(rule.units, 2 * MIN_UNITS), MOST_UNITS)
    while high == 0 or high > math.ceil(_TIGHT * low):
        share = _share(replace(rule, units=n), effect, answer)
        low, high = (low, n) if share >= WANTED else (n, high)
        if low == MOST_UNITS or high == MIN_UNITS:
            break
        n = _next(n, share, low, high)
    return high or None


def power_sentence(rule: Rule) -> str:
    """For an inconclusive row: what its units can find, and how many would find twice the smallest effect of interest,
    or call none absent, where these are too few for that."""
    power = rule_power(rule)
    found = (
        "no effect up to the ceiling is found in 80% of cases"
        if math.isnan(power.detectable)
        else f"effects from {power.detectable:.2f} up are found in 80% of cases"
    )
    twice = round(2.0 * rule.smallest_effect, 10)
    needs = []
    if twice <= _ceiling(rule) and not power.detectable <= twice:
        needs.append(f"finding an effect of {twice:.2f} takes {about(units_needed(twice, rule))} units")
    if power.p_absent_if_none < WANTED:
        needs.append(f"calling none absent {'' if needs else 'takes '}{about(units_needed(0.0, rule))}")
    return f"With {rule.units} units per class, {found}{'; ' if needs else ''}{', '.join(needs)}."


def about(units: int | None) -> str:
    """A number of units for people, to the two digits a simulation can tell: `about 140`, `more than 1000`."""
    if units is None:
        return f"more than {MOST_UNITS}"
    return f"about {float(f'{units:.2g}'):.0f}"


def _next(n: int, share: float, low: int, high: int) -> int:
    """The next number of units to try, strictly between too few and enough.

    The probit of power is close to linear in sqrt(n), and near -1.96 for no units at all: a line through that point and
    the last one says where 80% lies. Once the answer is bracketed, the bracket is halved.
    """
    if low and high:
        return min(max(round(math.sqrt(low * high)), low + 1), high - 1)
    z = _NORMAL.inv_cdf(min(max(share, 0.005), 0.995))
    slope = max((z + 1.96) / math.sqrt(n), 1e-3)
    guess = ((_NORMAL.inv_cdf(WANTED) + 1.96) / slope) ** 2
    # A step past the guess, seen from the last try, brackets the answer and ends the search sooner.
    guess *= 0.93 if share >= WANTED else 1.07
    least, most = max(low + 1, MIN_UNITS), (high - 1 if high else MOST_UNITS)
    return min(max(round(guess), least), most)


def _ceiling(rule: Rule) -> float:
    """The largest effect there can be over the reference."""
    return HIGHEST - max(rule.reference, 0.5)


def _share(rule: Rule, effect: float, answer: Answer) -> float:
    """How often rows of this true effect get this answer."""
    if units_guard(rule.units) or effect > _ceiling(rule):
        return 0.0
    return _shares(rule, effect).get(answer, 0.0)


@lru_cache(maxsize=4096)
def _shares(rule: Rule, effect: float) -> dict[Answer, float]:
    answers = _simulation(rule).answers(effect)
    return {answer: count / len(answers) for answer, count in Counter(answers).items()}


@lru_cache(maxsize=2)
def _simulation(rule: Rule) -> Simulation:
    return Simulation(rule)
