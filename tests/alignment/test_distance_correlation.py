"""Distance correlation: invariances, the published value, and the library dcor on many shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignment.spaces import (
    assert_equal_spaces_reach_one,
    assert_leaving_out_is_deleting,
    assert_the_null_is_the_metric_on_renamed_items,
    assert_turns_are_seen_through_and_a_stretch_is_not,
    published,
    related,
)
from conceptprobe import registry
from conceptprobe.alignment.distance_correlation import DistanceCorrelation, SquaredDistanceCorrelation
from conceptprobe.errors import TooFewRows

METRICS = {"dcor": DistanceCorrelation(), "dcor_debiased": SquaredDistanceCorrelation()}


def test_both_are_registered():
    for name, metric in METRICS.items():
        assert registry.get("metric", name) == metric


@pytest.mark.parametrize("name", METRICS)
def test_equal_spaces_reach_one_and_unequal_ones_do_not(name, rng):
    assert_equal_spaces_reach_one(METRICS[name], *related(rng))


@pytest.mark.parametrize("name", METRICS)
def test_rotation_scale_and_shift_are_seen_through_and_a_stretch_is_not(name, rng):
    assert_turns_are_seen_through_and_a_stretch_is_not(METRICS[name], rng)


@pytest.mark.parametrize("name", METRICS)
def test_the_null_is_the_metric_on_renamed_items(name, rng):
    assert_the_null_is_the_metric_on_renamed_items(METRICS[name], *related(rng), rng)


@pytest.mark.parametrize("name", METRICS)
def test_leaving_out_is_deleting(name, rng):
    assert_leaving_out_is_deleting(METRICS[name], *related(rng, n=25, noise=5.0))


def test_the_published_value():
    assert METRICS["dcor"](*published()) == pytest.approx(0.8852696524, abs=1e-9)


@given(st.integers(0, 1000), st.integers(5, 30), st.integers(1, 20), st.integers(1, 20))
def test_both_are_dcor(seed, n, dx, dy):
    import dcor

    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, dx)), rng.standard_normal((n, dy))
    assert METRICS["dcor"](x, y) == pytest.approx(dcor.distance_correlation(x, y), abs=1e-8)
    expected = dcor.u_distance_correlation_sqr(x, y)
    assert METRICS["dcor_debiased"](x, y) == pytest.approx(expected, abs=1e-8)


def test_a_dependence_that_no_line_shows_is_found():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((300, 1))
    assert abs(np.corrcoef(x[:, 0], x[:, 0] ** 2)[0, 1]) < 0.2
    assert METRICS["dcor_debiased"](x, x**2) > 0.15


def test_the_corrected_form_of_independent_wide_spaces_is_zero_on_average_and_the_first_is_not():
    rng = np.random.default_rng(1)
    pairs = [rng.standard_normal((2, 64, 1024)) for _ in range(20)]
    assert abs(np.mean([METRICS["dcor_debiased"](x, y) for x, y in pairs])) < 0.02
    assert np.mean([METRICS["dcor"](x, y) for x, y in pairs]) > 0.9


@pytest.mark.parametrize("name", METRICS)
def test_a_space_that_does_not_vary_is_alike_to_none(name, rng):
    assert METRICS[name](rng.standard_normal((20, 3)), np.full((20, 4), 0.1)) == 0.0


@pytest.mark.parametrize(("name", "n"), [("dcor", 2), ("dcor_debiased", 4)])
def test_too_few_rows_are_refused(name, n, rng):
    with pytest.raises(TooFewRows):
        METRICS[name](rng.standard_normal((n, 3)), rng.standard_normal((n, 3)))
