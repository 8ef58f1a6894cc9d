"""The truth is measured apart from the machinery: against scikit-learn, against what is known by construction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from conceptprobe.calibration.media import MediaWorld
from conceptprobe.calibration.spaces import SharedWorld
from conceptprobe.calibration.text import SITES, TextWorld
from conceptprobe.calibration.truth import _FRESH, Truth, _agreement, _begin, _read, strength_for, true_effect
from conceptprobe.evidence.shared import shared
from conceptprobe.probes.crossfit import Space


def test_a_world_with_nothing_in_it_has_no_effect():
    for world, question in (
        (TextWorld(), "encoded"),
        (TextWorld(), "beyond_words"),
        (TextWorld(opposite=2.0), "beyond_words"),
        (MediaWorld(), "crossmodal"),
    ):
        truth = true_effect(world, question, 0, 20)
        assert abs(truth.effect) < 4 * truth.error
        assert 0 < truth.error < 0.03


def test_fresh_units_are_read_as_scikit_learn_reads_them():
    """One site, one training: ridge on standardised rows of other pairs, AUROC within blocks as large as a fold."""
    world = TextWorld(concept=0.8)
    rows = _begin(world, "beyond_words", 0, 0)
    x = rows.run.read("planted", "same_words", SITES[-1], "concept_span").astype(np.float64)
    train = rows.at.unit < rows.at.training
    scale = StandardScaler().fit(x[train])
    z = scale.transform(x)
    penalty = np.mean(np.sum(z[train] ** 2, axis=1))
    scores = Ridge(alpha=penalty).fit(z[train], rows.at.label[train]).predict(z)
    blocks = (rows.at.unit - rows.at.training) // (world.units // 5)
    found = [
        roc_auc_score(rows.at.label[pick] > 0, scores[pick])
        for b in range(_FRESH * 5)
        if (pick := ~train & (blocks == b)).any()
    ]
    assert rows.fresh_auroc({"x": Space(x)}) == pytest.approx(np.mean(found), abs=1e-9)


def test_the_site_is_chosen_on_the_training_units():
    """A strong direction at one site is found there, and what fresh units say plays no part."""
    only = TextWorld(concept=2.0, concept_sites=SITES[-1:])
    values = [_read(only, "encoded", 0, i)["model"] for i in range(5)]
    assert min(values) > 0.9


@pytest.mark.parametrize(("question", "effect"), [("encoded", 0.2), ("beyond_words", 0.2)])
def test_the_strength_found_has_the_effect_it_was_sought_for(question, effect):
    strength = strength_for(TextWorld(), question, effect, 0, 20)
    truth = true_effect(TextWorld(concept=strength), question, 1, 30)
    assert truth.effect == pytest.approx(effect, abs=0.06)


def test_what_a_baseline_reads_is_no_gain():
    """The position tells the sense to model and baseline alike; the model only adds noise."""
    truth = true_effect(TextWorld(position=1.5, earlier=0.9), "beyond_words", 0, 12)
    assert truth.effect < 0
    gain = true_effect(TextWorld(concept=1.5, position=1.5, earlier=0.6), "beyond_words", 0, 12)
    assert gain.effect > 0.1


def test_only_a_concept_that_models_share_more_than_texts_tell_has_an_effect():
    """Beyond its twins and beyond ordinary concepts: neither what all words share nor overlap of letters is one."""
    small = SharedWorld(meaning=1.0, words=160, twins=1)
    more = true_effect(replace(small, stressed=3.0), "shared", 0, 6)
    assert more.effect > 0.2
    assert more.effect > 10 * more.error
    ordinary = true_effect(small, "shared", 0, 6)
    assert abs(ordinary.effect) < 4 * ordinary.error + 0.03
    for none in (replace(small, meaning=0.0, letters=1.0, stressed=3.0), replace(small, gathered=0.0)):
        truth = true_effect(none, "shared", 0, 6)
        assert truth.effect < 4 * truth.error
        assert 0 < truth.error < 0.05


def test_agreement_is_measured_apart_from_the_question_and_is_what_the_question_estimates():
    """Reading by reading: the carried probe, the larger of the twins', and the mean of control concepts."""
    world, seed = SharedWorld(meaning=1.0, words=160, positives=12), 2
    for reading in range(3):
        score, *twins, controls = _agreement(world, seed, reading)
        (row,) = shared(world.run(("shared",), "truth", str(reading), seed=seed)).findings[:1]
        assert row.headline
        assert row.estimate == pytest.approx(score)
        assert row.reference == pytest.approx(max(0.5, controls, *twins))
        assert len(twins) == 2


def test_the_reference_is_the_largest_on_average_and_not_in_every_reading():
    """Of twins that are worse and better by turns, the best of each reading would be too high a bar."""
    world = SharedWorld(letters=1.0, words=160, positives=12)
    found = np.array([_agreement(world, 0, reading) for reading in range(5)])
    truth = true_effect(world, "shared", 0, 5)
    references = np.column_stack([np.full(5, 0.5), found[:, 1:]])
    assert truth.effect == pytest.approx(found[:, 0].mean() - references.mean(axis=0).max())
    assert truth.effect > np.mean(found[:, 0] - references.max(axis=1))


def test_what_captions_and_pictures_share_is_carried():
    one, more = (true_effect(MediaWorld(agreement=a), "crossmodal", 0, 20).effect for a in (0.5, 1.5))
    assert 0.05 < one < more <= 0.5


def test_the_same_seed_gives_the_same_truth_and_another_seed_another():
    world = replace(TextWorld(), concept=0.5)
    assert true_effect(world, "beyond_words", 3, 10) == true_effect(world, "beyond_words", 3, 10)
    assert true_effect(world, "beyond_words", 3, 10) != true_effect(world, "beyond_words", 4, 10)
    assert Truth(0.0).error == 0.0
