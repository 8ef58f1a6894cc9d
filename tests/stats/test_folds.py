"""Stratified folds: whole units, both classes everywhere, and nothing new where units are matched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptprobe.errors import TooFewRows
from conceptprobe.stats.design import assign_folds
from conceptprobe.stats.folds import stratified_folds


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.sampled_from(["concept", "control", "both"])), min_size=5, max_size=40),
    st.integers(2, 5),
    st.integers(0, 1000),
)
def test_units_stay_whole_and_every_fold_holds_both_classes(shapes, k, seed):
    unit = np.repeat(np.arange(len(shapes)), [size + (kind == "both") for size, kind in shapes])
    label = np.concatenate([_labels(size, kind) for size, kind in shapes])
    holds = [len(np.unique(unit[label == y])) for y in (1, -1)]
    if min(holds) < k:
        with pytest.raises(TooFewRows):
            stratified_folds(unit, label, k, np.random.default_rng(seed))
        return
    fold = stratified_folds(unit, label, k, np.random.default_rng(seed))
    assert all(len(np.unique(fold[unit == u])) == 1 for u in np.unique(unit))
    if not any(kind == "both" for _, kind in shapes):
        assert all(len(np.unique(label[fold == f])) == 2 for f in range(k))


def _labels(size: int, kind: str) -> list[int]:
    return {"concept": [1] * size, "control": [-1] * size, "both": [1] * size + [-1]}[kind]


def test_classes_of_single_rows_are_spread_evenly(rng):
    label = np.repeat([1, -1], [23, 61])
    fold = stratified_folds(np.arange(84), label, 5, rng)
    for y in (1, -1):
        counts = np.bincount(fold[label == y], minlength=5)
        assert counts.max() - counts.min() <= 1


def test_matched_units_get_the_folds_of_assign_folds():
    unit = np.repeat(np.arange(17), np.tile([2, 4, 6], 6)[:17])
    label = np.where(np.arange(len(unit)) % 2 == 0, 1, -1)
    for seed in range(5):
        stratified = stratified_folds(unit, label, 5, np.random.default_rng(seed))
        np.testing.assert_array_equal(stratified, assign_folds(unit, 5, np.random.default_rng(seed)))
