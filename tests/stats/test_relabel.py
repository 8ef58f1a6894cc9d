"""The exchange that fits the units: what it keeps, what it counts, and that its p is a p."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptprobe.stats.design import Design
from conceptprobe.stats.exchange import add_one_p
from conceptprobe.stats.relabel import exchange_of, exchanged_labels, freedom


def design(unit, label, fold=None) -> Design:
    unit, label = np.array(unit), np.array(label)
    zeros = np.zeros(len(unit), dtype=np.int64)
    return Design(np.arange(len(unit)), zeros, label, unit, zeros if fold is None else np.array(fold), False)


MATCHED = design([0, 0, 1, 1, 2, 2, 2, 2], [1, -1, -1, 1, 1, 1, -1, -1])
ONE_CLASS = design([0, 0, 1, 1, 2, 3], [1, 1, -1, -1, 1, -1])
TRIPLES = design([0, 0, 0, 1, 1, 1], [1, -1, -1, -1, 1, -1])


def test_each_kind_of_units_has_its_exchange():
    assert exchange_of(MATCHED) == "flip"
    assert exchange_of(ONE_CLASS) == "between"
    assert exchange_of(TRIPLES) == "within"
    assert exchange_of(design([0, 0, 1], [1, -1, 1])) == "within"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=12), st.integers(0, 99))
def test_labels_inside_a_unit_keep_their_number_and_class_sizes_stay(counts, seed):
    counts = [c for c in counts if sum(c)]
    if not counts or not sum(a for a, _ in counts) or not sum(b for _, b in counts):
        return
    unit = np.repeat(np.arange(len(counts)), [sum(c) for c in counts])
    label = np.concatenate([[1] * a + [-1] * b for a, b in counts])
    d = design(unit, label)
    drawn = exchanged_labels(d, 30, np.random.default_rng(seed))
    assert set(np.unique(drawn)) <= {-1, 1}
    assert np.all((drawn > 0).sum(axis=1) == (label > 0).sum())
    if exchange_of(d) == "within":
        for u, (a, b) in enumerate(counts):
            if a and b:
                assert np.all((drawn[:, unit == u] > 0).sum(axis=1) == a)
            else:  # a unit of one class stays one
                assert np.all(np.abs(drawn[:, unit == u].sum(axis=1)) == a + b)


FOLDED = design([0, 0, 0, 1, 2, 3, 4], [1, -1, -1, 1, -1, -1, 1], [0, 0, 0, 0, 1, 0, 1])


@pytest.mark.parametrize("d", [MATCHED, ONE_CLASS, TRIPLES, FOLDED])
def test_freedom_counts_the_labellings_that_are_drawn(d):
    drawn = exchanged_labels(d, 4000, np.random.default_rng(0))
    assert len(np.unique(drawn, axis=0)) == pytest.approx(10 ** freedom(d).labellings)
    moving = np.mean([len(np.unique(column)) == 2 for column in drawn.T])
    assert freedom(d).free == pytest.approx(moving)


def test_labels_never_leave_their_fold():
    label = np.repeat([1, -1], 20)
    fold = np.arange(40) % 5
    d = design(np.arange(40), label, fold)
    drawn = exchanged_labels(d, 100, np.random.default_rng(2))
    for f in range(5):
        assert np.all(drawn[:, fold == f].sum(axis=1) == 0)
    assert freedom(d).labellings == pytest.approx(5 * math.log10(math.comb(8, 4)))


def test_units_of_sizes_that_nobody_shares_leave_nothing_to_exchange():
    stuck = freedom(
        design(np.repeat(range(6), [1, 2, 3, 4, 5, 6]), np.repeat([1, -1, 1, -1, 1, -1], [1, 2, 3, 4, 5, 6]))
    )
    assert stuck.free == 0.0
    assert stuck.labellings == 0.0


def test_p_inside_unequal_units_is_uniform_without_an_effect():
    """Units differ in their share of the concept and in level, which is what a flip of whole units could not handle."""
    rng = np.random.default_rng(4)
    p = []
    for _ in range(300):
        sizes = rng.integers(1, 5, size=(10, 2))
        unit = np.repeat(np.arange(10), sizes.sum(axis=1))
        label = np.concatenate([[1] * a + [-1] * b for a, b in sizes])
        share = sizes[:, 0] / sizes.sum(axis=1)
        scores = 3.0 * share[unit] + rng.standard_normal(len(unit))
        d = design(unit, label)
        null = np.asarray(d.auroc(scores, exchanged_labels(d, 99, rng)))
        p.append(add_one_p(float(d.auroc(scores)), null))
    assert 0.02 < np.mean(np.array(p) <= 0.05) < 0.09


def test_every_labelling_inside_a_unit_is_as_likely():
    drawn = exchanged_labels(TRIPLES, 9000, np.random.default_rng(1))
    keys = [tuple(row) for row in drawn]
    for a, b in itertools.product(range(3), repeat=2):
        wanted = [-1] * 6
        wanted[a] = wanted[3 + b] = 1
        assert keys.count(tuple(wanted)) / 9000 == pytest.approx(1 / 9, abs=4 * math.sqrt(1 / 9 * 8 / 9 / 9000))
