"""Fieller's interval: it covers, it solves its own quadratic, and no ratio is shown over a denominator that may be small."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import brentq

from conceptprobe.errors import TooFewRows, UsageError
from conceptprobe.stats.auroc import Z95
from conceptprobe.stats.jackknife import jackknife_error
from conceptprobe.stats.ratio import fieller, jackknife_covariance, ratio_of

estimates = st.tuples(
    st.floats(-3, 3),  # numerator
    st.floats(0.1, 3),  # denominator
    st.floats(0.01, 2),  # standard error of the numerator
    st.floats(0.02, 0.45),  # of the denominator, as a share of it
    st.floats(-0.95, 0.95),  # correlation
).map(lambda t: (t[0], t[1], t[2] ** 2, (t[3] * t[1]) ** 2, t[4] * t[2] * t[3] * t[1]))


def excess(r, numerator, denominator, var_num, var_den, cov):
    return (numerator - r * denominator) ** 2 - Z95**2 * (var_num - 2 * r * cov + r**2 * var_den)


def binomial_band(p: float, n: int) -> float:
    return 4.0 * math.sqrt(p * (1 - p) / n)


@pytest.mark.parametrize("correlation", [-0.7, 0.0, 0.7])
@pytest.mark.parametrize("truth", [0.0, 0.6, 2.0])
def test_it_covers_the_true_ratio_in_95_of_100(truth, correlation):
    rng = np.random.default_rng(0)
    runs, sd_num, sd_den = 4000, 0.4, 0.2
    e = rng.standard_normal((runs, 2))
    den = 1.0 + sd_den * e[:, 0]
    num = truth + sd_num * (correlation * e[:, 0] + math.sqrt(1 - correlation**2) * e[:, 1])
    cov = correlation * sd_num * sd_den
    ends = np.array([fieller(a, b, sd_num**2, sd_den**2, cov) for a, b in zip(num, den, strict=True)])
    covered = np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))
    assert covered == pytest.approx(0.95, abs=binomial_band(0.95, runs))


def test_the_interval_from_left_out_units_covers_as_well():
    rng = np.random.default_rng(1)
    runs, n = 2000, 100
    covered, shown = 0, 0
    for _ in range(runs):
        rows = rng.standard_normal((n, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]]) + np.array([0.5, 1.0])
        left_out = (rows.sum(axis=0) - rows) / (n - 1)
        found = ratio_of(*rows.mean(axis=0), left_out[:, 0], left_out[:, 1], 0.1)
        if found is not None:
            shown += 1
            covered += found.ci_low <= 0.5 <= found.ci_high
    assert shown == runs
    assert covered / shown == pytest.approx(0.95, abs=binomial_band(0.95, runs) + 0.005)  # normal points, not Student's


@given(estimates)
def test_its_ends_are_the_roots_of_the_quadratic(given_):
    low, high = fieller(*given_)
    assume(high - low > 1e-6)
    middle = (low + high) / 2
    span = 1e3 * (high - low)
    assert excess(middle, *given_) < 0
    assert low == pytest.approx(brentq(excess, middle - span, middle, args=given_, xtol=1e-13), abs=1e-6 * (high - low))
    assert high == pytest.approx(
        brentq(excess, middle, middle + span, args=given_, xtol=1e-13), abs=1e-6 * (high - low)
    )
    assert low <= given_[0] / given_[1] <= high


def test_with_a_sharp_denominator_it_is_the_interval_of_the_delta_method():
    num, den, cov_share = 0.7, 1.3, 0.4
    for scale in (1e-3, 1e-5):
        var_num, var_den = (2 * scale) ** 2, scale**2
        cov = cov_share * math.sqrt(var_num * var_den)
        ratio = num / den
        error = math.sqrt(var_num - 2 * ratio * cov + ratio**2 * var_den) / den
        low, high = fieller(num, den, var_num, var_den, cov)
        assert (high - low) / (2 * Z95 * error) == pytest.approx(1.0, abs=20 * scale)
        assert (high + low) / 2 == pytest.approx(ratio, abs=20 * scale * error + 1e-12)


def test_with_an_exact_denominator_it_is_the_numerators_interval_over_it():
    low, high = fieller(0.6, 2.0, 0.01, 0.0, 0.0)
    assert (low, high) == pytest.approx(((0.6 - Z95 * 0.1) / 2, (0.6 + Z95 * 0.1) / 2))


@given(estimates, st.floats(-6, 6), st.floats(-6, 6))
def test_units_of_measurement_do_not_matter(given_, log_num, log_den):
    num, den, var_num, var_den, cov = given_
    s, t = 10.0**log_num, 10.0**log_den
    low, high = fieller(*given_)
    scaled = fieller(s * num, t * den, s * s * var_num, t * t * var_den, s * t * cov)
    assert np.array(scaled) * t / s == pytest.approx(np.array([low, high]), rel=1e-6, abs=1e-6 * (high - low))


@given(estimates)
def test_the_negative_of_the_numerator_mirrors_the_interval(given_):
    num, den, var_num, var_den, cov = given_
    low, high = fieller(*given_)
    assert fieller(-num, den, var_num, var_den, -cov) == pytest.approx((-high, -low))


@given(estimates)
def test_the_inverse_of_a_ratio_has_the_inverse_interval(given_):
    num, den, var_num, var_den, cov = given_
    assume(num > 2.5 * math.sqrt(var_num))
    low, high = fieller(*given_)
    assert fieller(den, num, var_den, var_num, cov) == pytest.approx((1 / high, 1 / low), rel=1e-6)


@pytest.mark.parametrize("denominator", [-1.0, 0.0, 0.1, 0.19])
def test_a_denominator_not_clearly_above_zero_bounds_nothing(denominator):
    assert fieller(0.5, denominator, 0.01, 0.01, 0.0) == (-math.inf, math.inf)
    assert all(map(math.isfinite, fieller(0.5, 0.2, 0.01, 0.01, 0.0)))


def test_the_covariance_is_the_jackknifes(rng):
    a, b = rng.standard_normal((2, 30))
    found = jackknife_covariance(a, b)
    assert math.sqrt(found[0, 0]) == pytest.approx(jackknife_error(a))
    assert math.sqrt(found[1, 1]) == pytest.approx(jackknife_error(b))
    assert found[0, 0] + found[1, 1] - 2 * found[0, 1] == pytest.approx(jackknife_error(a - b) ** 2)
    assert found[0, 1] == found[1, 0]


def test_a_ratio_is_shown_only_where_its_denominator_exceeds_the_smallest_effect(rng):
    num, den = 0.4 + 0.01 * rng.standard_normal(20), 0.8 + 0.01 * rng.standard_normal(20)
    found = ratio_of(0.4, 0.8, num, den, 0.05)
    assert found is not None
    assert found.value == pytest.approx(0.5)
    assert found.ci_low < 0.5 < found.ci_high
    assert found.denominator_low == pytest.approx(0.8 - Z95 * jackknife_error(den))
    assert ratio_of(0.4, 0.8, num, den, found.denominator_low) is None
    assert ratio_of(0.4, 0.8, num, den, found.denominator_low - 1e-9) is not None
    assert ratio_of(0.4, 0.8, num, np.where(np.arange(20) == 3, np.nan, den), 0.05) is None
    assert ratio_of(math.nan, 0.8, num, den, 0.05) is None


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(UsageError, match="shapes"):
        ratio_of(1.0, 1.0, np.ones(3), np.ones(4), 0.0)
    with pytest.raises(UsageError, match="smallest effect"):
        ratio_of(1.0, 1.0, np.ones(3), np.ones(3), -0.1)
    with pytest.raises(TooFewRows):
        ratio_of(1.0, 1.0, np.ones(1), np.ones(1), 0.0)
    with pytest.raises(UsageError, match="covariance"):
        fieller(1.0, 1.0, 0.01, 0.01, 0.02)
