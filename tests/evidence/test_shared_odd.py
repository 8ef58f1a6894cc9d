"""Question 3 where a pool or its words cannot carry it: a reason in place of a verdict, never a crash."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from conceptprobe.calibration.spaces import SharedWorld
from conceptprobe.evidence.context import RunContext
from conceptprobe.evidence.pool_words import RULER
from conceptprobe.evidence.shared import shared


def context(world: SharedWorld, details: bool = True) -> RunContext:
    run = world.run(("shared",), "odd", seed=0)
    return replace(run, settings=replace(run.settings, details=details, permutations=99))


def headline(run: RunContext):
    (row,) = [f for f in shared(run).findings if f.headline]
    return row


def test_words_that_no_statistics_know_make_no_control_concepts():
    """As in a pool of another language than the word vectors."""
    run = context(SharedWorld(meaning=2.0))

    def read(model, name, site, pooling):
        x = run.read(model, name, site, pooling)
        return np.zeros_like(x) if model == RULER else x

    row = headline(replace(run, read=read))
    assert row.verdict == "inconclusive"
    assert "0 of 99 matched control concepts" in row.note
    assert row.estimate > 0.6


def test_a_pool_too_small_for_control_concepts_says_how_many_there_are():
    row = headline(context(SharedWorld(meaning=2.0, words=70)))
    assert row.verdict == "inconclusive"
    assert "of 99 matched control concepts could be drawn" in row.note


def test_a_pool_smaller_than_what_a_map_leaves_out():
    answer = shared(context(SharedWorld(meaning=2.0, words=45)))
    assert not [f for f in answer.findings if f.headline]
    assert "45 words" in answer.not_asked


def test_too_few_terms_are_not_asked():
    answer = shared(context(SharedWorld(meaning=2.0, positives=9)))
    assert not answer.findings
    assert "fewer than 10 independent pairs" in answer.not_asked


def test_one_model_alone_has_no_pair():
    run = context(SharedWorld())
    answer = shared(replace(run, subjects=run.subjects[:1]))
    assert not answer.findings
    assert "two trained models" in answer.not_asked
