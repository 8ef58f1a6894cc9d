"""Metrics on neighbour lists: published formulas written out in full, shortcuts against brute force, ties, focus."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptprobe import registry
from conceptprobe.alignment.cknna import Cknna, NearGram
from conceptprobe.alignment.cycle_knn import CycleKnn
from conceptprobe.alignment.neighbours import JaccardKnn, MutualKnn, nearest, unit_rows
from conceptprobe.errors import TooFewRows, UsageError

N, K = 40, 5
METRICS = {
    "mutual_knn": MutualKnn(k=K),
    "jaccard_knn": JaccardKnn(k=K),
    "cycle_knn": CycleKnn(k=K),
    "cknna": Cknna(k=K),
}
LOCAL = ["mutual_knn", "jaccard_knn", "cycle_knn"]
CASES = [(name, False) for name in METRICS] + [(name, True) for name in LOCAL]


def pair(rng, n=N, dx=12, dy=9):
    x = rng.standard_normal((n, dx))
    return x, x @ rng.standard_normal((dx, dy)) + 0.5 * rng.standard_normal((n, dy))


def rotation(rng, d):
    return np.linalg.qr(rng.standard_normal((d, d)))[0]


def plain_lists(gram, k):
    """The k nearest of each, by sorting every row in full."""
    gram = gram.copy()
    np.fill_diagonal(gram, -np.inf)
    return [sorted(range(len(gram)), key=lambda j: (-gram[i, j], j))[:k] for i in range(len(gram))]


def published(name, gram_a, gram_b, lists_a, lists_b, rows, k):
    """The formulas of the papers, item by item, on the items `rows`."""
    if name == "mutual_knn":
        return np.mean([len(set(lists_a[i]) & set(lists_b[i])) / k for i in rows])
    if name == "jaccard_knn":
        return np.mean([len(set(lists_a[i]) & set(lists_b[i])) / len(set(lists_a[i]) | set(lists_b[i])) for i in rows])
    if name == "cycle_knn":
        return np.mean([any(i in lists_b[j] for j in lists_a[i]) for i in rows])
    masks = []
    for lists in (lists_a, lists_b):
        mask = np.zeros((len(gram_a), len(gram_a)))
        for i in rows:
            mask[i, lists[i]] = 1.0
        masks.append(mask[np.ix_(rows, rows)])
    gram_a, gram_b = gram_a[np.ix_(rows, rows)], gram_b[np.ix_(rows, rows)]
    both = masks[0] * masks[1]
    cross = dense_hsic(both * gram_a, both * gram_b)
    own = dense_hsic(masks[0] * gram_a, masks[0] * gram_a) * dense_hsic(masks[1] * gram_b, masks[1] * gram_b)
    return cross / np.sqrt(own)


def dense_hsic(a, b):
    m = len(a)
    a, b = a * (1 - np.eye(m)), b * (1 - np.eye(m))
    value = (a * b.T).sum() + a.sum() * b.sum() / ((m - 1) * (m - 2)) - 2.0 * (a @ b).sum() / (m - 2)
    return value / (m * (m - 3))


def without(lists, gone, k):
    return [[j for j in row if j != gone][:k] for row in lists]


@pytest.mark.parametrize("name", METRICS)
def test_registered_with_all_that_is_known_of_it(name):
    about = registry.entries("metric")[name].about
    assert set(about) == {"about", "invariant_to", "closer", "symmetric", "local", "cost", "fails", "source"}
    assert about["local"] == (name in LOCAL)


@pytest.mark.parametrize("name", METRICS)
@given(st.integers(0, 10_000), st.integers(12, 30), st.integers(2, 8), st.integers(2, 6))
@settings(max_examples=25)
def test_the_value_is_the_published_formula(name, seed, n, d, k):
    rng = np.random.default_rng(seed)
    x, y = pair(rng, n, d, d + 1)
    grams = [unit_rows(v) @ unit_rows(v).T for v in (x, y)]
    lists = [plain_lists(gram, k) for gram in grams]
    metric = type(METRICS[name])(k=k)
    assert metric(x, y) == pytest.approx(published(name, *grams, *lists, np.arange(n), k), abs=1e-9)


@pytest.mark.parametrize("name", METRICS)
def test_rotation_scale_and_shift_are_seen_through_and_a_stretch_is_not(name, rng):
    x, y = pair(rng)
    turned = 3.7 * y @ rotation(rng, 9) + rng.standard_normal(9)
    assert METRICS[name](x, turned) == pytest.approx(METRICS[name](x, y), abs=1e-9)
    assert abs(METRICS[name](x, y * np.array([30.0] + [1.0] * 8)) - METRICS[name](x, y)) > 0.02


@pytest.mark.parametrize("name", ["mutual_knn", "jaccard_knn", "cknna"])
def test_equal_spaces_reach_one(name, rng):
    x, _ = pair(rng)
    assert METRICS[name](x, x) == pytest.approx(1.0)


def test_an_item_nobody_names_cannot_come_back_even_to_its_own_space(rng):
    x = np.concatenate([rng.standard_normal((20, 3)) + 5, rng.standard_normal((20, 3)) - 5, np.zeros((1, 3))])
    x[-1] = np.array([0.0, 40.0, -40.0])
    metric = METRICS["cycle_knn"]
    a = metric.prepare(x)
    outcast = np.arange(41) == 40
    assert not (a[:, :K] == 40).any()
    assert metric.compare(a, a, outcast) == 0.0
    assert metric.compare(a, a, ~outcast) > 0.9


def test_only_the_cycle_and_cknna_ask_two_questions(rng):
    x, y = pair(rng, 60)
    for name in ("mutual_knn", "jaccard_knn"):
        assert METRICS[name](x, y) == pytest.approx(METRICS[name](y, x))
    for name in ("cycle_knn", "cknna"):
        assert METRICS[name](x, y) != pytest.approx(METRICS[name](y, x), abs=1e-9)
    assert METRICS["cknna"](x, y) == pytest.approx(METRICS["cknna"](y, x), abs=0.05)


@pytest.mark.parametrize(("name", "focused"), CASES)
def test_the_null_is_the_metric_on_renamed_items(name, focused, rng):
    x, y = pair(rng)
    metric, focus = METRICS[name], np.arange(N) % 3 == 0 if focused else None
    orders = np.array([rng.permutation(N) for _ in range(6)])
    a = metric.prepare(x)
    expected = [metric.compare(a, metric.prepare(y[order]), focus) for order in orders]
    np.testing.assert_allclose(metric.null(a, metric.prepare(y), orders, focus), expected, atol=1e-12)


@pytest.mark.parametrize(("name", "focused"), CASES)
@pytest.mark.parametrize("noise", [0.3, 3.0])
def test_leave_one_out_is_the_formula_on_refilled_lists(name, focused, noise, rng):
    x = rng.standard_normal((N, 6))
    y = x + noise * rng.standard_normal((N, 6))
    metric, focus = METRICS[name], np.arange(N) < 8 if focused else np.ones(N, dtype=bool)
    grams = [unit_rows(v) @ unit_rows(v).T for v in (x, y)]
    lists = [plain_lists(gram, K + 1) for gram in grams]
    expected = []
    for gone in range(N):
        rows = np.array([i for i in np.flatnonzero(focus) if i != gone])
        expected.append(published(name, *grams, *(without(held, gone, K) for held in lists), rows, K))
    left_out = metric.leave_one_out(metric.prepare(x), metric.prepare(y), focus if focused else None)
    np.testing.assert_allclose(left_out, expected, atol=1e-9)


@pytest.mark.parametrize("name", METRICS)
def test_leave_one_out_is_close_to_deleting_the_rows_which_also_moves_the_mean(name, rng):
    x, y = pair(rng, 80)
    metric = METRICS[name]
    brute = np.array([metric(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(80)])
    ours = metric.leave_one_out(metric.prepare(x), metric.prepare(y))
    assert np.abs(ours - brute).max() < 0.03


@pytest.mark.parametrize("name", LOCAL)
def test_focus_asks_only_the_items_in_focus(name, rng):
    x, y = pair(rng)
    y[:10] = rng.standard_normal((10, 9)) * 3
    metric = METRICS[name]
    a, b = metric.prepare(x), metric.prepare(y)
    spoilt = np.arange(N) < 10
    weighted = (10 * metric.compare(a, b, spoilt) + 30 * metric.compare(a, b, ~spoilt)) / 40
    assert metric.compare(a, b) == pytest.approx(weighted)
    assert metric.compare(a, b, spoilt) < metric.compare(a, b, ~spoilt)


def test_unrelated_spaces_are_at_the_chance_the_docstrings_state():
    rng = np.random.default_rng(2)
    spaces = [(rng.standard_normal((101, 8)), rng.standard_normal((101, 8))) for _ in range(10)]
    mean = {name: np.mean([metric(x, y) for x, y in spaces]) for name, metric in METRICS.items()}
    assert mean["mutual_knn"] == pytest.approx(K / 100, abs=0.01)
    assert mean["jaccard_knn"] < mean["mutual_knn"]
    assert mean["cycle_knn"] == pytest.approx(1 - (1 - K / 100) ** K, abs=0.05)
    assert 0.01 < mean["cknna"] < 0.08  # masked by nearness, what is left is positive: debiased is not unbiased here


def test_ties_go_to_the_earlier_row_wherever_they_fall():
    likeness = np.array([[0.0, 0.5, 0.5, 0.5, 0.9], [0.5, 0, 0.1, 0.1, 0.1], [0.5, 0.1, 0, 0.1, 0.1]] + [[0.5] * 5] * 2)
    found = nearest(likeness, 2)
    np.testing.assert_array_equal(found, [[4, 1], [0, 2], [0, 1], [0, 1], [0, 1]])


@given(st.integers(0, 1000), st.integers(6, 20))
def test_nearest_is_a_full_stable_sort(seed, n):
    rng = np.random.default_rng(seed)
    likeness = rng.integers(0, 4, (n, n)) / 4.0
    likeness = (likeness + likeness.T) / 2.0
    np.testing.assert_array_equal(nearest(likeness.copy(), 4), plain_lists(likeness, 4))


@pytest.mark.parametrize("name", METRICS)
def test_copies_of_a_row_are_neighbours_in_the_order_of_the_rows(name, rng):
    x = np.repeat(rng.standard_normal((10, 30)), 4, axis=0)
    a = METRICS[name].prepare(x)
    lists = a.lists if isinstance(a, NearGram) else a
    for i in range(N):
        copies = [j for j in range(i // 4 * 4, i // 4 * 4 + 4) if j != i]
        assert list(lists[i, :3]) == copies
    assert METRICS[name](x, x) == pytest.approx(1.0)


@pytest.mark.parametrize("name", METRICS)
def test_too_few_rows_too_small_k_and_an_empty_focus_are_refused(name, rng):
    metric = METRICS[name]
    with pytest.raises(TooFewRows):
        metric(rng.standard_normal((K + 2, 3)), rng.standard_normal((K + 2, 3)))
    with pytest.raises(UsageError, match="k = "):
        type(metric)(k=0)
    least = metric.least_rows
    x = rng.standard_normal((least, 4))
    assert np.isfinite(metric.leave_one_out(metric.prepare(x), metric.prepare(x))).all()
    if name in LOCAL:
        a = metric.prepare(x)
        with pytest.raises(TooFewRows, match="in focus"):
            metric.compare(a, a, np.zeros(least, dtype=bool))
        with pytest.raises(TooFewRows, match="in focus"):
            metric.leave_one_out(a, a, np.arange(least) == 0)


def test_one_neighbour_is_too_few_for_cknna():
    with pytest.raises(UsageError, match="at least 2"):
        Cknna(k=1)
