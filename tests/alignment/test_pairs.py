"""All pairs at once: equal to the registered metrics pair by pair, null and focus included, and to formulas written out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptprobe import registry
from conceptprobe.alignment.neighbour_lists import Nearest, nearest, overlaps
from conceptprobe.alignment.neighbours import MutualKnn
from conceptprobe.alignment.pairs import all_pairs, cheaper_form
from conceptprobe.alignment.stack import Site
from conceptprobe.errors import TooFewRows, UsageError

CKA = ["cka", "cka_lange", "cka_biased", "rbf_cka", "rbf_cka_biased"]
RSA = ["rsa", "rsa_cosine", "rsa_euclidean", "rsa_pearson"]


def stacks(rng, n=60, widths_a=(40, 50, 33), widths_b=(45, 38)):
    """Sites that share part of a latent space, each with a mean, a scale and one wide direction of its own."""
    latent = rng.standard_normal((n, 6))

    def one(d):
        x = latent @ rng.standard_normal((6, d)) + 2 * rng.standard_normal((n, d)) + 5 * rng.standard_normal(d)
        x[:, 0] *= 8
        return x * rng.uniform(0.01, 100)

    return [one(d) for d in widths_a], [one(d) for d in widths_b]


def pair_by_pair(metric, a, b, permutations=None, focus=None):
    ready_a, ready_b = [metric.prepare(x) for x in a], [metric.prepare(y) for y in b]
    value = np.array([[metric.compare(x, y, focus) for y in ready_b] for x in ready_a])
    if permutations is None:
        return value, None
    null = [[metric.null(x, y, permutations, focus) for y in ready_b] for x in ready_a]
    return value, np.moveaxis(np.array(null), 2, 0)


def orders(rng, n, count=4):
    return np.array([rng.permutation(n) for _ in range(count)])


@pytest.mark.parametrize("name", [*CKA, *RSA])
@pytest.mark.parametrize("n", [23, 60, 300])
def test_every_matrix_equals_the_registered_metric_and_its_null(name, n, rng):
    a, b = stacks(rng, n)
    permutations = orders(rng, n)
    found = all_pairs(a, b, name, permutations=permutations)
    value, null = pair_by_pair(registry.get("metric", name), a, b, permutations)
    np.testing.assert_allclose(found.value, value, atol=1e-6)
    np.testing.assert_allclose(found.null, null, atol=1e-6)
    np.testing.assert_allclose(all_pairs(a, b, name).value, value, atol=1e-6)


@pytest.mark.parametrize("name", ["cka", "cka_lange", "cka_biased"])
def test_few_dimensions_go_by_cross_covariances_to_the_same_values(name, rng):
    a, b = stacks(rng, 90, (3, 4), (5, 2, 3))
    assert cheaper_form(90, 3, 2, 3, 4) == "features"
    permutations = orders(rng, 90)
    found = all_pairs(a, b, name, permutations=permutations)
    value, null = pair_by_pair(registry.get("metric", name), a, b, permutations)
    np.testing.assert_allclose(found.value, value, atol=1e-10)
    np.testing.assert_allclose(found.null, null, atol=1e-10)


def test_float64_products_agree_to_rounding(rng):
    a, b = stacks(rng)
    value, _ = pair_by_pair(registry.get("metric", "cka"), a, b)
    np.testing.assert_allclose(all_pairs(a, b, "cka", dtype=np.float64).value, value, atol=1e-12)


def test_other_bandwidths_reach_the_kernel(rng):
    a, b = stacks(rng)
    metric = replace(registry.get("metric", "rbf_cka"), median_fraction=0.4)
    found = all_pairs(a, b, "rbf_cka", median_fraction=0.4).value
    np.testing.assert_allclose(found, pair_by_pair(metric, a, b)[0], atol=1e-6)
    assert np.abs(found - all_pairs(a, b, "rbf_cka").value).min() > 1e-3


def test_debiased_cka_is_the_unbiased_estimator_written_out(rng):
    """Song et al. (2012), eq. 5, term by term."""
    a, b = stacks(rng, 30)

    def hsic(x, y):
        k, m = x @ x.T, y @ y.T
        np.fill_diagonal(k, 0)
        np.fill_diagonal(m, 0)
        n, one = len(k), np.ones(len(k))
        terms = np.trace(k @ m), (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2)), one @ k @ m @ one
        return terms[0] + terms[1] - 2 * terms[2] / (n - 2)

    expected = [[hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y)) for y in b] for x in a]
    np.testing.assert_allclose(all_pairs(a, b, "cka").value, expected, atol=1e-6)


@pytest.mark.parametrize("focused", [False, True])
@pytest.mark.parametrize("k", [1, 7])
def test_neighbours_equal_the_registered_metric_its_null_and_its_focus(k, focused, rng):
    a, b = stacks(rng)
    focus = rng.random(60) < 0.3 if focused else None
    permutations = orders(rng, 60)
    found = all_pairs(a, b, "mutual_knn", k=k, permutations=permutations, focus=focus)
    value, null = pair_by_pair(MutualKnn(k), a, b, permutations, focus)
    np.testing.assert_allclose(found.value, value, atol=1e-12)
    np.testing.assert_allclose(found.null, null, atol=1e-12)


def test_the_null_is_the_map_on_renamed_items(rng):
    a, b = stacks(rng)
    permutations = orders(rng, 60, 2)
    for name in [*CKA, *RSA, "mutual_knn"]:
        found = all_pairs(a, b, name, permutations=permutations)
        for order, null in zip(permutations, found.null, strict=True):
            np.testing.assert_allclose(null, all_pairs(a, [y[order] for y in b], name).value, atol=1e-6)


@pytest.mark.parametrize("name", [*CKA, *RSA, "mutual_knn"])
def test_a_stack_with_itself_is_symmetric_with_ones_on_the_diagonal(name, rng):
    a, _ = stacks(rng)
    permutations = orders(rng, 60, 2)
    found = all_pairs(a, a, name, permutations=permutations)
    np.testing.assert_allclose(found.value, found.value.T, atol=1e-6)
    np.testing.assert_allclose(np.diag(found.value), 1.0, atol=1e-6)
    np.testing.assert_allclose(found.null, all_pairs(a, list(a), name, permutations=permutations).null, atol=1e-6)


def test_one_array_of_all_sites_is_a_stack_too_and_half_precision_is_read(rng):
    a = rng.standard_normal((3, 40, 30)).astype(np.float16)
    for name in ("cka", "mutual_knn"):
        expected = all_pairs([x.astype(np.float64) for x in a], [a[1].astype(np.float64)], name).value
        np.testing.assert_allclose(all_pairs(a, a[1:2], name).value, expected, atol=1e-12)


def test_more_sites_than_bits_in_a_word(rng):
    a = rng.standard_normal((70, 20, 4))
    lists = np.stack([nearest(Site.read(x), 3) for x in a])
    value, _ = overlaps(lists, lists[:2])
    expected = pair_by_pair(MutualKnn(3), a, a[:2])[0]
    np.testing.assert_allclose(value, expected, atol=1e-12)


@settings(max_examples=40)
@given(st.integers(0, 1000), st.integers(8, 40), st.integers(1, 6), st.integers(1, 4))
def test_lists_are_those_of_the_metric_whatever_the_shape(seed, n, d, k):
    x = np.random.default_rng(seed).standard_normal((n, d))
    expected = MutualKnn(k).prepare(x)[:, :k]
    np.testing.assert_array_equal(np.sort(nearest(Site.read(x), k), axis=1), np.sort(expected, axis=1))


def test_neighbours_that_float32_cannot_tell_apart_are_settled_in_float64(rng):
    """Directions that differ by 1e-9: in float32 they are one."""
    centre = rng.standard_normal(20)
    x = np.vstack([centre + 1e-9 * rng.standard_normal((15, 20)), -centre + 1e-9 * rng.standard_normal((15, 20))])
    x -= x.mean(axis=0)
    expected = np.sort(MutualKnn(4).prepare(x)[:, :4], axis=1)
    np.testing.assert_array_equal(np.sort(nearest(Site.read(x), 4), axis=1), expected)
    few = x + np.where(np.arange(30) % 15 < 6, 0.0, 1.0)[:, None] * rng.standard_normal((30, 20))
    expected = np.sort(MutualKnn(4).prepare(few)[:, :4], axis=1)
    np.testing.assert_array_equal(np.sort(nearest(Site.read(few), 4), axis=1), expected)


def test_duplicates_go_by_the_order_of_the_rows(rng):
    x = np.repeat(rng.standard_normal((6, 5)), 6, axis=0)
    expected = np.sort(MutualKnn(4).prepare(x)[:, :4], axis=1)
    np.testing.assert_array_equal(np.sort(nearest(Site.read(x), 4), axis=1), expected)


@settings(max_examples=40)
@given(st.integers(0, 1000), st.integers(12, 50), st.integers(1, 9), st.integers(3, 60), st.booleans())
def test_lists_grown_tile_by_tile_are_those_of_one_search(seed, n, width, side, clustered):
    rng = np.random.default_rng(seed)
    cosine = rng.standard_normal((n, n)).astype(np.float32)
    if clustered:  # Later tiles bring many nearer neighbours at once.
        cosine += np.arange(n, dtype=np.float32)
    lists = Nearest.empty(n, width)
    for row in range(0, n, side):
        for column in range(0, n, side):
            tile = cosine[row : row + side, column : column + side]
            lists.offer(row, column, tile if (row + column) % 2 else np.asfortranarray(tile))
    expected = np.sort(np.argsort(-cosine, axis=1)[:, :width], axis=1)
    np.testing.assert_array_equal(np.sort(lists.index, axis=1), expected)
    np.testing.assert_array_equal(lists.cosine, np.take_along_axis(cosine, lists.index, axis=1))


def test_the_cheaper_form_counts_multiplications():
    assert cheaper_form(20_000, 4096, 33, 33) == "tiles"
    assert cheaper_form(20_000, 64, 33, 33) == "features"
    # One site each: (2 d + 1) n^2 / 2 against 2 n d^2.
    assert cheaper_form(199, 100, 1, 1) == "tiles"
    assert cheaper_form(200, 100, 1, 1) == "features"
    # A permutation costs n^2 / 2 in tiles and n d^2 in features.
    assert cheaper_form(200, 100, 1, 1, draws=1000) == "tiles"
    assert cheaper_form(200, 9, 1, 1, draws=1000) == "features"


def test_spaces_without_variation_are_like_nothing(rng):
    _, b = stacks(rng)
    for name in ("cka", "cka_biased", "rbf_cka"):
        assert not all_pairs([np.ones((60, 40))], b, name).value.any()
    assert not all_pairs([np.ones((60, 2))], [b[0][:, :2]], "cka").value.any()


def test_what_cannot_be_compared_is_refused(rng):
    a, b = stacks(rng)
    with pytest.raises(UsageError, match="Did you mean 'mutual_knn'"):
        all_pairs(a, b, "mutualknn")
    with pytest.raises(UsageError, match="same n items"):
        all_pairs(a, [b[0][:50]], "cka")
    with pytest.raises(UsageError, match="without sites"):
        all_pairs(a, [], "cka")
    with pytest.raises(UsageError, match="permutation"):
        all_pairs(a, b, "cka", permutations=np.zeros((2, 60), dtype=int))
    with pytest.raises(UsageError, match="focus"):
        all_pairs(a, b, "cka", focus=np.arange(60) < 5)
    with pytest.raises(UsageError, match="most rows are equal"):
        all_pairs([np.repeat(np.eye(2, 5), [58, 2], axis=0)], b, "rbf_cka")
    with pytest.raises(TooFewRows):
        all_pairs([x[:4] for x in a], [y[:4] for y in b], "cka")
    with pytest.raises(TooFewRows):
        all_pairs([x[:12] for x in a], [y[:12] for y in b], "mutual_knn", k=10)
