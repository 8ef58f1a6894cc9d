"""What an exchange keeps, and that its p is a p."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conceptprobe.stats.design import Design
from conceptprobe.stats.exchange import add_one_p, rank_swap_null, within_fold_ranks
from conceptprobe.stats.relabel import exchanged_labels


def design(unit, label, fold=None, pooled=False):
    unit, label = np.array(unit), np.array(label)
    n = len(unit)
    fold = np.zeros(n, dtype=np.int64) if fold is None else np.array(fold)
    return Design(np.arange(n), np.zeros(n, dtype=np.int64), label, unit, fold, pooled)


def test_matched_units_flip_as_a_whole(rng):
    d = design([0, 0, 0, 0, 1, 1, 2, 2], [1, -1, 1, -1, 1, -1, -1, 1])
    drawn = exchanged_labels(d, 200, rng)
    for u in range(3):
        rows = d.unit == u
        products = drawn[:, rows] * d.label[rows]
        assert np.all(products == products[:, :1])
    assert set(np.unique(drawn.sum(axis=1))) == {0}
    assert 0.3 < np.mean(drawn[:, 0] == 1) < 0.7


def test_units_of_one_class_are_permuted_among_units_of_their_size(rng):
    unit = [0, 0, 1, 1, 2, 3, 4, 5, 6, 6]
    label = [1, 1, -1, -1, 1, -1, 1, -1, 1, -1]
    d = design(unit, label)
    drawn = exchanged_labels(d, 300, rng)
    assert np.all(drawn.sum(axis=1) == np.sum(label))
    # The pair of one class moves to the other such unit of two rows as a pair; the mixed unit keeps one of each.
    assert {tuple(row) for row in drawn[:, :2]} == {(1, 1), (-1, -1)}
    assert {tuple(row) for row in drawn[:, 8:]} == {(1, -1), (-1, 1)}
    assert len({tuple(row) for row in drawn[:, 4:8]}) == 6


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=50), st.floats(-1, 1))
def test_p_is_add_one_and_counts_ties_for_the_null(null, observed):
    p = add_one_p(observed, np.array(null))
    assert 1 / (len(null) + 1) <= p <= 1
    assert p >= (1 + sum(v >= observed for v in null)) / (len(null) + 1) - 1e-12


def test_p_of_label_flips_is_uniform_without_an_effect():
    rng = np.random.default_rng(3)
    d = design(np.repeat(np.arange(12), 2), np.tile([1, -1], 12), pooled=True)
    p = []
    for _ in range(300):
        scores = rng.standard_normal(24)
        labels = exchanged_labels(d, 99, rng)
        p.append(add_one_p(float(d.auroc(scores)), np.asarray(d.auroc(scores, labels))))
    assert np.mean(np.array(p) <= 0.05) < 0.09
    assert 0.4 < np.mean(p) < 0.6


def test_swapping_ranks_finds_the_better_scorer_and_not_a_twin_of_itself():
    rng = np.random.default_rng(4)
    unit, label = np.repeat(np.arange(30), 2), np.tile([1, -1], 30)
    d = design(unit, label, fold=np.repeat(np.arange(3), 20))
    good = 2.0 * label + rng.standard_normal(60)
    bad = rng.standard_normal(60)
    observed, null = rank_swap_null(good, bad, d, 999, rng)
    assert add_one_p(observed, null) < 0.01
    same, null = rank_swap_null(good, good.copy(), d, 199, rng)
    assert same == 0.0
    assert add_one_p(same, null) == 1.0


def test_within_fold_ranks_do_not_see_the_scale_of_a_fold(rng):
    scores, folds = rng.standard_normal(20), np.repeat([0, 1], 10)
    scaled = np.where(folds == 0, scores * 1000 + 5, scores)
    assert within_fold_ranks(scaled, folds) == pytest.approx(within_fold_ranks(scores, folds))
