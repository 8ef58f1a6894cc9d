"""Numbers as text: enough digits to decide by, and no more than the data carry.

Two decimals, or three where two would print a number as a landmark (0, 1, the smallest effect) that it is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

MISSING = "–"
"""For a number that a row does not have."""


def decimals(values: Iterable[float], landmarks: Iterable[float] = (0.0, 1.0)) -> int:
    """2, or 3 when rounding any of `values` to two decimals would put it on a landmark."""
    marks = {round(mark, 2): mark for mark in landmarks if math.isfinite(mark)}
    for value in values:
        if math.isfinite(value) and not math.isclose(marks.get(round(value, 2), value), value, abs_tol=1e-9):
            return 3
    return 2


def number(value: float, places: int = 2) -> str:
    """`0.98`; a dash where there is none. Never minus zero."""
    if not math.isfinite(value):
        return MISSING if math.isnan(value) else ("inf" if value > 0 else "-inf")
    text = f"{value:.{places}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def signed(value: float, places: int = 2) -> str:
    """`+0.48`, `-0.02`, `0.00`: for effects, where the direction is the message."""
    text = number(value, places)
    return f"+{text}" if math.isfinite(value) and float(text) > 0 else text


def interval(low: float, high: float, places: int = 2) -> str:
    """`[0.12, 0.31]`; a dash where neither end is known."""
    if math.isnan(low) and math.isnan(high):
        return MISSING
    return f"[{number(low, places)}, {number(high, places)}]"


def p_value(p: float) -> str:
    """An add-one p as it is: the smallest possible is 1/(K + 1), so nothing is ever printed as `<` something.

    Two decimals from 0.1 up, three below, two significant digits below 0.001, and always enough digits that a value
    under 0.05 does not print as 0.05.
    """
    if not math.isfinite(p):
        return MISSING
    if 0 < p < 0.001:
        # 1/(K+1) for K = 1999 is 0.0005: fixed notation, trailing zeros dropped
        return f"{p:.{1 - math.floor(math.log10(p))}f}".rstrip("0")
    places = 2 if p >= 0.1 else 3
    while p < 0.05 <= float(f"{p:.{places}f}"):
        places += 1
    return f"{p:.{places}f}"


def count(n: int) -> str:
    """`1,080`."""
    return f"{n:,}"
