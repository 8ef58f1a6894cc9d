"""Concept transfer written out: maps, probes and AUROCs of scikit-learn, pair by pair, and what must not be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from conceptprobe.alignment.transfer import PENALTIES, PROBE_PENALTY
from conceptprobe.calibration.spaces import SITES, SharedWorld
from conceptprobe.evidence.carry import CELLS, TRAIN_UNITS, Carry, Side
from conceptprobe.evidence.context import RunContext, Subject
from conceptprobe.evidence.control_concepts import SETS, SIZE
from conceptprobe.evidence.pool_words import RULER, PoolWords
from conceptprobe.evidence.site_choice import LEAST_KINDS, chosen_sites
from conceptprobe.evidence.transferred import Exchanges
from conceptprobe.stats.windows import make_windows

WORLD = SharedWorld(meaning=1.0, stressed=2.0, words=160, positives=12, twins=1)
SITE = SITES[0]


def carry_of(run: RunContext) -> Carry:
    return Carry(PoolWords(run))


@cache
def planted(seed: int = 0) -> RunContext:
    return WORLD.run(("shared",), "carry", seed=seed)


def sides(run: RunContext) -> tuple[Side, Side]:
    one, other = run.subjects
    return Side(one, SITE), Side(other, SITE)


def vectors(run: RunContext, side: Side) -> np.ndarray:
    """Rows of all words as the model gives them: the world has one frame."""
    halves = [run.read(side.subject.name, name, side.site, "concept_span") for name in ("background", "terms_in_pool")]
    return np.concatenate(halves).astype(np.float64)


def changed(run: RunContext, model: str, change: Callable[[np.ndarray], np.ndarray]) -> RunContext:
    """The same run with the words' rows of one model changed, at all sites."""

    def read(name, set_name, site, pooling):
        if name != model:
            return run.read(name, set_name, site, pooling)
        halves = [run.read(name, half, site, pooling) for half in ("background", "terms_in_pool")]
        rows = change(np.concatenate(halves))
        return rows[: len(halves[0])] if set_name == "background" else rows[len(halves[0]) :]

    return replace(run, read=read, memo={})


