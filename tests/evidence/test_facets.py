"""Senses on planted spaces: shared relations are found, and neither counts, sentences nor the target alone pass for them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptprobe.alignment.senses import distances_of, facet_agreement, lay_out, whole_gram
from conceptprobe.errors import TooFewRows, UsageError
from conceptprobe.evidence.context import RunContext, Subject
from conceptprobe.evidence.facets import Facets, facets
from conceptprobe.models.base import ModelInfo
from conceptprobe.stats.auroc import Z95, average_ranks
from conceptprobe.stats.jackknife import jackknife_error
from conceptprobe.stimuli.stimulus import Stimulus, StimulusSet

COUNTS = (16, 8, 6, 5, 4)
SITE = "resid_post.0"


def layout(rng, counts=COUNTS, target=(0,), splits=4):
    """One sentence per unit, the first sense the target."""
    sense = np.repeat(np.arange(len(counts)), counts)
    return lay_out(
        [f"s{i}" for i in sense], [i in target for i in sense], [f"u{i}" for i in range(len(sense))], rng, splits
    )[0]


def spaces(rng, senses, *, alike=True, apart=1.0, target=0.0, common=1.0, own=1.0, d=20):
    """Two spaces: sense means shared or independent, `target` from the rest in both, sentence noise shared and own."""
    m, n = len(senses.target), len(senses.sense)
    geometry = rng.standard_normal((m, d))
    read = common * rng.standard_normal((n, d))
    offset = target * rng.standard_normal(d)
    out = []
    for _ in range(2):
        means = apart * (geometry if alike else rng.standard_normal((m, d))) + senses.target[:, None] * offset
        x = means[senses.sense] + read + own * rng.standard_normal((n, d))
        out.append(x @ np.linalg.qr(rng.standard_normal((d, d)))[0])
    return out[0], out[1]


def agreement(rng, senses, x, y, draws=39, **twins):
    return facet_agreement(x, y, senses, senses.orders(draws, rng), senses.turns(draws, rng), **twins)


def rejections_allowed(runs, rate=0.05):
    return rate * runs + 3.0 * math.sqrt(rate * (1 - rate) * runs)


def test_a_rotated_copy_of_the_senses_agrees(rng):
    senses = layout(rng, counts=(16, 8, 7, 6, 6, 6, 6, 6))
    x, y = spaces(rng, senses, apart=5.0)
    found = agreement(rng, senses, x, y, draws=199)
    assert found.value > 0.8
    assert found.p == pytest.approx(1 / 200)
    turned = x @ np.linalg.qr(rng.standard_normal((20, 20)))[0]
    assert agreement(rng, senses, x, turned).whole == pytest.approx(1.0)
    clean = 5.0 * rng.standard_normal((8, 20))[senses.sense]
    assert agreement(rng, senses, clean, clean @ np.linalg.qr(rng.standard_normal((20, 20)))[0]).value == pytest.approx(
        1
    )


@pytest.mark.parametrize("apart", [0.0, 0.4, 3.0])
def test_independent_geometries_are_called_in_five_percent_or_fewer(apart):
    rng = np.random.default_rng(7)
    runs, called = 110, 0
    for _ in range(runs):
        senses = layout(rng)
        x, y = spaces(rng, senses, alike=False, apart=apart)
        called += agreement(rng, senses, x, y, draws=59).p <= 0.05
    assert called <= rejections_allowed(runs)


def test_renamed_sentences_alone_would_call_strong_senses_in_relations_of_their_own():
    """Why p is the larger of two."""
    rng = np.random.default_rng(8)
    runs, called = 110, 0
    for _ in range(runs):
        senses = layout(rng)
        x, y = spaces(rng, senses, alike=False, apart=3.0)
        found = agreement(rng, senses, x, y, draws=59)
        called += (1 + np.sum(found.renamed >= found.value)) / 60 <= 0.05
    assert called > rejections_allowed(runs)


def test_the_target_against_everything_else_is_no_agreement_of_senses():
    rng = np.random.default_rng(9)
    runs, restricted, unrestricted = 60, 0, 0
    for _ in range(runs):
        senses = layout(rng)
        anyone = replace(senses, target=np.zeros_like(senses.target))
        x, y = spaces(rng, senses, alike=False, apart=0.5, target=4.0)
        restricted += agreement(rng, senses, x, y, draws=59).p <= 0.05
        free = facet_agreement(x, y, senses, anyone.orders(59, rng), anyone.turns(59, rng))
        unrestricted += (1 + np.sum(free.renamed >= free.value)) / 60 <= 0.05
        assert free.value > 0.4
    assert restricted <= rejections_allowed(runs)
    assert unrestricted > runs / 2


def test_noise_that_both_models_read_in_the_same_sentences_is_no_agreement():
    rng = np.random.default_rng(10)
    found = []
    for _ in range(80):
        senses = layout(rng)
        x, y = spaces(rng, senses, apart=0.0, common=1.0, own=0.2)
        a = agreement(rng, senses, x, y, draws=1)
        found.append((a.value, a.whole))
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / math.sqrt(len(found))
    assert abs(mean[0]) < 4 * error[0]
    assert mean[1] > 0.5


def test_distances_do_not_grow_where_sentences_are_few():
    rng = np.random.default_rng(11)
    senses = layout(rng, counts=(40, 30, 4, 3), target=(0,))
    truth = rng.standard_normal((4, 8))
    squared = []
    for _ in range(1000):
        x = truth[senses.sense] + 2.0 * rng.standard_normal((len(senses.sense), 8))
        gram = whole_gram(senses.kernel(x), senses)
        size = np.diag(gram)
        squared.append(size[:, None] + size - 2 * gram)
    expected = ((truth[:, None] - truth) ** 2).sum(axis=-1)
    error = np.std(squared, axis=0) / math.sqrt(len(squared))
    assert (np.abs(np.mean(squared, axis=0) - expected) <= 4.5 * error + 1e-9).all()


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.floats(0.01, 100), st.floats(-50, 50))
def test_rotation_scale_and_translation_change_nothing(seed, scale, shift):
    rng = np.random.default_rng(seed)
    senses = layout(rng, counts=(6, 5, 4, 4), splits=3)
    x, y = spaces(rng, senses, d=7)
    orders, turns = senses.orders(5, rng), senses.turns(5, rng)
    before = facet_agreement(x, y, senses, orders, turns)
    other = scale * (y @ np.linalg.qr(rng.standard_normal((7, 7)))[0]) + shift * rng.standard_normal(7)
    after = facet_agreement(x, other, senses, orders, turns)
    for name in ("value", "whole", "left_out", "renamed", "turned"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), atol=1e-9)


def test_the_models_may_change_places(rng):
    senses = layout(rng)
    x, y = spaces(rng, senses)
    one, other = agreement(rng, senses, x, y), agreement(rng, senses, y, x)
    assert one.value == pytest.approx(other.value)
    np.testing.assert_allclose(one.left_out, other.left_out)


def by_hand(x, y, senses):
    """The definition, without a single matrix trick."""
    m, rho = len(senses.target), []

    def distances(z, chosen):
        means, counts, within = [], [], 0.0
        for s in range(m):
            cells = [z[chosen & (senses.sense == s) & (senses.unit == u)] for u in range(senses.halves.shape[1])]
            rows = np.array([c.mean(axis=0) for c in cells if len(c)])
            means.append(rows.mean(axis=0))
            counts.append(len(rows))
            within += ((rows - rows.mean(axis=0)) ** 2).sum()
        s2 = within / (sum(counts) - m)
        pairs = [(i, j) for i in range(m) for j in range(i + 1, m)]
        return [((means[i] - means[j]) ** 2).sum() - s2 * (1 / counts[i] + 1 / counts[j]) for i, j in pairs]

    for half in senses.halves:
        for first in (half, ~half):
            in_a = first[senses.unit]
            ranks = [average_ranks(np.array(distances(z, c))) for z, c in ((x, in_a), (y, ~in_a))]
            rho.append(np.corrcoef(*ranks)[0, 1])
    return np.mean(rho)


def with_shared_units(rng):
    """Units of several sentences, and one unit that holds two senses."""
    sense = np.repeat(np.arange(5), (9, 8, 8, 7, 7))
    unit = np.arange(len(sense))
    unit[1] = unit[0]
    unit[18:20] = 17
    unit[9] = 2
    return lay_out([f"s{i}" for i in sense], list(sense < 2), [f"u{i}" for i in unit], rng, 4)[0]


def test_value_jackknife_and_null_are_what_brute_force_gives(rng):
    senses = with_shared_units(rng)
    x, y = spaces(rng, senses, d=9)
    found = agreement(rng, senses, x, y)
    assert found.value == pytest.approx(by_hand(x, y, senses))
    units = np.unique(senses.unit)
    assert len(found.left_out) == len(units)
    brute = [by_hand(x[senses.unit != u], y[senses.unit != u], senses.without(senses.unit != u)) for u in units]
    np.testing.assert_allclose(found.left_out, brute, atol=1e-12)

    single = layout(rng)  # one sentence per cell: renaming cells is reordering rows
    x, y = spaces(rng, single, d=9)
    orders = single.orders(6, rng)
    null = facet_agreement(x, y, single, orders, single.turns(6, rng)).renamed
    cells = np.argsort(single.cell)
    rows = [np.empty_like(cells) for _ in orders]
    for row, order in zip(rows, orders, strict=True):
        row[cells] = cells[order]
    np.testing.assert_allclose(null, [by_hand(x, y[row], single) for row in rows], atol=1e-12)


def test_halves_are_even_and_disjoint_and_keep_units_whole(rng):
    senses = with_shared_units(rng)
    assert senses.masks.sum(axis=1).all()
    for half in senses.masks[:, 0]:
        for s in range(5):
            held = half[senses.cell_sense == s]
            assert abs(int(held.sum()) - int((~held).sum())) <= 2
        shared = half[np.isin(senses.cell_unit, senses.unit[[2, 9]])]
        assert shared.all() or not shared.any()


def test_renaming_and_turning_stay_within_the_strata(rng):
    senses = layout(rng, counts=(6, 5, 5, 4, 4, 4), target=(0, 1))
    role = senses.target[senses.cell_sense]
    orders, turns = senses.orders(50, rng), senses.turns(50, rng)
    assert (role[orders] == role).all()
    assert (np.sort(orders, axis=1) == np.arange(len(role))).all()
    np.testing.assert_allclose(turns @ np.swapaxes(turns, 1, 2), np.tile(np.eye(6), (50, 1, 1)), atol=1e-12)
    for stratum in (senses.target, ~senses.target):
        np.testing.assert_allclose(turns @ stratum, np.tile(stratum.astype(float), (50, 1)), atol=1e-12)
    alone = layout(rng)
    assert (alone.orders(20, rng)[:, alone.cell_sense == 0] == np.flatnonzero(alone.cell_sense == 0)).all()
    x, y = spaces(rng, alone)
    still = facet_agreement(x, y, alone, np.arange(len(x))[None], np.eye(5)[None])
    np.testing.assert_allclose([still.renamed[0], still.turned[0]], still.value)
    assert still.p == 1.0


def test_the_reference_is_the_larger_side_of_the_twins(rng):
    senses = layout(rng)
    x, y = spaces(rng, senses, apart=2.0)
    near, far = [x + rng.standard_normal(x.shape), x], [rng.standard_normal(y.shape)]
    found = agreement(rng, senses, x, y, x_twins=near, y_twins=far)
    of_near = [agreement(rng, senses, t, y) for t in near]
    assert found.side == 1
    assert found.reference == pytest.approx(np.mean([t.value for t in of_near]))
    alone = agreement(rng, senses, x, y)
    np.testing.assert_allclose(found.left_out, alone.left_out - np.mean([t.left_out for t in of_near], axis=0))
    assert agreement(rng, senses, x, y, x_twins=far, y_twins=[y]).side == 0
    assert (alone.side, alone.reference) == (-1, 0.0)


def test_a_word_with_one_vector_has_no_geometry(rng):
    senses = layout(rng)
    x, _ = spaces(rng, senses)
    found = agreement(rng, senses, x, np.tile(rng.standard_normal(6), (len(x), 1)))
    assert (found.value, found.whole) == (0.0, 0.0)
    assert found.p == 1.0


def test_rows_that_do_not_fit_and_too_few_senses_are_refused(rng):
    senses = layout(rng)
    x, y = spaces(rng, senses)
    with pytest.raises(UsageError, match="rows"):
        agreement(rng, senses, x[:-1], y)
    with pytest.raises(TooFewRows, match="3 senses"):
        layout(rng, counts=(9, 9, 9, 2))


def stimuli(counts=COUNTS):
    return StimulusSet(
        "homonyms",
        tuple(
            Stimulus(
                f"p/homonyms/{i}.{j}",
                "p",
                f"sense{i}",
                "homonym" if i else "positive",
                "text",
                f"a soul {i} {j}",
                groups=(("unit", f"u{i}.{j}"), ("group", f"g{i}")),
                span=(2, 6),
            )
            for j in range(max(counts))
            for i, n in enumerate(counts)
            if j < n
        ),
    )


def context(rng, counts=COUNTS, **truth):
    given_ = stimuli(counts)
    senses, _, keep = lay_out(
        [s.sense for s in given_], [s.role == "positive" for s in given_], [s.group("unit") for s in given_], rng
    )
    x, y = spaces(rng, senses, **truth)
    stored = {"a": x, "b": y} | {f"random:{n}#0": rng.standard_normal(x.shape) for n in "ab"}
    full = {}
    for name, rows in stored.items():
        full[name] = rng.standard_normal((len(given_), rows.shape[1])).astype(np.float32)
        full[name][keep] = rows

    def subject(name, kind="trained", twins=()):
        return Subject(
            ModelInfo(name, "", "", name, "planted", ("text",), 1, 20, 0, "float32", (), kind), (SITE,), twins
        )

    a, b = (subject(n, twins=(subject(f"random:{n}#0", "twin"),)) for n in "ab")
    read = {(name, SITE): rows for name, rows in full.items()}
    run = RunContext(
        run_id="r",
        concept="p",
        smallest_effect={"shared": 0.05},
        splits=(5, 3),
        sets={"homonyms": given_},
        subjects=(a, b),
        read=lambda model, name, site, pooling: read[model, site],
    )
    return run, a, b, full


def test_the_row_and_its_matrices(rng):
    run, a, b, full = context(rng, counts=(12, 8, 7, 6, 6, 2), apart=4.0)
    found = facets(run, a, b, SITE, SITE, "Opening.")
    assert isinstance(found, Facets)
    row = found.row
    assert (row.question, row.headline, row.verdict) == ("shared", False, "detail")
    assert (row.model_a, row.model_b, row.kind_a, row.n, row.units) == ("a", "b", "trained", 39, 39)
    assert row.effect == pytest.approx(row.estimate - row.reference)
    assert row.ci_low < row.effect < row.ci_high
    assert row.estimate > 0.6
    assert 0 < row.p <= 0.1
    assert row.note.startswith("Opening. ")
    assert "twins" in row.reference_kind
    assert found.names == tuple(f"sense{i}" for i in range(5))
    assert found.senses == tuple(f"sense{i}" for i, n in enumerate((12, 8, 7, 6, 6)) for _ in range(n))
    where = {s.id: i for i, s in enumerate(run.sets["homonyms"])}
    rows = full["a"][[where[i] for i in found.items]].astype(float)
    apart = np.linalg.norm(rows[:, None] - rows, axis=-1)
    np.testing.assert_allclose(found.distances_a, apart / apart.max(), atol=1e-6)
    assert found.senses_b.shape == (5, 5)
    assert found.senses_b.max() == pytest.approx(1.0)
    again = facets(run, a, b, SITE, SITE, "Opening.")
    assert isinstance(again, Facets)
    assert again.row == row


def test_the_interval_is_the_jackknife_of_the_effect(rng):
    run, a, b, _ = context(rng)
    found = facets(run, a, b, SITE, SITE)
    assert isinstance(found, Facets)
    given_ = run.sets["homonyms"]
    senses, _, _ = lay_out(
        [s.sense for s in given_],
        [s.role == "positive" for s in given_],
        [s.group("unit") for s in given_],
        run.rng("facets", "halves"),
    )

    def rows(model):
        return run.read(model, "homonyms", SITE, "concept_span")

    direct = facet_agreement(
        rows("a"),
        rows("b"),
        senses,
        senses.orders(3, rng),
        senses.turns(3, rng),
        [rows("random:a#0")],
        [rows("random:b#0")],
    )
    half = Z95 * jackknife_error(direct.left_out)
    assert found.row.ci_high - found.row.ci_low == pytest.approx(2 * half)
    assert found.row.effect == pytest.approx(direct.value - direct.reference)


def test_what_cannot_be_asked_says_why(rng):
    run, a, b, full = context(rng)
    assert "no sentences" in facets(replace(run, sets={}), a, b, SITE, SITE)
    few = replace(run, sets={"homonyms": stimuli((9, 9, 9, 2))})
    assert "3 senses" in facets(few, a, b, SITE, SITE)
    full["b"][:] = full["b"][0]
    assert "one vector" in facets(run, a, b, SITE, SITE)


def test_equal_distances_are_zero_and_not_a_division_by_zero():
    np.testing.assert_array_equal(distances_of(np.zeros((3, 3))), np.zeros((3, 3)))
