"""Planted truth through the questions themselves: an effect is found where it is, words alone never count.

How often verdicts are wrong, and intervals miss, is what `conceptprobe calibrate` tells (tests/calibration).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from conceptprobe import registry
from conceptprobe.calibration.text import SITES, TextWorld
from conceptprobe.evidence.context import RunContext

QUESTIONS = ("encoded", "beyond_words")


def planted(world: TextWorld, seed: int, *, details: bool = False) -> RunContext:
    return world.run(QUESTIONS, "planted", seed=seed, details=details)


def headline(question: str, run: RunContext):
    (row,) = [f for f in registry.get("question", question)(run).findings if f.headline]
    return row


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_strong_effect_is_found(question):
    verdicts = [headline(question, planted(TextWorld(concept=2.0), seed)).verdict for seed in range(10)]
    assert verdicts.count("supported") >= 9


def test_what_the_words_hold_is_never_called_beyond_words():
    """The model reads the senses well, and so do static vectors: no composition is needed."""
    world = TextWorld(word=2.0, word_gap=2.0, two_forms=True)
    rows = [headline("beyond_words", planted(world, seed)) for seed in range(10)]
    assert np.mean([row.estimate for row in rows]) > 0.8
    assert not any(row.verdict == "supported" for row in rows)


def test_an_effect_in_the_last_site_alone_is_read_there():
    row = headline("encoded", planted(TextWorld(concept=2.0, concept_sites=SITES[-1:]), 5))
    assert row.site_a == SITES[-1]
    assert row.verdict == "supported"
    assert row.effect == pytest.approx(row.estimate - row.reference)
    assert row.ci_low <= row.effect <= row.ci_high


def test_every_row_has_its_reference_its_null_its_n_and_its_interval():
    run = planted(TextWorld(concept=1.0, units=12), 6, details=True)
    for question in QUESTIONS:
        answer = registry.get("question", question)(run)
        assert len([f for f in answer.findings if f.headline]) == 1
        assert len(answer.findings) > 5
        for row in answer.findings:
            numbers = [row.estimate, row.reference, row.effect, row.ci_low, row.ci_high, row.null_mean]
            assert np.all(np.isfinite([*numbers, row.null_q95, row.p])), row
            assert row.ci_low <= row.effect + 1e-12
            assert row.effect <= row.ci_high + 1e-12
            assert row.n > 0
            assert row.units > 0
            assert (row.verdict == "detail") == (not row.headline)
            assert row.p >= 1 / 1000


def test_bags_of_words_are_exactly_at_chance_on_pairs_of_one_bag():
    run = planted(TextWorld(concept=1.0, units=12), 7, details=True)
    rows = {f.model_a: f for f in registry.get("question", "beyond_words")(run).findings if not f.headline}
    for name in ("words:tfidf", "words:cooccurrence-mean", "static:planted-mean"):
        assert rows[name].estimate == 0.5


def test_the_same_seed_gives_the_same_findings():
    rows = [headline("encoded", planted(TextWorld(concept=0.5), 8)) for _ in range(2)]
    assert repr(rows[0]) == repr(rows[1])
    other = headline("encoded", planted(replace(TextWorld(), concept=0.5), 9))
    assert other.estimate != rows[0].estimate or other.p != rows[0].p
