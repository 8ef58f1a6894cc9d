"""What may never be shared by training and test, whatever the data look like."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conceptprobe.errors import TooFewRows
from conceptprobe.stats.design import Cell, Design, assign_folds, codes, make_design


def terms_design(units: int = 10, templates: int = 6, seed: int = 0, folds: int = 5, parts: int = 3):
    rows = [(u, label, t) for u in range(units) for label in (1, 0) for t in range(templates)]
    return make_design(
        item=[f"{u}/{label}" for u, label, _ in rows],
        positive=[label for _, label, _ in rows],
        unit=[f"u{u}" for u, _, _ in rows],
        template=[f"t{t}" for _, _, t in rows],
        folds=folds,
        template_folds=parts,
        pooled=True,
        rng=np.random.default_rng(seed),
    )


@given(st.lists(st.integers(0, 12), min_size=8, max_size=60), st.integers(2, 5), st.integers(0, 5))
def test_a_unit_never_crosses_folds_and_every_fold_is_used(unit, k, seed):
    unit = codes([str(u) for u in unit])
    if len(np.unique(unit)) < k:
        with pytest.raises(TooFewRows):
            assign_folds(unit, k, np.random.default_rng(seed))
        return
    fold = assign_folds(unit, k, np.random.default_rng(seed))
    assert len(np.unique(fold)) == k
    for u in np.unique(unit):
        assert len(np.unique(fold[unit == u])) == 1


def test_folds_are_balanced_where_units_are_alike():
    fold = assign_folds(np.repeat(np.arange(20), 3), 5, np.random.default_rng(1))
    assert np.bincount(fold).tolist() == [12] * 5


def test_test_rows_share_neither_unit_nor_template_with_training_rows():
    design = terms_design()
    template = np.tile(np.arange(6), 20)
    for cell in design.cells:
        train, test = design.train_rows(cell), design.test_rows(cell)
        assert test.any()
        assert train.any()
        assert not set(design.unit[design.item[train]]) & set(design.unit[design.item[test]])
        assert not set(template[train]) & set(template[test])


def test_inner_cells_lie_inside_the_training_rows_of_the_outer_cell():
    design = terms_design()
    for outer in design.cells:
        inner = list(design.inner_cells(outer))
        assert len(inner) == 4 * 2
        for cell in inner:
            assert not np.any(design.test_rows(cell) & ~design.train_rows(outer))
            assert not np.any(design.train_rows(outer, cell) & ~design.train_rows(outer))


def test_every_row_is_tested_exactly_once():
    design = terms_design()
    assert np.array_equal(sum(design.test_rows(c).astype(int) for c in design.cells), np.ones(120))


def test_without_templates_only_units_are_held_out():
    design = make_design(
        item=[str(i) for i in range(12)],
        positive=[1, 0] * 6,
        unit=[str(i // 2) for i in range(12)],
        template=None,
        folds=3,
        template_folds=1,
        pooled=False,
        rng=np.random.default_rng(0),
    )
    assert design.cells == (Cell(0, 0), Cell(1, 0), Cell(2, 0))
    assert [design.train_rows(c).sum() + design.test_rows(c).sum() for c in design.cells] == [12] * 3


def test_units_per_class_counts_units_not_rows():
    design = terms_design(units=10)
    assert design.units_per_class == (10, 10)
    assert design.n_items == 20


@given(st.integers(0, 10_000), st.booleans(), st.integers(2, 5))
def test_leaving_out_each_unit_in_closed_form_equals_doing_it(seed, pooled, folds):
    rng = np.random.default_rng(seed)
    unit = np.concatenate([np.arange(3 * folds), rng.integers(0, 3 * folds, 20)])
    label = np.where(rng.random(len(unit)) < 0.5, 1, -1)
    design = Design(np.arange(len(unit)), np.zeros(len(unit), int), label, unit, unit % folds, pooled)
    scores = rng.integers(-3, 4, (2, len(unit))).astype(float)  # ties on purpose
    try:
        one_by_one = np.stack([design.auroc(scores, keep=unit != u) for u in np.unique(unit)], axis=-1)
    except TooFewRows:
        with pytest.raises(TooFewRows):
            design.auroc_without_each_unit(scores)
    else:
        np.testing.assert_allclose(design.auroc_without_each_unit(scores), one_by_one, atol=1e-12)
