"""What two planted models share beyond word statistics: only what the statistics do not tell is left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from conceptprobe.alignment.partial_rsa import partial_rsa, partial_rsa_leave_one_out, unique_and_common
from conceptprobe.calibration.stimuli import pool
from conceptprobe.calibration.text import info, planted_context, rotation
from conceptprobe.evidence.beyond_shared import LEAST_TERMS, PARTIAL, TRANSFER, UNIQUE, Distances, beyond_shared
from conceptprobe.evidence.carry import Carry, Side
from conceptprobe.evidence.context import Subject
from conceptprobe.evidence.pool_words import RULER, PoolWords
from conceptprobe.evidence.transferred import Between, Exchanges, transfer
from conceptprobe.evidence.word_statistics import GROUPS, PENALTIES, WordStatistics, explained

POOL, POSITIVES = 240, 20
PART = 6
"""Directions of what texts tell, of what token tables tell and of what neither tells."""
SITE = "resid_post.0"
TOLD = np.random.default_rng(7).standard_normal((POOL + 2 * POSITIVES, PART))
"""What texts tell: the same in all worlds, so the control concepts are drawn once for most of them."""
BLUR = 0.1 * np.random.default_rng(8).standard_normal(TOLD.shape)
PROXIES = np.random.default_rng(9).standard_normal((len(TOLD), 3))


def centre(length, rng):
    """A direction that the concept's words lie along."""
    out = np.zeros((len(TOLD), PART))
    direction = rng.standard_normal(PART)
    out[POOL : POOL + POSITIVES] = length * direction / np.linalg.norm(direction)
    return out


def world(rng, *, told=0.0, tokens=0.0, beyond=0.0, twins_too=0.0, concept_in="told", unknown=0):
    """Two models, two twins each. told, tokens, beyond: what both see of what texts tell, of B's token table, of neither.

    twins_too: of something more that everybody sees, twins included. concept_in: where the concept's words have a centre.
    """
    parts = {name: rng.standard_normal(TOLD.shape) for name in ("tokens", "beyond", "twins_too")} | {
        "told": TOLD.copy()
    }
    parts[concept_in] = parts[concept_in] + centre(4.0, rng)
    ruler = parts["told"] + BLUR
    ruler[POOL : POOL + unknown] = 0.0
    stored = {}

    def store(model, site, x):
        for name, rows in (("background", x[:POOL]), ("terms_in_pool", x[POOL:])):
            stored[model, name, site, "concept_span"] = rows

    store(RULER, "embed", ruler)
    store(RULER, "proxies", PROXIES)
    subjects = []
    for name in ("one", "other"):
        sites = ("embed", SITE)
        twins = tuple(Subject(info(f"random:{name}#{i}", "twin", "text"), sites) for i in range(2))
        subjects.append(Subject(info(name, "trained", "text"), sites, twins))
        for subject in (subjects[-1], *twins):
            trained = subject.info.kind == "trained"
            seen = {
                "told": told * trained,
                "tokens": tokens * trained,
                "beyond": beyond * trained,
                "twins_too": twins_too,
            }
            latent = np.hstack([share * parts[part] for part, share in seen.items()])
            width = latent.shape[1]
            store(subject.name, SITE, latent @ rotation(width, rng) + rng.standard_normal(latent.shape))
            table = parts["tokens"] if subject.name == "other" else rng.standard_normal(TOLD.shape)
            store(subject.name, "embed", table @ rotation(PART, rng) + 0.1 * rng.standard_normal(TOLD.shape))
    sets = pool(POOL, POSITIVES, rng, [str(i % 4) for i in range(POOL)])
    return planted_context(sets, tuple(subjects), stored, seed=int(rng.integers(2**31)))


def between(run):
    a, b = run.subjects
    return Between(Side(a, SITE), Side(b, SITE), True, "")


def rows_of(run, draws=99):
    carry, pair = Carry(PoolWords(run)), between(run)
    found = transfer(carry, pair, Exchanges(carry, draws), draws)
    return {row.metric: row for row in beyond_shared(carry, pair, found, draws)}, found, carry


