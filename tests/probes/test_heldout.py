"""Held-out scores where each draw chose its own space: the choice of CrossFit, and a loop over draws."""

from __future__ import annotations

import numpy as np
import pytest

from conceptprobe.probes.crossfit import CrossFit, Space
from conceptprobe.probes.heldout import choice_of, held_out_scores, scores_per_draw
from conceptprobe.probes.logistic import LogisticProbe
from conceptprobe.probes.ridge import RidgeProbe
from conceptprobe.stats.design import make_design
from conceptprobe.stats.relabel import exchanged_labels

DRAWS = 12


@pytest.fixture
def fitted(rng):
    rows = [(u, y, t) for u in range(8) for y in (1, 0) for t in range(6)]
    design = make_design(
        item=[f"{u}/{y}" for u, y, _ in rows],
        positive=[y for _, y, _ in rows],
        unit=[str(u) for u, _, _ in rows],
        template=[str(t) for *_, t in rows],
        folds=4,
        template_folds=3,
        pooled=True,
        rng=rng,
    )
    terms = {(u, y): rng.standard_normal((3, 5)) for u, y, _ in rows}
    x = np.array([terms[u, y] + 0.5 * rng.standard_normal((3, 5)) for u, y, _ in rows])
    spaces = {f"s{i}": x[:, i] for i in range(3)}
    labels = np.vstack([design.label, exchanged_labels(design, DRAWS, rng)])
    crossfit = CrossFit(design, labels)
    for name, rows_ in spaces.items():
        crossfit.add(name, Space(rows_))
    return design, spaces, labels, crossfit


def test_the_choice_is_that_of_select(fitted):
    _, spaces, _, crossfit = fitted
    choice = choice_of(crossfit, tuple(spaces))
    names = list(spaces)
    chosen = crossfit.select(names).chosen
    assert [[names[i] for i in row] for row in choice[:, :, 0]] == [list(row) for row in chosen]
    assert len(np.unique(choice)) > 1
    assert not choice_of(crossfit, ("s1",)).any()


def test_ridge_read_in_the_chosen_spaces_is_the_selection_itself(fitted):
    design, spaces, labels, crossfit = fitted
    scores = scores_per_draw(RidgeProbe(), spaces, choice_of(crossfit, tuple(spaces)), design, labels)
    np.testing.assert_allclose(scores, crossfit.select(list(spaces)).scores, atol=1e-8)


def test_each_draw_is_what_it_would_be_alone(fitted):
    design, spaces, labels, crossfit = fitted
    choice = choice_of(crossfit, tuple(spaces))
    together = scores_per_draw(LogisticProbe(), spaces, choice, design, labels)
    names = list(spaces)
    for draw in range(DRAWS + 1):
        chosen = [[names[i] for i in row] for row in choice[:, :, draw]]
        # the observed labelling decides nothing here: a draw stands alone
        alone = held_out_scores(LogisticProbe(), spaces, chosen, design, labels[draw][None])[0]
        np.testing.assert_allclose(together[draw], alone, atol=1e-4)


def test_fewer_draws_are_the_first_ones(fitted):
    design, spaces, labels, crossfit = fitted
    choice = choice_of(crossfit, tuple(spaces))
    whole = scores_per_draw(RidgeProbe(), spaces, choice, design, labels)
    few = scores_per_draw(RidgeProbe(), spaces, choice, design, labels[:4])
    np.testing.assert_allclose(few, whole[:4], atol=1e-10)
