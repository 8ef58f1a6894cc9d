"""Groups become folds: a test row shares nothing with training, the crossed group is found, and coarse groups are refused."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptprobe.errors import UsageError
from conceptprobe.pipeline.blocks import Blocks, blocks_of, design_of_blocks
from conceptprobe.stats.design import Design


def terms_in_templates(pairs: int = 8, templates: int = 6):
    """label, {template, term, pair}: each term in every template."""
    rows = [(y, f"t{t}", f"w{p}/{y}", f"p{p}") for p in range(pairs) for y in (1, -1) for t in range(templates)]
    label = np.array([r[0] for r in rows])
    return label, {name: [r[i] for r in rows] for i, name in enumerate(("template", "term", "pair"), start=1)}


def design(label: np.ndarray, blocks: Blocks, seed: int = 0) -> Design:
    return design_of_blocks(label, blocks, np.random.default_rng(seed))


def assert_nothing_shared(d: Design, groups, crossed: str) -> None:
    for cell in d.cells:
        train, test = d.train_rows(cell), d.test_rows(cell)
        assert test.any()
        assert len(set(d.label[d.item[train]])) == 2
        for name, column in groups.items():
            values = np.array(column)
            assert not set(values[train]) & set(values[test]), name
    tested = sum(d.test_rows(cell).astype(int) for cell in d.cells)
    assert np.all(tested == 1)


@pytest.mark.parametrize("order", list(permutations(["template", "term"])))
def test_templates_are_crossed_and_terms_are_units_in_any_order(order):
    label, columns = terms_in_templates()
    blocks = blocks_of(label, {name: columns[name] for name in order})
    assert blocks.crossed == "template"
    assert blocks.unit_columns == ("term",)
    assert len(set(blocks.item)) == 16
    d = design(label, blocks)
    assert d.template_folds == 3
    assert_nothing_shared(d, {name: columns[name] for name in order}, "template")


def test_the_crossed_group_is_found_by_what_it_is_and_not_by_its_name():
    label, columns = terms_in_templates()
    blocks = blocks_of(label, {"a": columns["term"], "b": columns["template"]})
    assert blocks.crossed == "b"


def test_pairs_become_units_with_both_classes_and_are_compared_over_all_folds():
    label, columns = terms_in_templates()
    groups = {"template": columns["template"], "term": columns["term"]}
    blocks = blocks_of(label, groups, pair={"pair": columns["pair"]})
    d = design(label, blocks)
    assert d.pooled
    assert d.units_per_class == (8, 8)
    assert_nothing_shared(d, columns, "template")


def test_nested_groups_are_all_units():
    """Sentences of an author, each author in one school: components, nothing is crossed."""
    rows = [(s, a) for s in range(12) for a in range(3)]
    groups = {
        "school": [f"s{s}" for s, _ in rows for _ in range(4)],
        "author": [f"a{s}.{a}" for s, a in rows for _ in range(4)],
    }
    label = np.where(np.arange(len(groups["school"])) % 2 == 0, 1, -1)
    blocks = blocks_of(label, groups)
    assert not blocks.crossed
    assert len(set(blocks.unit)) == 12
    assert_nothing_shared(design(label, blocks), groups, "")


def test_a_property_of_the_label_is_never_averaged_over():
    """Few terms, many templates: templates would give more units, but the label belongs to the terms."""
    label, columns = terms_in_templates(pairs=5, templates=30)
    blocks = blocks_of(label, {"term": columns["term"], "template": columns["template"]})
    assert blocks.crossed == "template"
    assert len(set(blocks.unit)) == 10


def test_two_groups_that_could_both_be_crossed_are_asked_about():
    rows = [(s, q, (s + q) % 2) for s, q in product(range(10), range(10))]
    groups = {"subject": [f"s{s}" for s, *_ in rows], "question": [f"q{q}" for _, q, _ in rows]}
    label = np.array([1 if y else -1 for *_, y in rows])
    with pytest.raises(UsageError, match="'question' and 'subject' are crossed"):
        blocks_of(label, groups)
    chosen = blocks_of(label, groups, crossed="question")
    assert chosen.crossed == "question"
    assert chosen.unit_columns == ("subject",)
    assert_nothing_shared(design(label, chosen), groups, "question")
    with pytest.raises(UsageError, match="linked by 'subject', 'question', the rows form 1 unit"):
        blocks_of(label, groups, crossed="none")
    named = blocks_of(label, {"template": groups["question"], "subject": groups["subject"]})
    assert named.crossed == "template"


def test_items_are_averaged_and_must_have_one_label():
    label, columns = terms_in_templates()
    blocks = blocks_of(label, {"template": columns["template"]}, item={"term": columns["term"]})
    assert blocks.crossed == "template"
    assert list(blocks.item) == columns["term"]
    with pytest.raises(UsageError, match="item 'p0' of column 'pair' has both labels"):
        blocks_of(label, {"template": columns["template"]}, item={"pair": columns["pair"]})


def test_rows_of_units_of_one_class_are_averaged():
    """Units of unequal size could not exchange their labels row by row."""
    sizes = np.arange(1, 21)
    unit = np.repeat([f"u{i}" for i in range(20)], sizes)
    label = np.repeat(np.where(np.arange(20) % 2 == 0, 1, -1), sizes)
    blocks = blocks_of(label, {"patient": list(unit)})
    d = design(label, blocks)
    assert d.n_items == 20
    assert not d.pooled


def test_without_groups_every_row_is_a_unit():
    label = np.repeat([1, -1], [30, 12])
    d = design(label, blocks_of(label, {}))
    assert d.n_items == len(np.unique(d.unit)) == 42
    assert not d.pooled
    assert all(len(set(d.label[d.fold == f])) == 2 for f in range(5))


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ({"g": ["a"] * 40}, "group 'g' contains everything"),
        ({"g": ["a", "b", "c", "d"] * 10}, "by 'g', the rows form 4 units: 2 with the concept, 2 with controls"),
        ({"g": ["a", "b"] * 20, "h": [f"h{i}" for i in range(40)]}, "linked by 'g', 'h', the rows form 2 units"),
    ],
)
def test_groups_too_coarse_to_be_held_out_are_refused(groups, words):
    label = np.tile([1, -1], 20)
    with pytest.raises(UsageError, match=words):
        blocks_of(label, groups)


def test_the_hint_names_the_group_that_ties_all_together():
    label = np.tile([1, -1], 20)
    with pytest.raises(UsageError) as raised:
        blocks_of(label, {"g": ["a", "b"] * 20, "h": [f"h{i}" for i in range(40)]})
    assert "without 'g' there would be 40 units" in raised.value.hint


def test_too_few_rows_and_a_crossed_group_of_two_levels_are_refused():
    with pytest.raises(UsageError, match="9 rows are too few"):
        blocks_of(np.array([1, -1, 1, -1, 1, -1, 1, -1, 1]), {})
    label, columns = terms_in_templates(templates=2)
    with pytest.raises(UsageError, match="'template' is crossed with the others and has 2 levels"):
        blocks_of(label, {"term": columns["term"], "template": columns["template"]})
    with pytest.raises(UsageError, match="not among the groups"):
        blocks_of(label, {"term": columns["term"]}, crossed="template")
    with pytest.raises(UsageError, match="no other group"):
        blocks_of(label, {"term": columns["term"]}, crossed="term")


def test_labels_that_cannot_be_exchanged_are_refused():
    """Mixtures of one-class units, all of different sizes: items named by hand, so nothing is averaged."""
    sizes = np.arange(1, 13)
    unit = np.repeat([f"u{i}" for i in range(12)], sizes)
    label = np.repeat(np.tile([1, -1], 6), sizes)
    blocks = blocks_of(label, {"u": list(unit)}, item={"row": [f"r{i}" for i in range(len(unit))]})
    with pytest.raises(UsageError, match="labels cannot be exchanged"):
        design(label, blocks)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_test_row_shares_a_group_with_training_whatever_the_groups(data):
    n = data.draw(st.integers(30, 90))
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    label = np.where(rng.random(n) < 0.5, 1, -1)
    levels = data.draw(st.lists(st.integers(2, 60), min_size=0, max_size=3))
    groups = {f"g{i}": [f"{v}" for v in rng.integers(0, k, size=n)] for i, k in enumerate(levels)}
    pair = {"pair": [f"{i // 2}" for i in range(n)]} if data.draw(st.booleans()) else None
    crossed = data.draw(st.sampled_from(["", "none", *groups]))
    try:
        blocks = blocks_of(label, groups, pair=pair, crossed=crossed)
        d = design(label, blocks)
    except UsageError:
        return
    assert_nothing_shared(d, {**groups, **(pair or {})}, blocks.crossed)