@pytest.mark.parametrize("where", ["told", "tokens"])
def test_what_word_statistics_tell_is_not_shared_beyond_them(rng, where):
    """The co-occurrence vectors know it, or the token table of one model. Means of four worlds, of which each has its luck."""
    raw, left, p = [], [], []
    for _ in range(4):
        rows, found, carry = rows_of(world(rng, **{where: 1.5}, concept_in=where), draws=19)
        compared = Distances(carry, between(carry.words.run), WordStatistics(carry.words, ()))
        raw.append((found.auroc - 0.5, partial_rsa(*compared.of_pair(compared.between), [])))
        left.append((rows[TRANSFER].estimate - 0.5, rows[PARTIAL].estimate))
        p.append(rows[TRANSFER].p)
        assert rows[UNIQUE].estimate < 0.04
    assert np.mean(raw, axis=0) == pytest.approx([0.45, 0.65], abs=0.06)
    # Regressions on 192 words and on ranks leave a little; the module's docstring says how much.
    assert (np.abs(np.mean(left, axis=0)) < [0.13, 0.2]).all()
    assert np.median(p) > 0.1


def test_what_word_statistics_do_not_tell_is_still_there(rng):
    rows, found, _ = rows_of(world(rng, told=0.7, beyond=1.5, concept_in="beyond"))
    assert found.auroc > 0.85
    assert rows[PARTIAL].ci_low > 0.1
    assert rows[UNIQUE].ci_low > 0.02
    assert rows[TRANSFER].estimate > 0.85
    assert rows[TRANSFER].ci_low > 0
    for row in rows.values():
        assert row.p == pytest.approx(0.01)
        assert row.null_q95 < row.estimate
        assert (row.verdict, row.headline, row.question) == ("detail", False, "shared")
        assert (row.model_a, row.model_b, row.site_b) == ("one", "other", SITE)
    assert "left (" in rows[TRANSFER].note


def test_what_twins_share_as_well_is_the_reference(rng):
    rows, _, _ = rows_of(world(rng, twins_too=1.5, concept_in="twins_too"))
    for metric in (PARTIAL, UNIQUE, TRANSFER):
        row = rows[metric]
        assert row.p < 0.05, metric
        assert "twins of" in row.reference_kind, metric
        assert abs(row.effect) < 0.12, metric
        assert row.ci_low < 0 < row.ci_high, metric


def test_nothing_shared_is_called_at_its_level(rng):
    found, whole = [], rows_of(world(rng, concept_in="beyond"), draws=9)[1]  # only a ratio in a note is made of it
    for _ in range(12):
        run = world(rng, concept_in="beyond")
        answer = beyond_shared(Carry(PoolWords(run)), between(run), whole, 39)
        found.append({row.metric: row for row in answer})
    for metric in (PARTIAL, TRANSFER):
        p = np.array([rows[metric].p for rows in found])
        assert (p <= 0.05).sum() <= 2, metric
        assert p.mean() > 0.35, metric
    # The p of a transfer is the largest of three; its estimate has no such excuse.
    assert np.mean([rows[TRANSFER].estimate for rows in found]) == pytest.approx(0.5, abs=0.04)
    assert np.mean([rows[PARTIAL].estimate for rows in found]) == pytest.approx(0.0, abs=0.03)


def explicit(features, x, seen, held):
    """Ridge regression of each column by the normal equations, its penalty by generalised cross-validation."""
    z, y = features[seen], x[seen]
    mean, centre_of_y = z.mean(axis=0), y.mean(axis=0)
    z, y = z - mean, y - centre_of_y
    unit = (z**2).sum() / len(z)
    best, out = np.full(x.shape[1], np.inf), np.zeros((len(held), x.shape[1]))
    for penalty in PENALTIES:
        solve = np.linalg.solve(z.T @ z + penalty * unit * np.eye(z.shape[1]), z.T)
        freedom = len(z) - 1 - np.trace(z @ solve)
        gcv = ((y - z @ solve @ y) ** 2).sum(axis=0) / freedom**2
        read = centre_of_y + (features[held] - mean) @ solve @ y
        out, best = np.where(gcv < best, read, out), np.minimum(gcv, best)
    return x[held] - out


def test_residuals_are_those_of_regressions_that_did_not_see_the_word(rng):
    run = world(rng, told=3.0)
    words, pair = PoolWords(run), between(run)
    statistics = WordStatistics.between(words, pair.a, pair.b)
    x = 3.0 + Carry(words).space(pair.a).rows
    left = statistics.residual(x)
    every = np.concatenate([held for _, held in statistics._maps])
    assert sorted(every) == list(range(words.n))
    assert len(statistics._maps) == GROUPS
    for fitted, held in statistics._maps:
        assert set(fitted.kept) == set(range(words.ground)) - set(held)
        np.testing.assert_allclose(left[held], explicit(statistics.features.rows, x, fitted.kept, held), atol=1e-6)
    # Of 4 * PART standardised columns as noisy as each other, PART directions of nine times the noise's variance are told.
    assert 0.55 < explained(x, left, words.ground) < 9 * PART / (9 * PART + 4 * PART) + 0.03


