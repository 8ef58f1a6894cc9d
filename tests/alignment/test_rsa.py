"""RSA in all its kinds: oracles (SciPy, rsatoolbox), invariances, shortcuts against brute force, copies of a row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform
from scipy.stats import kendalltau, pearsonr, spearmanr

from alignment.spaces import assert_equal_spaces_reach_one, assert_the_null_is_the_metric_on_renamed_items
from conceptprobe import registry
from conceptprobe.alignment.distances import DISTANCES
from conceptprobe.alignment.rsa import Rsa
from conceptprobe.alignment.rsa_kendall import KendallRsa, concordance
from conceptprobe.alignment.rsa_whitened import WhitenedRsa
from conceptprobe.errors import TooFewRows, UsageError

METRICS = {
    "rsa": Rsa(),
    "rsa_pearson": Rsa(comparison="pearson"),
    "rsa_euclidean": Rsa(distance="euclidean"),
    "rsa_cosine": Rsa(distance="cosine"),
    "rsa_kendall": KendallRsa(),
    "rsa_whitened": WhitenedRsa(),
}
VARIANTS = METRICS | {
    "euclidean, pearson": Rsa("euclidean", "pearson"),
    "squared_euclidean, kendall": KendallRsa("squared_euclidean"),
    "whitened cosine": WhitenedRsa("cosine"),
}
ROTATED = ["rsa_euclidean", "rsa_whitened", "whitened cosine", "euclidean, pearson", "squared_euclidean, kendall"]
ROW_WISE = ["rsa", "rsa_pearson", "rsa_kendall"]
EXACT = [name for name in VARIANTS if name not in ("rsa", "rsa_euclidean", "rsa_cosine")]


def pair(rng, n=30, dx=12, dy=9):
    x = rng.standard_normal((n, dx)) + 0.5
    return x, x @ rng.standard_normal((dx, dy)) + 0.5 * rng.standard_normal((n, dy))


def rotation(rng, d):
    return np.linalg.qr(rng.standard_normal((d, d)))[0]


@pytest.fixture(scope="module")
def oracle():
    """The comparisons of rsatoolbox on plain vectors of distances."""
    from rsatoolbox.rdm import compare

    def of(x, y, distance, method):
        return float(compare(pdist(x, distance)[None], pdist(y, distance)[None], method=method)[0, 0])

    return of


def test_each_named_variant_is_registered_as_the_metric_it_says():
    known = registry.entries("metric")
    for name, metric in METRICS.items():
        assert known[name].value == metric
        assert set(known[name].about) == {
            "about", "invariant_to", "closer", "symmetric", "local", "cost", "fails", "source"
        }  # fmt: skip


def test_published_value():
    np.random.seed(0)
    x, y = np.random.uniform(size=(30, 25)), np.random.uniform(size=(30, 25))
    assert METRICS["rsa"](x, y) == pytest.approx(-0.0040927957, abs=1e-9)


@pytest.mark.parametrize("name", DISTANCES)
@given(st.integers(0, 10_000), st.integers(4, 20), st.integers(2, 9))
@settings(max_examples=20)
def test_distances_are_those_of_scipy(name, seed, n, d):
    x = np.random.default_rng(seed).standard_normal((n, d))
    expected = squareform(pdist(x, {"squared_euclidean": "sqeuclidean"}.get(name, name)))
    if "euclidean" in name:
        expected /= expected.max()
    np.testing.assert_allclose(DISTANCES[name](x), expected, atol=1e-6 if name == "euclidean" else 1e-11)


@given(st.integers(0, 10_000), st.integers(6, 25), st.integers(3, 12))
@settings(max_examples=25)
def test_values_are_those_of_scipy(seed, n, d):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, d)), rng.standard_normal((n, d + 2))
    corr = pdist(x, "correlation"), pdist(y, "correlation")
    assert METRICS["rsa"](x, y) == pytest.approx(spearmanr(*corr).statistic, abs=1e-9)
    assert METRICS["rsa_pearson"](x, y) == pytest.approx(pearsonr(*corr).statistic, abs=1e-9)
    assert METRICS["rsa_kendall"](x, y) == pytest.approx(
        kendalltau(*corr).statistic, abs=1e-9
    )  # no ties: tau-a is tau-b
    for distance in ("euclidean", "cosine"):
        expected = spearmanr(pdist(x, distance), pdist(y, distance)).statistic
        assert METRICS[f"rsa_{distance}"](x, y) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("n", "dx", "dy"), [(5, 3, 4), (12, 30, 2), (30, 10, 25), (110, 6, 8)])
def test_values_are_those_of_rsatoolbox(oracle, n, dx, dy, rng):
    x, y = pair(rng, n, dx, dy)
    for name, distance, method in (
        ("rsa", "correlation", "spearman"),
        ("rsa_pearson", "correlation", "corr"),
        ("rsa_euclidean", "euclidean", "spearman"),
        ("rsa_cosine", "cosine", "spearman"),
        ("rsa_kendall", "correlation", "tau-a"),
        ("rsa_whitened", "sqeuclidean", "corr_cov"),
        ("whitened cosine", "sqeuclidean", "cosine_cov"),
    ):
        if dy > 2 or distance != "correlation":  # in two dimensions every correlation is 1 or -1
            assert VARIANTS[name](x, y) == pytest.approx(oracle(x, y, distance, method), abs=1e-8), name


def test_tau_a_counts_pairs_one_by_one_even_where_they_tie(oracle, rng):
    x, y = rng.integers(0, 3, (12, 2)).astype(float), rng.integers(0, 3, (12, 3)).astype(float)
    metric = KendallRsa("euclidean")
    a, b = pdist(x), pdist(y)
    agree = [np.sign(a[p] - a[q]) * np.sign(b[p] - b[q]) for p in range(len(a)) for q in range(p)]
    assert metric(x, y) == pytest.approx(np.mean(agree), abs=1e-12)
    assert metric(x, y) == pytest.approx(oracle(x, y, "euclidean", "tau-a"), abs=1e-12)
    assert metric(x, x) < 1.0


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60))
def test_concordance_of_each_is_that_counted_pair_by_pair(pairs):
    a, b = np.array(pairs).T
    expected = (np.sign(a[:, None] - a) * np.sign(b[:, None] - b)).sum(axis=1)
    np.testing.assert_array_equal(concordance(a, b), expected)


def test_whitened_cosine_is_biased_linear_cka(rng):
    x, y = pair(rng)
    cx, cy = x - x.mean(axis=0), y - y.mean(axis=0)
    cka = np.linalg.norm(cx.T @ cy) ** 2 / (np.linalg.norm(cx.T @ cx) * np.linalg.norm(cy.T @ cy))
    assert WhitenedRsa("cosine")(x, y) == pytest.approx(cka, abs=1e-9)


@pytest.mark.parametrize("name", ROTATED)
def test_euclidean_kinds_see_through_rotation_scale_and_shift_but_not_a_scale_of_rows(name, rng):
    x, y = pair(rng)
    turned = 3.7 * y @ rotation(rng, 9) + rng.standard_normal(9)
    assert VARIANTS[name](x, turned) == pytest.approx(VARIANTS[name](x, y), abs=1e-9)
    assert abs(VARIANTS[name](x, y * rng.uniform(0.3, 3, (30, 1))) - VARIANTS[name](x, y)) > 0.01


@pytest.mark.parametrize("name", ROW_WISE)
def test_correlation_kinds_see_through_scale_and_shift_of_rows_but_not_a_shift_of_all(name, rng):
    x, y = pair(rng)
    scaled = y * rng.uniform(0.5, 2, (30, 1)) + rng.standard_normal((30, 1))
    assert METRICS[name](x, scaled) == pytest.approx(METRICS[name](x, y), abs=1e-9)
    assert abs(METRICS[name](x, y + 3 * rng.standard_normal(9)) - METRICS[name](x, y)) > 0.01


def test_the_cosine_kind_sees_through_rotation_and_scale_of_rows_but_not_through_a_shift(rng):
    x, y = pair(rng)
    turned = (y * rng.uniform(0.5, 2, (30, 1))) @ rotation(rng, 9)
    assert METRICS["rsa_cosine"](x, turned) == pytest.approx(METRICS["rsa_cosine"](x, y), abs=1e-9)
    assert abs(METRICS["rsa_cosine"](x, y + 5.0) - METRICS["rsa_cosine"](x, y)) > 0.01


@pytest.mark.parametrize("name", VARIANTS)
def test_equal_spaces_reach_one_and_the_order_of_the_spaces_does_not_matter(name, rng):
    assert_equal_spaces_reach_one(VARIANTS[name], *pair(rng))


@pytest.mark.parametrize("name", VARIANTS)
def test_the_null_is_the_metric_on_renamed_items(name, rng):
    assert_the_null_is_the_metric_on_renamed_items(VARIANTS[name], *pair(rng), rng)


@pytest.mark.parametrize("name", EXACT)
def test_leave_one_out_is_deleting_the_rows(name, rng):
    x, y = pair(rng)
    metric = VARIANTS[name]
    brute = [metric(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(30)]
    np.testing.assert_allclose(metric.leave_one_out(metric.prepare(x), metric.prepare(y)), brute, atol=1e-8)


@pytest.mark.parametrize("name", [name for name in VARIANTS if name not in EXACT])
def test_leave_one_out_of_spearman_is_close_with_ranks_kept(name, rng):
    x, y = pair(rng, 40)
    metric = VARIANTS[name]
    brute = np.array([metric(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(40)])
    ours = metric.leave_one_out(metric.prepare(x), metric.prepare(y))
    assert np.abs(ours - brute).max() < 0.005
    assert np.corrcoef(ours, brute)[0, 1] > 0.99


def test_leave_one_out_of_tau_a_is_exact_with_ties(rng):
    x, y = rng.integers(0, 3, (14, 2)).astype(float), rng.integers(0, 3, (14, 3)).astype(float)
    metric = KendallRsa("euclidean")
    brute = [metric(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(14)]
    np.testing.assert_allclose(metric.leave_one_out(metric.prepare(x), metric.prepare(y)), brute, atol=1e-12)


@pytest.mark.parametrize("name", DISTANCES)
def test_copies_of_a_row_are_exactly_zero_apart_and_so_tie(name, rng):
    x = np.repeat(rng.standard_normal((6, 33)) * 1e3, 3, axis=0)
    same = np.arange(18)[:, None] // 3 == np.arange(18) // 3
    distances = DISTANCES[name](x)
    assert (distances[same] == 0).all()
    assert (distances[~same] > 0).all()


@pytest.mark.parametrize("name", VARIANTS)
def test_where_all_distances_are_equal_nothing_can_be_claimed(name, rng):
    x = rng.standard_normal((6, 8))
    alone = np.eye(6) if "cosine" not in name else np.zeros((6, 6))
    assert VARIANTS[name](x, alone) == pytest.approx(0.0, abs=1e-12)
    left_out = VARIANTS[name].leave_one_out(VARIANTS[name].prepare(x), VARIANTS[name].prepare(alone))
    np.testing.assert_allclose(left_out, 0.0, atol=1e-12)


@pytest.mark.parametrize("name", VARIANTS)
def test_too_few_rows_are_refused(name, rng):
    metric = VARIANTS[name]
    with pytest.raises(TooFewRows):
        metric(rng.standard_normal((3, 3)), rng.standard_normal((3, 3)))
    x = rng.standard_normal((4, 5))
    assert np.isfinite(metric.leave_one_out(metric.prepare(x), metric.prepare(x))).all()


def test_a_misspelt_setting_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match="Did you mean 'euclidean'"):
        Rsa(distance="euclidian")
    with pytest.raises(UsageError, match="Did you mean 'spearman'"):
        Rsa(comparison="spearmann")
    with pytest.raises(UsageError, match="Did you mean 'cosine'"):
        WhitenedRsa("cosin")
    with pytest.raises(UsageError, match="no distance"):
        KendallRsa("xyz")
