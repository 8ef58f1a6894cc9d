"""Planted truth through the questions themselves: a null is not supported, an effect is found, words alone never count."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from scipy.stats import binomtest

from conceptprobe import registry
from conceptprobe.evidence.context import Settings
from evidence.planted import Planted, planted_run

REPLICATIONS = 200


def verdicts(job: tuple[str, Planted, int]) -> tuple[str, float, float]:
    """(verdict, p, effect) of the headline row of one planted run."""
    from threadpoolctl import threadpool_limits

    question, truth, seed = job
    run = planted_run(truth, seed)
    run = type(run)(**{**vars(run), "settings": Settings(seed=seed, details=False), "memo": {}})
    with threadpool_limits(1):
        (row,) = [f for f in registry.get("question", question)(run).findings if f.headline]
    return row.verdict, row.p, row.effect


def replicate(question: str, truth: Planted, count: int) -> list[tuple[str, float, float]]:
    jobs = [(question, truth, seed) for seed in range(count)]
    # Fresh interpreters find this module through the same search path.
    with ProcessPoolExecutor(2, get_context("spawn"), initializer=sys.path.extend, initargs=(sys.path,)) as pool:
        return list(pool.map(verdicts, jobs, chunksize=5))


@pytest.mark.slow
@pytest.mark.parametrize("question", ["encoded", "beyond_words"])
def test_no_effect_is_supported_in_at_most_five_percent(question):
    results = replicate(question, Planted(), REPLICATIONS)
    supported = sum(verdict == "supported" for verdict, _, _ in results)
    assert binomtest(supported, REPLICATIONS).proportion_ci(0.95).low <= 0.05
    assert supported / REPLICATIONS <= 0.05
    # The p behind the verdict is valid by itself, too: at most 5% below 0.05, as far as 200 runs can tell.
    small = sum(p <= 0.05 for _, p, _ in results)
    assert binomtest(small, REPLICATIONS, 0.05, alternative="greater").pvalue > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("question", ["encoded", "beyond_words"])
def test_a_strong_effect_is_found(question):
    results = replicate(question, Planted(encoded=1.5, senses=1.5), 20)
    assert sum(verdict == "supported" for verdict, _, _ in results) >= 19


@pytest.mark.slow
def test_what_the_bag_of_words_holds_is_never_called_beyond_words():
    """The model reads the senses perfectly, and so do static vectors: no composition is needed."""
    results = replicate("beyond_words", Planted(senses=2.0, bag=2.0), 20)
    assert not any(verdict == "supported" for verdict, _, _ in results)


def test_an_effect_in_the_last_site_alone_is_read_there():
    run = planted_run(Planted(encoded=2.0), seed=5)
    (row,) = [f for f in registry.get("question", "encoded")(run).findings if f.headline]
    assert row.site_a == "resid_post.1"
    assert row.verdict == "supported"
    assert row.effect == pytest.approx(row.estimate - row.reference)
    assert row.ci_low <= row.effect <= row.ci_high


def test_every_row_has_its_reference_its_null_its_n_and_its_interval():
    run = planted_run(Planted(encoded=1.0, senses=1.0), seed=6)
    for question in ("encoded", "beyond_words"):
        answer = registry.get("question", question)(run)
        assert len([f for f in answer.findings if f.headline]) == 1
        for row in answer.findings:
            numbers = [
                row.estimate,
                row.reference,
                row.effect,
                row.ci_low,
                row.ci_high,
                row.null_mean,
                row.null_q95,
                row.p,
            ]
            assert np.all(np.isfinite(numbers)), row
            assert row.ci_low <= row.effect + 1e-12
            assert row.effect <= row.ci_high + 1e-12
            assert row.n > 0
            assert row.units > 0
            assert (row.verdict == "detail") == (not row.headline)
            assert row.p >= 1 / 1000


def test_bags_of_words_are_exactly_at_chance_on_pairs_of_one_bag():
    run = planted_run(Planted(senses=1.0), seed=7)
    rows = {f.model_a: f for f in registry.get("question", "beyond_words")(run).findings if not f.headline}
    for name in ("words:tfidf", "words:cooccurrence-mean", "static:planted-mean"):
        assert rows[name].estimate == 0.5


def test_the_same_seed_gives_the_same_findings():
    rows = [registry.get("question", "encoded")(planted_run(Planted(encoded=0.5), seed=8)).findings for _ in range(2)]
    assert repr(rows[0]) == repr(rows[1])