def test_a_word_has_no_say_in_what_is_taken_off_it(rng):
    run = world(rng, told=1.0)
    words, pair = PoolWords(run), between(run)
    statistics = WordStatistics.between(words, pair.a, pair.b)
    x = Carry(words).space(pair.a).rows
    for word in (3, POOL + 1):
        moved = x.copy()
        moved[word] += 50.0
        np.testing.assert_allclose(statistics.residual(moved)[word], statistics.residual(x)[word] + 50.0, atol=1e-9)


def test_features_weigh_every_kind_alike(rng):
    run = world(rng)
    words, pair = PoolWords(run), between(run)
    statistics = WordStatistics.between(words, pair.a, pair.b)
    kinds = [s.name for s in statistics.learnt]
    assert kinds[:3] == ["co-occurrence", "static embeddings of one", "static embeddings of other"]
    rows = statistics.features.rows[:POOL]
    assert (rows**2).sum() / POOL == pytest.approx(len(kinds))
    np.testing.assert_allclose(rows.mean(axis=0), 0.0, atol=1e-9)


def test_the_site_that_is_compared_is_never_taken_off(rng):
    run = world(rng)
    words, (a, b) = PoolWords(run), run.subjects
    ruler = Subject(info(RULER, "static", "text"), ("embed",))
    assert WordStatistics.between(words, Side(a, "embed"), Side(b, SITE)).embedded == (b,)
    beside = WordStatistics.between(words, Side(a, SITE), Side(ruler, "embed"))
    assert beside.embedded == (a,)
    assert not beside.cooccurrence
    assert "co-occurrence" not in [s.name for s in beside.all]


def test_rows_are_the_instruments_own_numbers(rng):
    run = world(rng, told=1.0, beyond=1.0)
    rows, _, carry = rows_of(run)
    compared = Distances(
        carry, between(run), WordStatistics.between(carry.words, *map(Side, run.subjects, (SITE, SITE)))
    )
    a, b = compared.of_pair(compared.between)
    value = partial_rsa(a, b, compared.nuisance)
    shares = [unique_and_common(*pair, compared.nuisance) for pair in ((a, b), (b, a))]
    assert rows[PARTIAL].estimate == pytest.approx(value)
    assert rows[UNIQUE].estimate == pytest.approx(np.mean([s.unique.estimate for s in shares]))
    # A unique share is a squared partial correlation times what the statistics leave.
    left = [1.0 - s.common.estimate - s.nuisance.estimate for s in shares]
    assert rows[UNIQUE].estimate == pytest.approx(value**2 * np.mean(left))
    per_twin = [
        np.mean([partial_rsa(*compared.of_pair(pair), compared.nuisance) for pair in pairs])
        for pairs in compared.twins.values()
    ]
    assert rows[PARTIAL].reference == pytest.approx(max(0.0, *per_twin))
    if max(per_twin) <= 0:
        loo = partial_rsa_leave_one_out(a, b, compared.nuisance)
        assert rows[PARTIAL].ci_low < value - 1.9 * loo.std()


def test_terms_without_co_occurrence_vectors_are_left_out_of_distances(rng):
    rows, _, _ = rows_of(world(rng, beyond=1.0, unknown=5), draws=19)
    assert rows[PARTIAL].n == 2 * POSITIVES - 5
    few, _, _ = rows_of(world(rng, beyond=1.0, unknown=2 * POSITIVES - LEAST_TERMS + 1), draws=19)
    assert set(few) == {TRANSFER}
    assert f"Only {LEAST_TERMS - 1} terms" in few[TRANSFER].note


def test_without_twins_the_reference_is_chance_or_the_control_concepts(rng):
    run = world(rng, beyond=1.5, concept_in="beyond")
    alone = replace(run, subjects=tuple(replace(s, twins=()) for s in run.subjects))
    rows, _, _ = rows_of(alone, draws=19)
    assert rows[PARTIAL].reference_kind == rows[UNIQUE].reference_kind == "chance"
    assert "twins" not in rows[TRANSFER].reference_kind


def test_what_is_left_of_a_model_is_forgotten_with_the_pair(rng):
    _, _, carry = rows_of(world(rng, concept_in="beyond"), draws=9)
    assert not any("without" in part for key in carry.words.run.memo for part in key)
