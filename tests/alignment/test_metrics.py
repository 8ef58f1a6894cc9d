"""Alignment metrics: invariances, published values, independent implementations, and shortcuts against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignment.spaces import (
    assert_equal_spaces_reach_one,
    assert_the_null_is_the_metric_on_renamed_items,
    related,
    rotation,
)
from conceptprobe import registry
from conceptprobe.alignment.cka import Cka
from conceptprobe.alignment.neighbours import MutualKnn
from conceptprobe.alignment.rsa import Rsa
from conceptprobe.errors import TooFewRows

METRICS = {"cka": Cka(), "mutual_knn": MutualKnn(k=5), "rsa": Rsa()}


def test_all_metrics_are_registered():
    assert set(METRICS) <= set(registry.entries("metric"))


@pytest.mark.parametrize("name", METRICS)
def test_equal_spaces_reach_one_and_unequal_ones_do_not(name, rng):
    assert_equal_spaces_reach_one(METRICS[name], *related(rng))


@pytest.mark.parametrize("name", ["cka", "mutual_knn"])
def test_rotation_scale_and_shift_are_seen_through(name, rng):
    x, y = related(rng)
    turned = 3.7 * y @ rotation(rng, 9) + rng.standard_normal(9)
    assert METRICS[name](x, turned) == pytest.approx(METRICS[name](x, y), abs=1e-9)


def test_rsa_sees_through_scale_and_shift_of_each_word_but_not_through_a_shift_of_all(rng):
    x, y = related(rng)
    scaled = y * rng.uniform(0.5, 2, (40, 1)) + rng.standard_normal((40, 1))
    assert METRICS["rsa"](x, scaled) == pytest.approx(METRICS["rsa"](x, y), abs=1e-9)
    assert METRICS["rsa"](x, y + 3 * rng.standard_normal(9)) != pytest.approx(METRICS["rsa"](x, y), abs=1e-3)


@pytest.mark.parametrize("name", ["cka", "mutual_knn"])
def test_an_anisotropic_stretch_is_noticed(name, rng):
    x, _ = related(rng)
    assert METRICS[name](x, x * np.array([20.0] + [1.0] * 11)) < 0.95


@pytest.mark.parametrize("name", METRICS)
def test_the_null_is_the_metric_on_renamed_words(name, rng):
    assert_the_null_is_the_metric_on_renamed_items(METRICS[name], *related(rng), rng)


def test_leave_one_out_of_cka_is_exact(rng):
    x, y = related(rng)
    metric = METRICS["cka"]
    brute = [metric(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(40)]
    np.testing.assert_allclose(metric.leave_one_out(metric.prepare(x), metric.prepare(y)), brute, atol=1e-10)


def test_leave_one_out_of_rsa_is_close_with_ranks_kept(rng):
    x, y = related(rng)
    metric = METRICS["rsa"]
    brute = np.array([metric(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(40)])
    ours = metric.leave_one_out(metric.prepare(x), metric.prepare(y))
    assert np.abs(ours - brute).max() < 0.005
    assert np.corrcoef(ours, brute)[0, 1] > 0.99


@pytest.mark.parametrize("focused", [False, True])
def test_leave_one_out_of_neighbours_refills_the_lists(rng, focused):
    x, y = related(rng)
    metric = METRICS["mutual_knn"]
    a, b = metric.prepare(x), metric.prepare(y)
    focus = np.arange(40) < 8 if focused else np.ones(40, dtype=bool)
    brute = []
    for word in range(40):
        overlaps = []
        for row in np.flatnonzero(focus):
            if row != word:
                la, lb = ([v for v in lists[row] if v != word][:5] for lists in (a, b))
                overlaps.append(len(set(la) & set(lb)) / 5)
        brute.append(np.mean(overlaps))
    np.testing.assert_allclose(metric.leave_one_out(a, b, focus if focused else None), brute, atol=1e-12)


def test_focus_asks_only_the_words_in_focus(rng):
    x, y = related(rng)
    y[:10] = rng.standard_normal((10, 9)) * 3
    metric = METRICS["mutual_knn"]
    a, b = metric.prepare(x), metric.prepare(y)
    spoilt, kept = np.arange(40) < 10, np.arange(40) >= 10
    assert metric.compare(a, b, spoilt) < metric.compare(a, b, kept)
    weighted = (10 * metric.compare(a, b, spoilt) + 30 * metric.compare(a, b, kept)) / 40
    assert metric.compare(a, b) == pytest.approx(weighted)


def test_published_values():
    np.random.seed(0)
    x, y = np.random.uniform(size=(30, 25)), np.random.uniform(size=(30, 25))
    assert METRICS["cka"](x, y) == pytest.approx(0.0235986986, abs=1e-9)
    assert METRICS["rsa"](x, y) == pytest.approx(-0.0040927957, abs=1e-9)


@given(st.integers(0, 50), st.integers(6, 30), st.integers(2, 20))
def test_rsa_matches_scipy(seed, n, d):
    from scipy.spatial.distance import pdist
    from scipy.stats import spearmanr

    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, d + 1)), rng.standard_normal((n, d + 3))
    expected = spearmanr(pdist(x, "correlation"), pdist(y, "correlation")).statistic
    assert METRICS["rsa"](x, y) == pytest.approx(expected, abs=1e-9)


def test_debiased_cka_of_independent_wide_clouds_is_zero_on_average():
    rng = np.random.default_rng(1)
    values = [METRICS["cka"](rng.standard_normal((64, 1024)), rng.standard_normal((64, 1024))) for _ in range(20)]
    assert abs(np.mean(values)) < 0.02
    x, y = rng.standard_normal((2, 64, 1024))
    x, y = x - x.mean(0), y - y.mean(0)
    biased = np.linalg.norm(x.T @ y) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    assert biased > 0.9


def test_unrelated_spaces_share_neighbours_at_chance():
    rng = np.random.default_rng(2)
    value = np.mean(
        [METRICS["mutual_knn"](rng.standard_normal((101, 8)), rng.standard_normal((101, 8))) for _ in range(10)]
    )
    assert value == pytest.approx(5 / 100, abs=0.01)


@pytest.mark.parametrize(("name", "n"), [("cka", 4), ("mutual_knn", 7), ("rsa", 3)])
def test_too_few_rows_are_refused(name, n, rng):
    with pytest.raises(TooFewRows):
        METRICS[name](rng.standard_normal((n, 3)), rng.standard_normal((n, 3)))
