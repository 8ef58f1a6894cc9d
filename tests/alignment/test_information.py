"""Information imbalance: the paper's formula and its planted cases, shortcuts against brute force, ties, focus."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from conceptprobe import registry
from conceptprobe.alignment.information import InformationImbalance
from conceptprobe.errors import TooFewRows, UsageError

METRIC = InformationImbalance()
NAME = "information_imbalance"


def pair(rng, n=40, dx=6, dy=5):
    x = rng.standard_normal((n, dx))
    return x, x @ rng.standard_normal((dx, dy)) + 0.5 * rng.standard_normal((n, dy))


def rotation(rng, d):
    return np.linalg.qr(rng.standard_normal((d, d)))[0]


def formula(x, y, k, rows=None):
    """2 / n times the mean rank in y of the k nearest of each in x, by ranking every distance."""
    n = len(x)
    ranks = [rankdata(cdist(v, v) + np.where(np.eye(n), -1, 0), axis=1) - 1 for v in (x, y)]
    near = (ranks[0] >= 1) & (ranks[0] <= k)
    rows = range(n) if rows is None else rows
    return 2.0 / n * np.mean([ranks[1][i, near[i]].mean() for i in rows])


def test_registered_with_lower_as_closer_and_two_questions():
    entry = registry.entries("metric")[NAME]
    assert entry.value == METRIC
    assert (entry.about["closer"], entry.about["symmetric"], entry.about["local"]) == ("lower", False, True)
    assert {"about", "invariant_to", "cost", "fails", "source"} <= set(entry.about)


@given(st.integers(0, 10_000), st.integers(8, 30), st.integers(1, 4))
@settings(max_examples=25)
def test_the_value_is_the_formula_of_the_paper(seed, n, k):
    x, y = pair(np.random.default_rng(seed), n)
    assert InformationImbalance(k)(x, y) == pytest.approx(formula(x, y, k), abs=1e-12)


@pytest.mark.parametrize("k", [1, 3])
def test_equal_spaces_are_at_the_least_value_and_unrelated_ones_at_one(k):
    rng = np.random.default_rng(4)
    x = rng.standard_normal((60, 5))
    assert InformationImbalance(k)(x, x) == pytest.approx((k + 1) / 60)
    values = [InformationImbalance(k)(rng.standard_normal((60, 5)), rng.standard_normal((60, 5))) for _ in range(30)]
    assert np.mean(values) == pytest.approx(1.0, abs=0.05)


def test_a_rich_space_foretells_its_part_and_not_the_other_way_round(rng):
    rich = rng.standard_normal((300, 3))
    poor = rich[:, :1]
    assert METRIC(rich, poor) < 0.6 * METRIC(poor, rich)


def test_rotation_scale_and_shift_are_seen_through_and_a_stretch_is_not(rng):
    x, y = pair(rng)
    turned = 3.7 * y @ rotation(rng, 5) + rng.standard_normal(5)
    assert METRIC(x, turned) == pytest.approx(METRIC(x, y), abs=1e-12)
    assert METRIC(turned, x) == pytest.approx(METRIC(y, x), abs=1e-12)
    assert abs(METRIC(x, y * np.array([30.0, 1, 1, 1, 1])) - METRIC(x, y)) > 0.01


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("focused", [False, True])
def test_the_null_is_the_metric_on_renamed_items(k, focused, rng):
    x, y = pair(rng)
    metric, focus = InformationImbalance(k), np.arange(40) % 3 == 0 if focused else None
    orders = np.array([rng.permutation(40) for _ in range(6)])
    a = metric.prepare(x)
    expected = [metric.compare(a, metric.prepare(y[order]), focus) for order in orders]
    np.testing.assert_allclose(metric.null(a, metric.prepare(y), orders, focus), expected, atol=1e-12)


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("focused", [False, True])
def test_leave_one_out_is_deleting_the_rows(k, focused, rng):
    x, y = pair(rng)
    metric, focus = InformationImbalance(k), np.arange(40) < 8 if focused else np.ones(40, dtype=bool)
    expected = []
    for gone in range(40):
        rows = np.flatnonzero(np.delete(focus, gone))
        expected.append(formula(np.delete(x, gone, 0), np.delete(y, gone, 0), k, rows))
    left_out = metric.leave_one_out(metric.prepare(x), metric.prepare(y), focus if focused else None)
    np.testing.assert_allclose(left_out, expected, atol=1e-12)


def test_focus_asks_only_the_items_in_focus(rng):
    x, y = pair(rng)
    y[:10] = rng.standard_normal((10, 5)) * 3
    a, b = METRIC.prepare(x), METRIC.prepare(y)
    spoilt = np.arange(40) < 10
    assert METRIC.compare(a, b, spoilt) > METRIC.compare(a, b, ~spoilt)
    weighted = (10 * METRIC.compare(a, b, spoilt) + 30 * METRIC.compare(a, b, ~spoilt)) / 40
    assert METRIC.compare(a, b) == pytest.approx(weighted)


def test_copies_of_a_row_are_ranked_in_the_order_of_the_rows_after_the_row_itself(rng):
    x = np.repeat(rng.standard_normal((10, 20)), 3, axis=0)
    ranks = METRIC.prepare(x).ranks
    np.testing.assert_array_equal(ranks[3:6, 3:6], [[0, 1, 2], [1, 0, 2], [1, 2, 0]])
    assert (np.sort(ranks, axis=1) == np.arange(30)).all()


def test_too_few_rows_too_small_k_and_too_small_a_focus_are_refused(rng):
    with pytest.raises(TooFewRows):
        METRIC(rng.standard_normal((3, 3)), rng.standard_normal((3, 3)))
    with pytest.raises(UsageError, match="k = 0"):
        InformationImbalance(0)
    a = METRIC.prepare(rng.standard_normal((4, 3)))
    assert np.isfinite(METRIC.leave_one_out(a, a)).all()
    with pytest.raises(TooFewRows, match="in focus"):
        METRIC.compare(a, a, np.zeros(4, dtype=bool))
    with pytest.raises(TooFewRows, match="in focus"):
        METRIC.leave_one_out(a, a, np.arange(4) == 0)
