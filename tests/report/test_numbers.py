"""Numbers keep what a verdict rests on."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conceptprobe.report.numbers import decimals, interval, number, p_value, signed


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.001, "0.001"), (1 / 1000, "0.001"), (1 / 2000, "0.0005"), (1 / 10000, "0.0001"), (1 / 2001, "0.0005"),
        (0.052, "0.052"), (0.0496, "0.0496"), (0.31, "0.31"), (1.0, "1.00"), (math.nan, "–"), (0.00034, "0.00034"),
    ],
)  # fmt: skip
def test_p_is_printed_as_it_is(p: float, text: str) -> None:
    assert p_value(p) == text


@given(st.floats(1e-7, 1))
def test_a_printed_p_is_on_the_side_of_005_that_p_is_on_and_close_to_it(p: float) -> None:
    shown = float(p_value(p))
    assert (shown < 0.05) == (p < 0.05)
    assert shown == pytest.approx(p, rel=0.06) or abs(shown - p) <= 0.005


@given(st.floats(-1, 1), st.sampled_from([0.05, 0.1]))
def test_three_decimals_when_two_would_show_a_landmark_that_is_not_there(value: float, smallest: float) -> None:
    shown = float(number(value, decimals([value], (0, 1, smallest))))
    for mark in (0.0, 1.0, smallest):
        if abs(value - mark) > 0.0006:
            assert shown != mark


def test_two_decimals_are_enough_for_landmarks_themselves() -> None:
    assert decimals([0.0, 1.0, 0.1, 0.5, math.nan], (0, 1, 0.1)) == 2


def test_signs() -> None:
    assert (signed(0.48), signed(-0.02), signed(-0.0001), signed(math.nan)) == ("+0.48", "-0.02", "0.00", "–")
    assert number(-0.001) == "0.00"
    assert interval(-0.021, 0.3) == "[-0.02, 0.30]"
    assert interval(math.nan, math.nan) == "–"