def exchanged(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """These rows moved round by one: means and spreads of features stay as they are."""
    out = rows.copy()
    out[places] = rows[np.roll(places, 1)]
    return out


# By hand


def standardised(x: np.ndarray, ground: int) -> np.ndarray:
    return StandardScaler().fit(x[:ground]).transform(x)


def mean_squared_length(rows: np.ndarray) -> float:
    return float(((rows - rows.mean(axis=0)) ** 2).sum() / len(rows))


def mapped(rows: np.ndarray, wanted: np.ndarray, read: np.ndarray, unit: float) -> np.ndarray:
    """Ridge regression of `wanted` on `rows`, penalty by generalised cross-validation, read at other rows."""
    best = (np.inf, np.zeros(len(read)))
    design = np.column_stack([np.ones(len(rows)), rows])
    for penalty in np.array(PENALTIES) * unit:
        shrink = np.diag([0.0, *np.full(rows.shape[1], penalty)])
        hat = design @ np.linalg.solve(design.T @ design + shrink, design.T)
        error = np.sum((wanted - hat @ wanted) ** 2) / (len(rows) - np.trace(hat)) ** 2
        if error < best[0]:
            best = (error, Ridge(alpha=penalty, solver="svd").fit(rows, wanted).predict(read))
    return best[1]


def carried_by_hand(
    source: np.ndarray,
    target: np.ndarray,
    items: np.ndarray,
    label: np.ndarray,
    train: np.ndarray,
    kept: np.ndarray,
    unit: float,
) -> np.ndarray:
    """Scores of the items in the target, cell by cell; rows are standardised, `unit` is the unit of the map's penalties."""
    scores = []
    for own in train:
        rows = source[items[own]]
        probe = Ridge(alpha=PROBE_PENALTY * mean_squared_length(rows), solver="svd").fit(rows, label[own])
        scores.append(mapped(target[kept], probe.predict(source[kept]), target[items], unit))
    return np.array(scores)


def pairs_won(scores: np.ndarray, label: np.ndarray, train: np.ndarray) -> float:
    won = []
    for row, own in zip(scores, train, strict=True):
        tested = np.flatnonzero(~own)
        won += [
            (row[i] > row[j]) + 0.5 * (row[i] == row[j]) for i, j in product(tested, tested) if label[i] > 0 > label[j]
        ]
    return float(np.mean(won))


def in_cells(scores: np.ndarray) -> np.ndarray:
    """Without the constant of each cell."""
    return scores - scores.mean(axis=-1, keepdims=True)


@pytest.mark.parametrize("back", [False, True])
def test_the_target_is_carried_as_explicit_regressions_carry_it(back):
    """In the observed labelling, in one of exchanged labels, and over one shuffled map."""
    run = planted()
    carry = carry_of(run)
    source, target = sides(run)[::-1] if back else sides(run)
    exchanges = Exchanges(carry, 1)
    found = carry.target(source, target, exchanges.labels.astype(float), exchanges.pairings)
    x, y = (standardised(vectors(run, side), WORLD.words) for side in (source, target))
    kept = np.setdiff1d(np.arange(WORLD.words), carry.words.control_concepts.around_target)
    items = np.arange(WORLD.words, WORLD.n)
    shuffled = x.copy()
    shuffled[kept] = x[kept[exchanges.pairings[0]]]  # in the map alone: no term is among these
    observed, drawn = exchanges.labels
    unit = mean_squared_length(y[kept])
    for scores, space, label in zip(found, (x, x, shuffled), (observed, drawn, observed), strict=True):
        by_hand = carried_by_hand(space, y, items, label, carry.windows.train, kept, unit)
        np.testing.assert_allclose(in_cells(scores), in_cells(by_hand), atol=1e-8)
        auroc = float(carry.windows.auroc(scores[None], label[None])[0])
        assert auroc == pytest.approx(pairs_won(by_hand, label, carry.windows.train))


def test_a_control_concept_is_carried_as_explicit_regressions_carry_it():
    run = planted()
    carry = carry_of(run)
    source, target = sides(run)
    found = carry.controls(source, target)
    assert found.shape == (SETS,)
    x, y = (standardised(vectors(run, side), WORLD.words) for side in (source, target))
    drawn = carry.words.control_concepts
    label, unit = np.repeat([1, -1], SIZE), np.tile(np.arange(SIZE), 2)
    windows = make_windows(label, unit, TRAIN_UNITS, CELLS, run.rng("windows", "control concepts"))
    whole = mean_squared_length(y[: WORLD.words])
    for number in (0, 41, SETS - 1):
        items = np.concatenate([drawn.positives[number], drawn.controls[number]])
        kept = np.setdiff1d(np.arange(WORLD.words), drawn.excluded[number])
        by_hand = carried_by_hand(x, y, items, label, windows.train, kept, whole)
        assert found[number] == pytest.approx(pairs_won(by_hand, label, windows.train)), number


def test_a_set_learns_from_as_many_pairs_over_as_many_words_as_the_target():
    carry = carry_of(planted())
    of_target = [len(set(carry.windows.unit[row])) for row in carry.windows.train]
    assert of_target == [TRAIN_UNITS] * CELLS
    assert carry.windows.train.sum(axis=1).tolist() == [2 * TRAIN_UNITS] * CELLS
    sets = carry.control_sets
    assert len(carry.kept) == WORLD.words - sets.excluded.shape[1]
    assert carry.set_windows.train.sum(axis=1).tolist() == [2 * TRAIN_UNITS] * CELLS


# What must not be read


@pytest.mark.parametrize("model", ["one", "other"])
def test_words_near_the_target_have_no_say_in_its_map(model):
    """Their rows are exchanged among themselves: the standardisation stays, and so must every score."""
    run = planted()
    carry = carry_of(run)
    around = carry.words.control_concepts.around_target
    label = carry.windows.label[None].astype(float)

    def scores(places: np.ndarray) -> np.ndarray:
        other = changed(run, model, lambda rows: exchanged(rows, places))
        return in_cells(carry_of(other).target(*sides(other), label)[0])

    plain = in_cells(carry.target(*sides(run), label)[0])
    np.testing.assert_allclose(scores(around), plain, atol=1e-9)
    assert not np.allclose(scores(carry.kept[: len(around)]), plain, atol=1e-3)


@pytest.mark.parametrize("model", ["one", "other"])
def test_words_near_a_control_concept_have_no_say_in_its_map(model):
    run = planted()
    carry = carry_of(run)
    number = 5
    excluded = carry.control_sets.excluded[number]
    plain = scores_of_set(carry, run, number)

    def scores(places: np.ndarray) -> np.ndarray:
        other = changed(run, model, lambda rows: exchanged(rows, places))
        return scores_of_set(carry_of(other), other, number)

    np.testing.assert_allclose(scores(excluded[2 * SIZE :]), plain, atol=1e-9)
    kept = np.setdiff1d(np.arange(WORLD.words), excluded)
    assert not np.allclose(scores(kept[:20]), plain, atol=1e-3)


def scores_of_set(carry: Carry, run: RunContext, number: int) -> np.ndarray:
    """Of one control concept's words, carried there."""
    source, target = sides(run)
    columns = carry.set_columns(source, carry.control_sets)[[number]]
    read = carry.space(target).whole.read_without(columns, carry.control_sets.excluded[[number]], 2 * SIZE)
    return in_cells(read[0].T)


def test_no_control_concept_reads_the_terms():
    run = planted()
    rng = np.random.default_rng(0)
    other = run
    for model in ("one", "other"):
        other = changed(other, model, lambda rows: with_new_terms(rows, rng))
    np.testing.assert_array_equal(carry_of(run).controls(*sides(run)), carry_of(other).controls(*sides(other)))


def with_new_terms(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    out = rows.copy()
    out[WORLD.words :] = 30.0 * rng.standard_normal(out[WORLD.words :].shape)
    return out


def test_control_concepts_are_drawn_before_any_model_is_read():
    run = planted()
    asked = set()

    def read(model, set_name, site, pooling):
        asked.add(model)
        return run.read(model, set_name, site, pooling)

    drawn = PoolWords(replace(run, read=read, memo={})).control_concepts
    assert drawn.count == SETS
    assert asked == {RULER}


def test_features_may_have_any_scale_and_origin():
    run = planted()
    rng = np.random.default_rng(0)
    other = run
    for model in ("one", "other"):
        width = vectors(run, sides(run)[0]).shape[1]
        scale, shift = rng.uniform(0.1, 10.0, width), rng.standard_normal(width)
        other = changed(other, model, lambda rows, scale=scale, shift=shift: rows * scale + shift)
    plain, moved = (carry_of(r).target(*sides(r), carry_of(r).windows.label[None].astype(float)) for r in (run, other))
    np.testing.assert_allclose(in_cells(moved), in_cells(plain), atol=1e-5)  # rows are float32
    np.testing.assert_allclose(carry_of(other).controls(*sides(other)), carry_of(run).controls(*sides(run)), atol=0.01)


def test_another_view_of_the_words_is_another_space():
    """Two views of one run keep their spaces and maps apart, in whatever order they are asked."""
    run = planted()
    words = PoolWords(run)
    one, other = (
        Carry(words),
        Carry(words, rows=lambda subject, site: words.vectors(subject, site)[:, ::-1][:, :7], view="few"),
    )
    source, target = sides(run)
    label = one.windows.label[None].astype(float)
    plain = one.target(source, target, label)
    few = other.target(source, target, label)
    assert other.space(source).rows.shape[1] == 7
    assert not np.allclose(few, plain)
    np.testing.assert_array_equal(one.target(source, target, label), plain)


# Exchanges


def test_labels_are_exchanged_unit_by_unit_and_pairings_are_permutations():
    carry = carry_of(planted())
    exchanges = Exchanges(carry, 50)
    label, unit = carry.windows.label, carry.windows.unit
    np.testing.assert_array_equal(exchanges.labels[0], label)
    flips = exchanges.labels * label
    assert set(np.unique(flips)) == {-1, 1}
    for u in range(carry.windows.n_units):
        assert (np.ptp(flips[:, unit == u], axis=1) == 0).all()
    assert len({row.tobytes() for row in flips}) > 40
    np.testing.assert_array_equal(np.sort(exchanges.pairings, axis=1), np.tile(np.arange(len(carry.kept)), (50, 1)))
    assert len({row.tobytes() for row in exchanges.pairings}) == 50


def test_shuffled_maps_know_nothing_of_the_concept_on_average():
    run = planted()
    carry = carry_of(run)
    exchanges = Exchanges(carry, 200)
    label = carry.windows.label[None].astype(float)
    scores = carry.target(*sides(run), label, exchanges.pairings)
    aurocs = carry.windows.auroc(scores)
    assert aurocs.shape == (201,)
    assert aurocs[1:].mean() == pytest.approx(0.5, abs=0.1)
    assert aurocs[0] > np.quantile(aurocs[1:], 0.95)


# The sites


DEPTHS = ("embed", "resid_post.0", "resid_post.1")


def layered(seed: int = 0, told_at: tuple[str, str] = ("resid_post.0", "resid_post.1")) -> RunContext:
    """Models of three sites; what the two share stands at one site of each, and noise at the others."""
    run = planted(seed)

    def read(model, set_name, site, pooling):
        if model == RULER or site == dict(zip(("one", "other"), told_at, strict=True)).get(model):
            return run.read(model, set_name, SITE if model != RULER else site, pooling)
        rng = np.random.default_rng([seed, sum(map(ord, model + set_name)), DEPTHS.index(site)])
        return rng.standard_normal(run.read(model, set_name, SITE, pooling).shape).astype(np.float32)

    subjects = tuple(Subject(s.info, DEPTHS, s.twins) for s in run.subjects)
    return replace(run, subjects=subjects, read=read, memo={})


@pytest.mark.parametrize("told_at", [("resid_post.0", "resid_post.1"), ("embed", "embed")])
def test_models_are_compared_where_ordinary_words_carry_over_best(told_at):
    run = layered(told_at=told_at)
    carry = carry_of(run)
    (chosen,) = chosen_sites(carry, [run.subjects])
    assert (chosen.a.site, chosen.b.site) == told_at
    assert (chosen.a.subject, chosen.b.subject) == run.subjects
    assert chosen.ordinary > 0.7
    (back,) = chosen_sites(carry_of(run), [run.subjects[::-1]])
    assert (back.b.site, back.a.site) == told_at
    assert back.ordinary == pytest.approx(chosen.ordinary)


def test_the_choice_reads_no_term():
    run = layered()
    rng = np.random.default_rng(1)
    other = run
    for model in ("one", "other"):
        other = changed(other, model, lambda rows: with_new_terms(rows, rng))
    (plain,), (moved,) = (chosen_sites(carry_of(r), [r.subjects]) for r in (run, other))
    assert (moved.a.site, moved.b.site) == (plain.a.site, plain.b.site)
    assert moved.ordinary == pytest.approx(plain.ordinary, abs=1e-12)


def test_the_choice_reads_kinds_of_pool_words_and_neither_sets_nor_twins():
    run = layered()
    carry = carry_of(run)
    chosen_sites(carry, [run.subjects])
    kinds = carry.yardsticks
    for items, excluded in zip(kinds.items, kinds.excluded, strict=True):
        own, others = carry.words.categories[items[:SIZE]], carry.words.categories[items[SIZE:]]
        assert len(set(own)) == 1
        assert own[0] not in others
        assert list(excluded[: 2 * SIZE]) == list(items)
        assert len(set(excluded)) == len(excluded)
        rest = np.flatnonzero(carry.words.categories == own[0])
        assert np.isin(rest, excluded).sum() == min(len(rest), SIZE + 20)
    assert kinds.items.max() < carry.words.ground
    spaces = {key[2] for key in run.memo if key[0] == "space"}
    assert spaces == {"one", "other"}


def test_with_too_few_kinds_the_first_sites_are_taken_and_nothing_is_claimed():
    run = layered()
    background = run.sets["background"]
    kinds = {s.group("word"): s.group("category") for s in background}
    most = max(set(kinds.values()), key=list(kinds.values()).count)

    def relabelled(stimulus):
        groups = tuple((k, v if k != "category" or v == most else stimulus.group("word")) for k, v in stimulus.groups)
        return replace(stimulus, groups=groups)

    few = replace(background, stimuli=tuple(relabelled(s) for s in background))
    alone = replace(run, sets={**run.sets, "background": few}, memo={})
    carry = carry_of(alone)
    assert len(carry.yardsticks.items) == LEAST_KINDS - 1
    (chosen,) = chosen_sites(carry, [alone.subjects])
    assert (chosen.a.site, chosen.b.site) == (DEPTHS[0], DEPTHS[0])
    assert np.isnan(chosen.ordinary)
