"""The verdict rule, multiplicity, the jackknife, seeds and power."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from conceptprobe.stats.jackknife import jackknife_error, jackknife_interval
from conceptprobe.stats.multiplicity import benjamini_hochberg, draws_needed
from conceptprobe.stats.power import auroc_power
from conceptprobe.stats.seeds import generator
from conceptprobe.stats.verdict import MIN_UNITS, ceiling_guard, units_guard, verdict

CLEAR = {"estimate": 0.8, "reference": 0.5, "ci_low": 0.15, "ci_high": 0.4, "q": 0.01, "smallest_effect": 0.1}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "supported"),
        ({"q": 0.05}, "inconclusive"),
        ({"ci_low": 0.0}, "inconclusive"),
        ({"estimate": 0.59, "ci_low": 0.01}, "inconclusive"),
        ({"estimate": 0.52, "ci_low": -0.05, "ci_high": 0.09, "q": 0.4}, "absent"),
        ({"estimate": 0.55, "ci_low": 0.01, "ci_high": 0.099, "q": 0.001}, "absent"),
        ({"ci_high": 0.1, "ci_low": -0.1, "estimate": 0.5}, "inconclusive"),
        ({"guard": "baseline at ceiling"}, "inconclusive"),
        ({"q": math.nan}, "inconclusive"),
    ],
)
def test_the_rule(change, expected):
    assert verdict(**(CLEAR | change)) == expected


def test_guards_say_why():
    assert "0.970" in ceiling_guard(0.97, 0.05)
    assert ceiling_guard(0.94, 0.05) == ""
    assert str(MIN_UNITS - 1) in units_guard(MIN_UNITS - 1)
    assert units_guard(MIN_UNITS) == ""


@given(st.lists(st.floats(0.0001, 1), min_size=1, max_size=30))
def test_q_values_match_scipy(p):
    np.testing.assert_allclose(benjamini_hochberg(np.array(p)), false_discovery_control(p), atol=1e-12)


def test_draws_grow_with_the_number_of_headline_rows():
    assert draws_needed(1, 99) == 999
    assert draws_needed(50, 99) == 5000
    assert draws_needed(1, 4999) == 4999


def test_jackknife_of_a_mean_is_its_standard_error(rng):
    x = rng.standard_normal(40)
    left_out = np.array([np.delete(x, i).mean() for i in range(40)])
    assert jackknife_error(left_out) == pytest.approx(x.std(ddof=1) / np.sqrt(40))
    low, high = jackknife_interval(float(x.mean()), left_out, c=2.0)
    assert high - low == pytest.approx(2 * 1.959964 * 2 * x.std(ddof=1) / np.sqrt(40), rel=1e-6)


def test_power_grows_with_units_and_a_higher_reference_costs_some():
    few, many = auroc_power(15, 0.1), auroc_power(60, 0.1)
    assert many.detectable < few.detectable
    assert many.p_absent_if_none > few.p_absent_if_none
    assert math.isnan(auroc_power(15, 0.1, reference=0.95).detectable)


def test_generators_are_named_children_of_one_seed():
    a, again, other = generator(0, "soul", "folds"), generator(0, "soul", "folds"), generator(0, "soul", "swap")
    first = a.integers(0, 2**40, 5)
    assert np.array_equal(first, again.integers(0, 2**40, 5))
    assert not np.array_equal(first, other.integers(0, 2**40, 5))
    assert not np.array_equal(generator(1, "soul", "folds").integers(0, 2**40, 5), first)
    # Names are kept apart: ("ab", "c") is not ("a", "bc").
    assert generator(0, "ab", "c").integers(2**40) != generator(0, "a", "bc").integers(2**40)
