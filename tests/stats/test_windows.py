"""Windows of units: equal training for all, 5-fold cross-validation at the least size, AUROCs as loops over pairs have them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from conceptprobe.errors import TooFewRows
from conceptprobe.stats.auroc import within_fold_auroc
from conceptprobe.stats.windows import Windows, make_windows


def items(rng: np.random.Generator, units: int, most: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Labels and units of items in any order; 1 to `most` positives in each unit, and 1 to `most` controls."""
    label, unit = [], []
    for u in range(units):
        for side in (1, -1):
            count = int(rng.integers(1, most + 1))
            label += [side] * count
            unit += [u] * count
    order = rng.permutation(len(label))
    return np.array(label)[order], np.array(unit)[order]


def pairs_won(windows: Windows, scores: np.ndarray, label: np.ndarray, without: int = -1) -> float:
    """The AUROC as its definition has it, pair by pair; one unit may be left out."""
    won = met = 0.0
    for cell, i, j in product(range(windows.cells), range(len(label)), range(len(label))):
        if windows.train[cell, i] or windows.train[cell, j] or without in (windows.unit[i], windows.unit[j]):
            continue
        if label[i] > 0 > label[j]:
            met += 1
            won += (scores[cell, i] > scores[cell, j]) + 0.5 * (scores[cell, i] == scores[cell, j])
    return won / met


def few_levels(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Scores with many ties."""
    return rng.integers(0, 4, shape).astype(np.float64)


def test_five_windows_of_eight_of_ten_units_are_five_fold_cross_validation(rng):
    label, unit = np.repeat([1, -1], 10), np.tile(np.arange(10), 2)
    windows = make_windows(label, unit, 8, 5, rng)
    tested = ~windows.train
    assert tested.sum(axis=0).tolist() == [1] * 20
    assert [len(set(unit[row])) for row in tested] == [2] * 5
    fold = tested.argmax(axis=0)
    scores = rng.standard_normal((5, 20))
    held_out = scores[fold, np.arange(20)]
    assert windows.auroc(scores) == pytest.approx(float(within_fold_auroc(held_out, label, fold)), abs=1e-12)


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.integers(4, 40), st.integers(1, 38), st.integers(1, 9))
def test_cells_train_on_equally_many_units_and_units_are_trained_on_about_equally_often(seed, n, train, cells):
    assume(train <= n - 2)
    rng = np.random.default_rng(seed)
    label, unit = items(rng, n)
    windows = make_windows(label, unit, train, cells, rng)
    of_unit = np.array([[row[unit == u].all() for u in range(n)] for row in windows.train])
    np.testing.assert_array_equal(of_unit[:, unit], windows.train)  # a unit is never divided
    assert of_unit.sum(axis=1).tolist() == [train] * cells
    assert np.ptp(of_unit.sum(axis=0)) <= 1
    assert (windows.cells, windows.n_units) == (cells, n)


@given(st.integers(0, 2**31), st.integers(10, 60))
def test_five_windows_of_eight_units_test_every_unit(seed, n):
    windows = make_windows(np.tile([1, -1], n), np.repeat(np.arange(n), 2), 8, 5, np.random.default_rng(seed))
    assert (~windows.train).any(axis=0).all()


def test_which_units_train_together_is_drawn(rng):
    label, unit = np.tile([1, -1], 20), np.repeat(np.arange(20), 2)
    drawn = {make_windows(label, unit, 8, 5, np.random.default_rng(seed)).train.tobytes() for seed in range(10)}
    again = {make_windows(label, unit, 8, 5, np.random.default_rng(seed)).train.tobytes() for seed in range(10)}
    assert len(drawn) == 10
    assert again == drawn


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.integers(5, 8), st.integers(1, 3), st.integers(1, 4))
def test_the_auroc_is_what_a_loop_over_pairs_of_one_cell_counts(seed, n, train, cells):
    rng = np.random.default_rng(seed)
    label, unit = items(rng, n)
    windows = make_windows(label, unit, train, cells, rng)
    scores = few_levels(rng, 2, 3, cells, len(label))
    found = windows.auroc(scores)
    assert found.shape == (2, 3)
    for at in product(range(2), range(3)):
        assert found[at] == pytest.approx(pairs_won(windows, scores[at], label), abs=1e-12)


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.integers(5, 8), st.integers(1, 3))
def test_every_draw_is_judged_by_its_own_labels(seed, n, train):
    """Labels of whole units are flipped; where units are uneven, cells then hold other numbers of pairs."""
    rng = np.random.default_rng(seed)
    label, unit = items(rng, n)
    windows = make_windows(label, unit, train, 3, rng)
    labels = rng.choice([-1, 1], (4, n))[:, unit] * label
    scores = few_levels(rng, 4, 3, len(label))
    expected = [pairs_won(windows, own, flipped) for own, flipped in zip(scores, labels, strict=True)]
    np.testing.assert_allclose(windows.auroc(scores, labels), expected, atol=1e-12)
    np.testing.assert_allclose(windows.auroc(scores, -labels), 1.0 - np.array(expected), atol=1e-12)


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.integers(5, 8), st.integers(1, 3), st.integers(1, 4))
def test_leaving_a_unit_out_is_deleting_it(seed, n, train, cells):
    rng = np.random.default_rng(seed)
    label, unit = items(rng, n)
    windows = make_windows(label, unit, train, cells, rng)
    scores = few_levels(rng, cells, len(label))
    expected = [pairs_won(windows, scores, label, without=u) for u in range(n)]
    np.testing.assert_allclose(windows.auroc_without_each_unit(scores), expected, atol=1e-12)


def test_offsets_of_cells_and_scores_of_what_they_train_on_change_nothing(rng):
    label, unit = items(rng, 12)
    windows = make_windows(label, unit, 8, 5, rng)
    scores = few_levels(rng, 5, len(label))
    moved = np.where(windows.train, np.nan, scores + np.array([0.0, 100.0, -50.0, 7.0, 1.0])[:, None])
    assert windows.auroc(moved) == windows.auroc(scores)
    np.testing.assert_array_equal(windows.auroc_without_each_unit(moved), windows.auroc_without_each_unit(scores))


def test_a_cell_needs_two_units_to_test():
    label, unit = np.tile([1, -1], 10), np.repeat(np.arange(10), 2)
    make_windows(label, unit, 8, 5, np.random.default_rng(0))
    with pytest.raises(TooFewRows, match="10 units leave fewer than 2"):
        make_windows(label, unit, 9, 5, np.random.default_rng(0))


def test_a_class_that_is_missing_from_a_test_is_an_error():
    """Of three items the only positive is of unit 0: without that unit there is no pair."""
    windows = Windows(np.array([1, -1, -1]), np.array([0, 0, 1]), np.zeros((1, 3), dtype=bool))
    scores = np.array([[2.0, 1.0, 3.0]])
    assert windows.auroc(scores) == 0.5
    with pytest.raises(TooFewRows):
        windows.auroc_without_each_unit(scores)
    with pytest.raises(TooFewRows):
        windows.auroc(scores, np.array([[1, 1, 1]]))
