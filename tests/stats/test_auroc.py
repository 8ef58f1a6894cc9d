"""The AUROC, its interval and its guards, against definitions written out and an independent implementation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from conceptprobe.errors import TooFewRows
from conceptprobe.stats.auroc import (
    auroc,
    auroc_interval,
    average_ranks,
    difference_interval,
    hanley_mcneil,
    inflation,
    within_fold_auroc,
)

scores_and_labels = st.integers(2, 30).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.int64, n, elements=st.integers(-3, 3)),
        hnp.arrays(np.int64, n, elements=st.integers(0, 1)),
    )
)


@given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=1, max_dims=2, max_side=12), elements=st.integers(-2, 2)))
def test_ranks_match_scipy_with_ties(x):
    np.testing.assert_array_equal(average_ranks(x), rankdata(x, axis=-1))


@given(scores_and_labels)
def test_auroc_matches_scikit_learn(pair):
    scores, labels = pair
    if labels.min() == labels.max():
        with pytest.raises(TooFewRows):
            auroc(scores, labels)
    else:
        assert auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_leading_axes_of_scores_and_labels_broadcast(rng):
    scores = rng.standard_normal((7, 20))
    labels = np.where(np.arange(20) % 2, 1, -1)
    one_by_one = [float(auroc(row, labels)) for row in scores]
    np.testing.assert_allclose(auroc(scores, labels), one_by_one)
    np.testing.assert_allclose(auroc(scores, -labels), 1 - np.array(one_by_one))


def test_within_fold_auroc_ignores_offsets_between_folds(rng):
    folds = np.repeat([0, 1, 2], 8)
    labels = np.tile([1, -1], 12)
    scores = rng.standard_normal(24) + (labels > 0)
    shifted = scores + np.array([0.0, 100.0, -50.0])[folds]
    assert within_fold_auroc(shifted, labels, folds) == pytest.approx(float(within_fold_auroc(scores, labels, folds)))
    assert auroc(shifted, labels) != pytest.approx(float(auroc(scores, labels)))


def test_within_fold_auroc_counts_the_pairs_of_each_fold(rng):
    folds = np.array([0] * 5 + [1] * 9)
    labels = rng.permutation([1] * 7 + [-1] * 7)
    scores = rng.integers(0, 4, 14).astype(float)
    wins = total = 0.0
    for i in range(14):
        for j in range(14):
            if folds[i] == folds[j] and labels[i] > 0 > labels[j]:
                wins += (scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j])
                total += 1
    assert within_fold_auroc(scores, labels, folds) == pytest.approx(wins / total)


@given(st.floats(0, 1), st.integers(2, 80), st.floats(1, 3))
def test_interval_holds_the_estimate_stays_inside_and_widens_with_inflation(value, n, c):
    low, high = auroc_interval(value, n, n, c)
    assert 0 <= low <= value <= high <= 1
    narrow_low, narrow_high = auroc_interval(value, n, n)
    assert low <= narrow_low + 1e-12
    assert high >= narrow_high - 1e-12


@given(st.floats(0.01, 0.99), st.integers(3, 60))
def test_interval_is_symmetric_under_swapping_the_classes(value, n):
    low, high = auroc_interval(value, n, n)
    other_low, other_high = auroc_interval(1 - value, n, n)
    assert low == pytest.approx(1 - other_high, abs=1e-9)
    assert high == pytest.approx(1 - other_low, abs=1e-9)


def test_a_perfect_auroc_still_has_an_interval():
    low, high = auroc_interval(1.0, 20, 20)
    assert 0.85 < low < 0.95
    assert high == 1.0
    # The end of the interval is where the distance equals 1.96 standard errors of that end.
    assert 1.0 - low == pytest.approx(1.959964 * hanley_mcneil(low, 20, 20), abs=1e-6)


@pytest.mark.parametrize("theta", [0.5, 0.7, 0.9])
def test_interval_covers_the_truth_of_binormal_scores(theta):
    from statistics import NormalDist

    rng = np.random.default_rng(5)
    shift = np.sqrt(2) * NormalDist().inv_cdf(theta)
    labels = np.repeat([1, -1], 24)
    values = auroc(rng.standard_normal((1000, 48)) + shift * (labels > 0), labels)
    covered = [low <= theta <= high for low, high in (auroc_interval(float(v), 24, 24) for v in values)]
    assert 0.92 <= np.mean(covered) <= 0.99


def test_inflation_is_one_for_an_ordinary_null_and_grows_with_a_wide_one():
    rng = np.random.default_rng(0)
    hm = hanley_mcneil(0.5, 20, 20)
    assert inflation(0.5 + 0.5 * hm * rng.standard_normal(500), 20, 20) == 1.0
    assert inflation(0.5 + 2.0 * hm * rng.standard_normal(5000), 20, 20) == pytest.approx(2.0, abs=0.1)


def test_one_unit_has_no_interval():
    with pytest.raises(TooFewRows):
        auroc_interval(0.7, 1, 10)


@given(st.integers(0, 10_000), st.integers(2, 40), st.sampled_from([0.0, 0.5, 1.0]))
def test_sorting_labels_with_scores_gives_the_ranks_an_argsort_gives(seed, n, ties):
    """Ties, signed zeros, neighbours one bit apart, infinities: the definition by ranks decides."""
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((5, n))
    scores[rng.random((5, n)) < ties / 2] = 0.0
    scores[rng.random((5, n)) < ties / 4] = -0.0
    near = rng.random((5, n)) < ties / 4
    scores[near] = np.nextafter(1.0, np.where(rng.random(near.sum()) < 0.5, 2.0, 0.0))
    scores[rng.random((5, n)) < ties / 8] = np.inf
    labels = np.where(rng.random((5, n)) < 0.5, 1, -1)
    labels[:, 0], labels[:, 1] = 1, -1
    ranks, positive = rankdata(scores, axis=-1), labels > 0
    n1, n0 = positive.sum(-1), (~positive).sum(-1)
    wanted = ((ranks * positive).sum(-1) - n1 * (n1 + 1) / 2) / (n1 * n0)
    np.testing.assert_allclose(auroc(scores, labels), wanted, atol=1e-12)


def test_a_difference_of_two_estimates_is_as_uncertain_as_both():
    low, high = difference_interval(0.9, (0.8, 0.95), 0.6, (0.5, 0.7))
    assert low == pytest.approx(0.3 - np.hypot(0.1, 0.1))
    assert high == pytest.approx(0.3 + np.hypot(0.05, 0.1))
    # At the ceiling the score interval's width is kept, and a second estimate without error adds none.
    ceiling = auroc_interval(1.0, 24, 24)
    assert difference_interval(1.0, ceiling, 0.5, (0.5, 0.5)) == pytest.approx((ceiling[0] - 0.5, 0.5))
