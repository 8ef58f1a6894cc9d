"""Matching without pairs: planted partners are found, chance is chance, and the order of the rows gives nothing away."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from conceptprobe.alignment.unpaired import METHODS, fixed_points_p, unpaired_matching
from conceptprobe.errors import TooFewRows, UsageError


def rotation(rng, d):
    return np.linalg.qr(rng.standard_normal((d, d)))[0]


def pair(rng, n=40, d=8, noise=0.1):
    x = rng.standard_normal((n, d)) * 0.9 ** np.arange(d)
    return x, 3.0 * x @ rotation(rng, d) + 5.0 + noise * rng.standard_normal((n, d))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("n", "d"), [(20, 3), (40, 8), (30, 100)])
def test_a_rotated_copy_finds_all_its_partners(method, n, d, rng):
    x, y = pair(rng, n, d)
    found = unpaired_matching(x, y, method)
    assert found.share == 1.0
    assert found.found == n
    assert found.chance == 1 / n
    assert found.p < 1e-15
    np.testing.assert_array_equal(found.assignment, np.arange(n))


@pytest.mark.parametrize("method", METHODS)
def test_partners_are_found_across_different_numbers_of_features(method, rng):
    x, y = pair(rng, 30, 6)
    wide = y @ np.linalg.qr(rng.standard_normal((20, 6)))[0].T
    assert unpaired_matching(x, wide, method).share == 1.0
    assert unpaired_matching(wide, x, method).share == 1.0


@pytest.mark.parametrize("method", METHODS)
def test_unrelated_spaces_find_one_partner_on_average(method):
    rng = np.random.default_rng(5)
    found = [unpaired_matching(*rng.standard_normal((2, 15, 4)), method).found for _ in range(80)]
    assert 0.6 < np.mean(found) < 1.4  # standard error 0.11


@pytest.mark.parametrize("method", METHODS)
def test_where_geometry_says_nothing_the_order_of_the_rows_does_not_help(method):
    found = [unpaired_matching(np.eye(12), np.eye(12), method, seed=seed).found for seed in range(40)]
    assert np.mean(found) < 2.0  # 12 where rows are taken as they come


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("noise", [0.1, 1.0])
def test_renamed_items_are_matched_as_before_and_renamed(method, noise, rng):
    x, y = pair(rng, 25, 5, noise)
    order = rng.permutation(25)
    plain = unpaired_matching(x, y, method)
    renamed = unpaired_matching(x, y[order], method)
    np.testing.assert_array_equal(order[renamed.assignment], plain.assignment)
    assert renamed.found == (plain.assignment == order).sum()


@pytest.mark.parametrize("method", METHODS)
def test_rotation_scale_and_shift_change_nothing_and_a_stretch_does(method, rng):
    x, y = pair(rng, 30, 5, noise=0.8)
    plain = unpaired_matching(x, y, method)
    turned = unpaired_matching(x, 0.2 * y @ rotation(rng, 5) - 3.0, method)
    np.testing.assert_array_equal(turned.assignment, plain.assignment)
    assert turned.mismatch == pytest.approx(plain.mismatch, rel=1e-6)
    stretched = unpaired_matching(x, y * np.array([20.0, 1, 1, 1, 1]), method)
    assert stretched.mismatch > 1.2 * plain.mismatch


def test_gromov_wasserstein_is_no_worse_than_the_library_from_its_own_start(rng):
    from ot.gromov import gromov_wasserstein2
    from scipy.spatial.distance import cdist

    x, y = rng.standard_normal((20, 4)), rng.standard_normal((20, 6))
    c, d = cdist(x, x), cdist(y, y)
    weights = np.full(20, 1 / 20)
    theirs = gromov_wasserstein2(c / c.mean(), d / d.mean(), weights, weights, "square_loss")
    assert unpaired_matching(x, y, "gromov_wasserstein").mismatch <= theirs + 1e-9


def test_the_orthogonal_mismatch_is_what_the_best_rotation_leaves(rng):
    x, y = pair(rng, 30, 5, noise=0.3)
    found = unpaired_matching(x, y, "orthogonal")
    a, b = x - x.mean(axis=0), (y - y.mean(axis=0))[found.assignment]
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    assert found.mismatch == pytest.approx(2.0 - 2.0 * np.linalg.svd(a.T @ b)[1].sum(), abs=1e-9)


@pytest.mark.parametrize("n", [4, 6])
def test_p_is_the_share_of_all_permutations(n):
    fixed = np.array([(np.array(order) == np.arange(n)).sum() for order in permutations(range(n))])
    for found in range(n + 1):
        assert fixed_points_p(found, n) == pytest.approx((fixed >= found).mean(), rel=1e-9)


def test_p_at_many_items_is_that_of_a_poisson_count_of_mean_one():
    from scipy.stats import poisson

    for found in (0, 1, 3, 8):
        assert fixed_points_p(found, 500) == pytest.approx(poisson.sf(found - 1, 1.0), rel=1e-9)
    assert 0.0 <= fixed_points_p(500, 500) < 1e-300


@pytest.mark.parametrize("method", METHODS)
def test_copies_of_a_row_are_matched_among_themselves(method, rng):
    x, y = pair(rng, 15, 4, noise=0.0)
    found = unpaired_matching(np.repeat(x, 2, axis=0), np.repeat(y, 2, axis=0), method)
    np.testing.assert_array_equal(np.sort(found.assignment), np.arange(30))
    np.testing.assert_array_equal(found.assignment // 2, np.arange(30) // 2)


def test_what_cannot_be_matched_is_refused(rng):
    x = rng.standard_normal((10, 3))
    with pytest.raises(UsageError, match="Did you mean 'orthogonal'"):
        unpaired_matching(x, x, "ortogonal")
    with pytest.raises(UsageError, match="10 rows cannot be matched with 9"):
        unpaired_matching(x, x[:9])
    with pytest.raises(TooFewRows):
        unpaired_matching(x[:3], x[:3])
    with pytest.raises(UsageError, match="second space are equal"):
        unpaired_matching(x, np.ones((10, 2)), "orthogonal")
    with pytest.raises(UsageError, match="first space holds NaN"):
        unpaired_matching(np.full((10, 3), np.nan), x, "orthogonal")
