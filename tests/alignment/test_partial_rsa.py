"""Partial RSA: planted truths, regressions written out, shortcuts against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from conceptprobe.alignment.partial_rsa import (
    partial_rsa,
    partial_rsa_leave_one_out,
    partial_rsa_null,
    polynomial_terms,
    unique_and_common,
)
from conceptprobe.alignment.rsa import RankedDistances, Rsa
from conceptprobe.errors import TooFewRows, UsageError

N = 60


def ranked(x):
    return Rsa(distance="euclidean").prepare(x)


def planted(rng, extra, n=N):
    """Two spaces that share a nuisance, and `extra` of something else; and the nuisance."""
    nuisance, other = rng.standard_normal((2, n, 4))
    a, b = (np.concatenate([nuisance, extra * other, 0.6 * rng.standard_normal((n, 4))], axis=1) for _ in range(2))
    return ranked(a), ranked(b), [ranked(nuisance)]


def vector(prepared):
    return prepared.ranks[np.triu_indices(len(prepared.ranks), 1)]


def residual(target, predictors):
    design = np.column_stack([np.ones(len(target)), *predictors])
    return target - design @ np.linalg.lstsq(design, target, rcond=None)[0]


def explained(target, predictors):
    return 1.0 - np.var(residual(target, predictors)) / np.var(target)


def only(prepared, rows):
    return RankedDistances(prepared.ranks[np.ix_(rows, rows)])


@given(st.integers(0, 10_000), st.integers(8, 25), st.integers(0, 3))
@settings(max_examples=25)
def test_it_is_the_correlation_of_what_two_regressions_leave(seed, n, count):
    rng = np.random.default_rng(seed)
    spaces = [rng.standard_normal((n, 3)) for _ in range(2 + count)]
    a, b, *nuisance = [ranked(x) for x in spaces]
    ranks = [rankdata(vector(v)) for v in (a, b, *nuisance)]
    expected = np.corrcoef(residual(ranks[0], ranks[2:]), residual(ranks[1], ranks[2:]))[0, 1]
    assert partial_rsa(a, b, nuisance) == pytest.approx(expected, abs=1e-9)


def test_without_nuisances_it_is_rsa(rng):
    a, b, _ = planted(rng, 1.0)
    assert partial_rsa(a, b, []) == pytest.approx(Rsa().compare(a, b), abs=1e-12)


def test_distances_that_agree_only_through_a_nuisance_share_nothing_beyond_it():
    rng = np.random.default_rng(3)
    whole, straight, curved, small = [], [], [], 0
    for _ in range(40):
        a, b, nuisance = planted(rng, 0.0)
        terms = polynomial_terms(nuisance)
        whole.append(Rsa().compare(a, b))
        straight.append(partial_rsa(a, b, nuisance))
        curved.append(partial_rsa(a, b, terms))
        orders = np.array([rng.permutation(N) for _ in range(99)])
        small += (1 + (partial_rsa_null(a, b, terms, orders) >= curved[-1]).sum()) / 100 <= 0.05
    assert min(whole) > 0.4
    assert abs(np.mean(straight)) < 0.06
    assert abs(np.mean(curved)) < 0.03  # standard error 0.01
    assert np.mean(straight) - np.mean(curved) > 0.01  # what a straight line through curved ranks leaves
    assert small <= 8  # 8% of 40 expected; 9 or more have a chance below 1%


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_polynomial_terms_explain_what_a_regression_on_powers_of_the_ranks_does(degree, rng):
    a, b, nuisance = planted(rng, 0.5, n=20)
    ranks = vector(nuisance[0])
    va, vb = (residual(vector(v), [ranks**p for p in range(1, degree + 1)]) for v in (a, b))
    assert partial_rsa(a, b, polynomial_terms(nuisance, degree)) == pytest.approx(np.corrcoef(va, vb)[0, 1], abs=1e-8)


def test_polynomial_terms_of_equal_distances_are_nothing(rng):
    a, b, _ = planted(rng, 0.5)
    equal = polynomial_terms([ranked(np.eye(N))])
    assert partial_rsa(a, b, equal) == pytest.approx(partial_rsa(a, b, []), abs=1e-12)
    with pytest.raises(UsageError, match="degree 0"):
        polynomial_terms([a], 0)


def test_a_part_shared_beyond_the_nuisance_is_found(rng):
    a, b, nuisance = planted(rng, 1.0)
    orders = np.array([rng.permutation(N) for _ in range(199)])
    value = partial_rsa(a, b, nuisance)
    assert 0.3 < value < Rsa().compare(a, b)
    assert (partial_rsa_null(a, b, nuisance, orders) < value).all()
    parts = unique_and_common(a, b, nuisance)
    assert parts.unique.ci_low > 0.05
    assert parts.common.ci_low > 0.0


def test_the_unique_part_is_nothing_where_only_the_nuisance_is_shared(rng):
    parts = unique_and_common(*planted(rng, 0.0))
    assert parts.unique.estimate < 0.02
    assert parts.common.estimate > 0.2


def test_the_null_renames_b_and_leaves_the_nuisances_with_a(rng):
    a, b, nuisance = planted(rng, 0.7, n=20)
    orders = np.array([rng.permutation(20) for _ in range(5)])
    expected = [partial_rsa(a, only(b, order), nuisance) for order in orders]
    np.testing.assert_allclose(partial_rsa_null(a, b, nuisance, orders), expected, atol=1e-10)


def test_leave_one_out_is_the_regression_on_the_ranks_that_remain(rng):
    a, b, nuisance = planted(rng, 0.7, n=15)
    nuisance.append(ranked(rng.standard_normal((15, 2))))
    expected = []
    for gone in range(15):
        rows = np.delete(np.arange(15), gone)
        va, vb, *others = [vector(only(v, rows)) for v in (a, b, *nuisance)]
        expected.append(np.corrcoef(residual(va, others), residual(vb, others))[0, 1])
    np.testing.assert_allclose(partial_rsa_leave_one_out(a, b, nuisance), expected, atol=1e-9)


def test_leave_one_out_is_close_to_ranking_anew(rng):
    spaces = [rng.standard_normal((40, 5)) for _ in range(3)]
    spaces[1] += spaces[0]
    expected = []
    for gone in range(40):
        a, b, other = (ranked(np.delete(x, gone, 0)) for x in spaces)
        expected.append(partial_rsa(a, b, [other]))
    a, b, other = map(ranked, spaces)
    ours = partial_rsa_leave_one_out(a, b, [other])
    assert np.abs(ours - expected).max() < 0.005
    assert np.corrcoef(ours, expected)[0, 1] > 0.99


def test_shares_are_those_of_the_regressions_and_add_up(rng):
    a, b, nuisance = planted(rng, 0.7, n=25)
    va, vb, vn = (vector(v) for v in (a, b, *nuisance))
    alone, others, both = explained(vb, [va]), explained(vb, [vn]), explained(vb, [va, vn])
    parts = unique_and_common(a, b, nuisance)
    assert parts.unique.estimate == pytest.approx(both - others, abs=1e-9)
    assert parts.nuisance.estimate == pytest.approx(both - alone, abs=1e-9)
    assert parts.common.estimate == pytest.approx(alone + others - both, abs=1e-9)
    assert parts.total.estimate == pytest.approx(both, abs=1e-9)
    for part in (parts.unique, parts.common, parts.nuisance, parts.total):
        assert part.ci_low < part.estimate < part.ci_high


def test_nuisances_that_repeat_each_other_count_once(rng):
    a, b, nuisance = planted(rng, 0.7)
    assert partial_rsa(a, b, nuisance * 3) == pytest.approx(partial_rsa(a, b, nuisance), abs=1e-9)


def test_where_the_nuisance_is_the_space_itself_nothing_is_left(rng):
    a, b, _ = planted(rng, 1.0)
    assert partial_rsa(a, b, [a]) == 0.0
    assert partial_rsa(a, b, [b]) == 0.0
    parts = unique_and_common(a, b, [a])
    assert parts.unique.estimate == pytest.approx(0.0, abs=1e-9)
    equal = ranked(np.eye(N))
    assert unique_and_common(a, equal, [b]).total.estimate == 0.0


def test_copies_of_rows_tie_and_are_allowed(rng):
    spaces = [np.repeat(rng.standard_normal((8, 3)), 2, axis=0) for _ in range(3)]
    a, b, other = map(ranked, spaces)
    value = partial_rsa(a, b, [other])
    ranks = [rankdata(vector(v)) for v in (a, b, other)]
    assert value == pytest.approx(np.corrcoef(residual(ranks[0], ranks[2:]), residual(ranks[1], ranks[2:]))[0, 1])


def test_other_items_too_few_items_and_no_nuisance_are_refused(rng):
    a, b, _ = planted(rng, 1.0)
    with pytest.raises(UsageError, match="59 and 60 items"):
        partial_rsa(a, b, [ranked(rng.standard_normal((59, 3)))])
    with pytest.raises(UsageError, match="without a nuisance"):
        unique_and_common(a, b, [])
    small = ranked(rng.standard_normal((4, 3)))
    with pytest.raises(TooFewRows):
        partial_rsa(small, small, [small])
