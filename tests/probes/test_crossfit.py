"""The cross-fit and its choice of site, against the same procedure written out with loops and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from conceptprobe.probes.crossfit import CrossFit, Space
from conceptprobe.probes.ridge import standardise
from conceptprobe.probes.selectivity import template_held_out_scores
from conceptprobe.stats.design import Cell, Design, make_design
from conceptprobe.stats.relabel import exchanged_labels


def planted(rng, *, units=8, templates=6, d=10, strength=(0.0, 0.8), parts=3):
    """Two spaces; the concept is in the second alone."""
    rows = [(u, label, t) for u in range(units) for label in (1, -1) for t in range(templates)]
    design = make_design(
        item=[f"{u}/{y}" for u, y, _ in rows],
        positive=[y > 0 for _, y, _ in rows],
        unit=[str(u) for u, _, _ in rows],
        template=[str(t) for *_, t in rows] if parts > 1 else None,
        folds=4,
        template_folds=parts,
        pooled=True,
        rng=rng,
    )
    direction = rng.standard_normal(d)
    terms = {(u, y): rng.standard_normal(d) for u, y, _ in rows}
    spaces = {
        f"space{i}": np.array([terms[u, y] + s * y * direction + 0.5 * rng.standard_normal(d) for u, y, _ in rows])
        for i, s in enumerate(strength)
    }
    return design, spaces


def read_by_hand(design: Design, x: np.ndarray, labels: np.ndarray, avoid: list[Cell], test: Cell) -> dict[int, float]:
    """Item means of scikit-learn ridge scores in one cell, centred over its rows' items."""
    train = np.flatnonzero(design.train_rows(*avoid))
    rows = np.flatnonzero(design.test_rows(test))
    z_train, z_test = standardise(x[train], x[rows])
    model = Ridge(alpha=np.trace(z_train @ z_train.T) / len(train)).fit(
        z_train, labels[design.item[train]].astype(float)
    )
    scores = model.predict(z_test)
    items = {int(i): float(scores[design.item[rows] == i].mean()) for i in np.unique(design.item[rows])}
    centre = np.mean(list(items.values()))
    return {i: s - centre for i, s in items.items()}


def select_by_hand(design: Design, spaces: dict[str, np.ndarray], labels: np.ndarray) -> np.ndarray:
    """Nested choice of the space with explicit loops."""
    share = np.zeros((design.template_folds, design.n_items))
    np.add.at(share, (design.template_fold, design.item), 1.0)
    share /= share.sum(axis=0)
    scores = np.zeros(design.n_items)
    for outer in design.cells:
        keep = design.fold != outer.fold
        best, best_auroc = "", -1.0
        for name, x in spaces.items():
            inner = np.zeros(design.n_items)
            for cell in design.inner_cells(outer):
                for item, score in read_by_hand(design, x, labels, [outer, cell], cell).items():
                    inner[item] += share[cell.template_fold, item] * score
            value = float(design.auroc(inner, labels, keep))
            if value > best_auroc + 1e-12:
                best, best_auroc = name, value
        for item, score in read_by_hand(design, spaces[best], labels, [outer], outer).items():
            scores[item] += share[outer.template_fold, item] * score
    return scores


@pytest.mark.parametrize("parts", [3, 1])
def test_nested_choice_equals_the_same_with_loops_for_observed_and_drawn_labels(rng, parts):
    design, spaces = planted(rng, parts=parts)
    labels = np.vstack([design.label, exchanged_labels(design, 3, rng)])
    fit = CrossFit(design, labels)
    for name, x in spaces.items():
        fit.add(name, Space(x))
    selection = fit.select(list(spaces))
    for draw in range(len(labels)):
        np.testing.assert_allclose(selection.scores[draw], select_by_hand(design, spaces, labels[draw]), atol=1e-8)


def test_the_space_that_holds_the_concept_is_chosen_and_found(rng):
    design, spaces = planted(rng, units=16, strength=(0.0, 1.5))
    labels = np.vstack([design.label, exchanged_labels(design, 199, rng)])
    fit = CrossFit(design, labels)
    for name, x in spaces.items():
        fit.add(name, Space(x))
    selection = fit.select(["space0", "space1"])
    assert selection.most_chosen == "space1"
    assert selection.auroc[0] > 0.95
    assert selection.auroc[0] > selection.auroc[1:].max()
    assert fit.alone("space0").auroc[0] < 0.85


def test_choosing_among_many_empty_sites_gains_nothing():
    """The best of 12 noise sites picked on all data would look good; picked on inner folds it is at chance."""
    rng = np.random.default_rng(8)
    nested, peeked = [], []
    for _ in range(25):
        design, spaces = planted(rng, units=8, templates=3, strength=(0.0,) * 12)
        fit = CrossFit(design, design.label[None])
        for name, x in spaces.items():
            fit.add(name, Space(x))
        nested.append(float(fit.select(list(spaces)).auroc[0]))
        peeked.append(max(float(fit.alone(name).auroc[0]) for name in spaces))
    assert abs(np.mean(nested) - 0.5) < 0.08
    assert np.mean(peeked) > np.mean(nested) + 0.08


def test_wide_counts_keep_their_inner_products(rng):
    design, _ = planted(rng)
    counts = rng.poisson(0.3, (len(design.item), 500)).astype(float)
    wide, narrow = CrossFit(design, design.label[None]), CrossFit(design, design.label[None])
    wide.add("x", Space(counts, standardised=False))
    narrow.add("x", Space(np.hstack([counts, np.zeros((len(counts), 50))]), standardised=False))
    np.testing.assert_allclose(wide.alone("x").scores, narrow.alone("x").scores, atol=1e-8)


def test_at_and_composite_read_the_space_they_are_told(rng):
    design, spaces = planted(rng, units=12, strength=(0.0, 1.5))
    fit = CrossFit(design, design.label[None])
    for name, x in spaces.items():
        fit.add(name, Space(x))
    chosen = fit.select(["space0", "space1"])
    np.testing.assert_array_equal(fit.at(chosen.chosen).scores, chosen.scores)
    shape = np.shape(chosen.chosen)
    composite = fit.composite({"a": [["space0"] * shape[1]] * shape[0], "b": [["space1"] * shape[1]] * shape[0]})
    assert composite.most_chosen == "b"


def test_selectivity_control_learns_by_heart_what_a_term_is(rng):
    """Terms far apart and templates that add little: random labels are read as well as real ones."""
    design, spaces = planted(rng, units=10, d=40, strength=(0.0,))
    labels = np.vstack([design.label, exchanged_labels(design, 20, rng)])
    scores = template_held_out_scores(spaces["space0"], design, labels)
    assert design.auroc(scores, labels).min() > 0.95
