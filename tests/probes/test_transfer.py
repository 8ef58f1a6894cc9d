"""Transfer: what is read was not trained on, and what is chosen is chosen without it; against loops and planted truth."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from conceptprobe.probes.crossfit import Space
from conceptprobe.probes.ridge import standardise
from conceptprobe.probes.transfer import NO_FOLD, Transfer
from conceptprobe.stats.auroc import auroc
from conceptprobe.stats.design import Design, make_design
from conceptprobe.stats.relabel import exchanged_labels

D = 16


def sentences(rng: np.random.Generator, scenes: int = 20) -> Design:
    return make_design(
        item=[str(i) for i in range(2 * scenes)],
        positive=[i % 2 == 0 for i in range(2 * scenes)],
        unit=[str(i // 2) for i in range(2 * scenes)],
        template=None,
        folds=5,
        template_folds=1,
        pooled=False,
        rng=rng,
    )


def test_a_row_is_read_by_a_ridge_that_never_saw_its_fold(rng):
    design = sentences(rng)
    n = len(design.item)
    x = rng.standard_normal((n + n + 7, D))
    fold = np.concatenate([design.fold, np.full(7, NO_FOLD)])
    labels = np.vstack([design.label, exchanged_labels(design, 3, rng)])
    transfer = Transfer(design, labels, fold)
    transfer.add("x", Space(x))
    for draw in range(4):
        for f in np.unique(fold):
            train = design.fold != f
            z, z_read = standardise(x[:n][train], x[n:][fold == f])
            ridge = Ridge(alpha=np.trace(z @ z.T) / train.sum()).fit(z, labels[draw, train].astype(float))
            wanted = ridge.predict(z_read) - labels[draw, train].mean()
            np.testing.assert_allclose(transfer.scores("x")[draw, fold == f], wanted, atol=1e-9)


def test_the_labels_of_a_fold_never_reach_the_rows_of_that_fold(rng):
    """Not through the fit, and not through the choice of the space."""
    design = sentences(rng)
    n = len(design.item)
    spaces = {name: rng.standard_normal((2 * n, D)) for name in "abc"}
    held = 2
    other = design.label * np.where(design.fold == held, -1, 1)
    scores = []
    for labels in (design.label, other):
        transfer = Transfer(design, labels[None], design.fold)
        for name, x in spaces.items():
            transfer.add(name, Space(x))
        scores.append(transfer.select(list(spaces))[0][0])
    rows = design.fold == held
    np.testing.assert_allclose(scores[0][rows], scores[1][rows], atol=1e-12)
    assert not np.allclose(scores[0][~rows], scores[1][~rows])


@pytest.mark.parametrize("kin", [True, False])
def test_planted_signal_is_carried_and_its_space_chosen(rng, kin):
    design = sentences(rng)
    n, direction = len(design.item), rng.standard_normal(D) / np.sqrt(D)
    read = np.tile([1, -1], n // 2)
    signal = rng.standard_normal((2 * n, D)) + 2.5 * np.outer(np.concatenate([design.label, read]), direction)
    labels = np.vstack([design.label, exchanged_labels(design, 99, rng)])
    transfer = Transfer(design, labels, design.fold if kin else np.full(n, NO_FOLD))
    transfer.add("noise", Space(rng.standard_normal((2 * n, D))))
    transfer.add("signal", Space(signal))
    scores, chosen = transfer.select(["noise", "signal"])
    assert set(chosen) == {"signal"}
    values = auroc(scores, read)
    assert values[0] > 0.8
    assert abs(values[1:].mean() - 0.5) < 0.1
    best, name = transfer.composite({"n": ["noise"] * len(chosen), "s": ["signal"] * len(chosen)})
    assert name == "s"
    np.testing.assert_array_equal(best, scores[0])
