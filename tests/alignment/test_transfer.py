"""Probes carried over maps equal the ridge regressions that they stand for, each fitted anew by scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from alignment.spaces import rotation
from conceptprobe.alignment.transfer import (
    PENALTIES,
    PROBE_PENALTY,
    RidgeMap,
    TransferSpace,
    probe_weights,
    probe_weights_of_many,
    transfer_space,
)
from conceptprobe.errors import TooFewRows
from conceptprobe.stats.auroc import auroc

GROUND, TERMS = 30, 12
LABEL = np.tile([1.0, -1.0], TERMS // 2)
ITEMS = np.arange(GROUND, GROUND + TERMS)


def space_of(rng: np.random.Generator, d: int) -> TransferSpace:
    """Features of unequal means and spreads, which depend on each other."""
    x = rng.standard_normal((GROUND + TERMS, d)) @ rng.standard_normal((d, d)) * rng.uniform(0.1, 9.0, d)
    return transfer_space(x + rng.standard_normal(d), GROUND)


def windows(rng: np.random.Generator, cells: int = 3, size: int = 8) -> np.ndarray:
    """Training items of each cell, as many of each class."""
    train = np.zeros((cells, TERMS), dtype=bool)
    for row in train:
        for side in (1, -1):
            row[rng.choice(np.flatnonzero(side == LABEL), size // 2, replace=False)] = True
    return train


def mean_squared_length(rows: np.ndarray) -> float:
    """About the mean of the rows."""
    return float(((rows - rows.mean(axis=0)) ** 2).sum() / len(rows))


def probe(rows: np.ndarray, label: np.ndarray) -> Ridge:
    return Ridge(alpha=PROBE_PENALTY * mean_squared_length(rows), solver="svd").fit(rows, label)


def fitted_map(rows: np.ndarray, wanted: np.ndarray, penalties: np.ndarray) -> tuple[Ridge, int]:
    """The ridge regression of least generalised cross-validation error, its hat matrix written out; which penalty it is."""
    m = len(rows)
    design = np.column_stack([np.ones(m), rows])
    errors = []
    for penalty in penalties:
        shrink = penalty * np.diag([0.0, *np.ones(rows.shape[1])])
        hat = design @ np.linalg.solve(design.T @ design + shrink, design.T)
        missed = wanted - hat @ wanted
        errors.append(m * missed @ missed / (m - np.trace(hat)) ** 2)
    best = int(np.argmin(errors))
    return Ridge(alpha=penalties[best], solver="svd").fit(rows, wanted), best


def asked(rng: np.random.Generator, space: TransferSpace, columns: int = 12) -> np.ndarray:
    """What maps may be asked for: from what the space holds nearly exactly to noise that it knows nothing of."""
    clear = space.rows[:GROUND] @ rng.standard_normal((space.rows.shape[1], columns))
    noise = rng.standard_normal((GROUND, columns)) * np.geomspace(0.01, 100.0, columns)
    return clear / clear.std(axis=0) + noise + 3.0


# Standardised spaces


@pytest.mark.parametrize("d", [5, 60])
def test_spaces_are_standardised_by_the_ground_alone(rng, d):
    """Where dimensions outnumber items the axes are others, and inner products the same."""
    x = rng.standard_normal((GROUND + TERMS, d)) * rng.uniform(0.1, 9.0, d) + 4.0
    x[:GROUND, 0] = 2.0  # constant among ground items, whatever the terms have
    space = transfer_space(x, GROUND)
    expected = StandardScaler().fit(x[:GROUND, 1:]).transform(x[:, 1:]) / np.sqrt(d - 1)
    if d <= len(x):
        np.testing.assert_array_equal(space.rows[:, 0], 0.0)
        np.testing.assert_allclose(space.rows[:, 1:], expected, atol=1e-12)
    np.testing.assert_allclose(space.gram, expected @ expected.T, atol=1e-12)
    assert space.rows.shape[1] == min(d, len(x))
    assert mean_squared_length(space.rows[:GROUND]) == pytest.approx(1.0)


def test_a_space_needs_ten_ground_items(rng):
    transfer_space(rng.standard_normal((20, 3)), 10)
    with pytest.raises(TooFewRows, match="9 items"):
        transfer_space(rng.standard_normal((20, 3)), 9)


def test_a_space_without_any_variance_reads_nothing():
    space = transfer_space(np.ones((GROUND + TERMS, 4)), GROUND)
    weights = probe_weights(space, ITEMS, np.ones((1, TERMS), dtype=bool), LABEL[None])
    np.testing.assert_array_equal(weights, 0.0)
    np.testing.assert_array_equal(space.whole.read(np.ones((GROUND, 2)), ITEMS), 0.0)


# Probes


@pytest.mark.parametrize("d", [3, 60])
def test_probe_weights_are_ridge_regressions_on_the_training_items(rng, d):
    space, train = space_of(rng, d), windows(rng)
    labels = np.stack([LABEL, rng.permutation(LABEL), np.where(np.arange(TERMS) < 9, 1.0, -1.0)])
    columns = probe_weights(space, ITEMS, train, labels).reshape(TERMS, 3, 3)
    for draw, cell in np.ndindex(3, 3):
        column, rows = columns[:, draw, cell], space.rows[ITEMS][train[cell]]
        by_hand = probe(rows, labels[draw][train[cell]])
        np.testing.assert_array_equal(column[~train[cell]], 0.0)
        np.testing.assert_allclose(space.rows[ITEMS].T @ column, by_hand.coef_, atol=1e-10)
        apart = space.gram[:, ITEMS] @ column - by_hand.predict(space.rows)
        np.testing.assert_allclose(apart, apart[0], atol=1e-10)  # one constant for all items


@pytest.mark.parametrize("d", [3, 60])
def test_probes_of_many_concepts_are_those_of_each(rng, d):
    space = space_of(rng, d)
    items = np.array([rng.choice(GROUND, TERMS, replace=False) for _ in range(4)])
    train = np.array([windows(rng) for _ in range(4)])
    found = probe_weights_of_many(space, items, train, LABEL)
    assert found.shape == (4, 3, GROUND + TERMS)
    for concept, (own, cells) in enumerate(zip(items, train, strict=True)):
        expected = np.zeros((3, GROUND + TERMS))
        expected[:, own] = probe_weights(space, own, cells, LABEL[None]).T
        np.testing.assert_allclose(found[concept], expected, atol=1e-12)
        for cell, rows in enumerate(cells):
            by_hand = probe(space.rows[own[rows]], LABEL[rows])
            np.testing.assert_allclose(space.rows.T @ found[concept, cell], by_hand.coef_, atol=1e-10)


# Maps


@pytest.mark.parametrize("d", [6, 80])
def test_what_a_map_reads_is_ridge_regression_with_the_penalty_of_least_gcv_error(rng, d):
    space = space_of(rng, d)
    kept = np.sort(rng.choice(GROUND, 22, replace=False))
    columns = asked(rng, space)[kept]
    ridge = RidgeMap(space, kept)
    rows = space.rows[kept]
    np.testing.assert_allclose(ridge.penalties, np.array(PENALTIES) * mean_squared_length(rows))
    found = ridge.read(columns, ITEMS)
    chosen = set()
    for column, read in zip(columns.T, found.T, strict=True):
        by_hand, best = fitted_map(rows, column, ridge.penalties)
        chosen.add(best)
        np.testing.assert_allclose(read, by_hand.predict(space.rows[ITEMS]) - column.mean(), atol=1e-8)
    assert len(chosen) > 2  # the choice was put to the test


@pytest.mark.parametrize("d", [6, 80])
def test_the_direction_of_a_map_reads_what_the_map_reads(rng, d):
    space = space_of(rng, d)
    columns = asked(rng, space)
    read = space.whole.read(columns, ITEMS)
    for column, scores in zip(columns.T, read.T, strict=True):
        apart = space.rows[ITEMS] @ space.whole.directions(column[:, None])[:, 0] - scores
        np.testing.assert_allclose(apart, apart[0], atol=1e-9)


@pytest.mark.parametrize("d", [6, 80])
def test_a_map_along_the_probe_is_the_whole_map_read_by_the_probe(rng, d):
    """Under one penalty, ridge regression of the scores is the scores of the ridge regression of all features."""
    source, target = space_of(rng, 7), space_of(rng, d)
    weights = probe_weights(source, ITEMS, windows(rng), LABEL[None])
    ridge = RidgeMap(target, np.arange(GROUND), penalties=(0.5,))
    whole = Ridge(alpha=0.5 * mean_squared_length(target.rows[:GROUND]), solver="svd")
    whole.fit(target.rows[:GROUND], source.rows[:GROUND])
    expected = whole.predict(target.rows[ITEMS]) @ source.rows[ITEMS].T @ weights
    found = ridge.read(source.gram[:GROUND, ITEMS] @ weights, ITEMS)
    np.testing.assert_allclose(np.ptp(found - expected, axis=0), 0.0, atol=1e-9)


@settings(max_examples=30)
@given(
    st.integers(0, 2**31), st.sampled_from([4, 15, 50]), st.integers(1, 12), st.sampled_from([None, (1, 2, 3), (4,)])
)
def test_a_map_without_a_group_is_a_map_fitted_to_the_rest(seed, d, g, offered):
    rng = np.random.default_rng(seed)
    space = space_of(rng, d)
    kept = np.sort(rng.choice(GROUND, 26, replace=False))
    ridge = RidgeMap(space, kept)
    columns = np.array([asked(rng, space, 4)[kept] for _ in range(3)])
    left_out = np.array([rng.choice(26, g, replace=False) for _ in range(3)])
    read = int(rng.integers(1, g + 1))
    found = ridge.read_without(columns, left_out, read, offered)
    assert found.shape == (3, read, 4)
    penalties = ridge.penalties if offered is None else ridge.penalties[list(offered)]
    for concept, own in enumerate(left_out):
        rest = np.setdiff1d(np.arange(26), own)
        for cell in range(4):
            by_hand, _ = fitted_map(space.rows[kept[rest]], columns[concept, rest, cell], penalties)
            expected = by_hand.predict(space.rows[kept[own[:read]]])
            np.testing.assert_allclose(found[concept, :, cell], expected, atol=1e-6 * np.abs(columns).max())


def test_what_is_asked_of_items_left_out_is_not_read(rng):
    space = space_of(rng, 15)
    columns = asked(rng, space)[None]
    own = rng.choice(GROUND, 6, replace=False)[None]
    changed = columns.copy()
    changed[0, own[0]] = 1000.0 * rng.standard_normal((6, columns.shape[2]))
    found = [space.whole.read_without(asked_for, own, 6) for asked_for in (columns, changed)]
    np.testing.assert_allclose(found[1], found[0], atol=1e-7)


def test_a_shuffled_pairing_is_a_map_fitted_to_shuffled_rows(rng):
    space = space_of(rng, 15)
    columns = asked(rng, space)
    order = rng.permutation(GROUND)
    shuffled = space.whole.read(columns[order], ITEMS)
    rows = space.rows.copy()
    rows[:GROUND][order] = space.rows[:GROUND]  # item order[i] of the source now meets row i of the target
    refitted = RidgeMap(TransferSpace(rows, GROUND), np.arange(GROUND)).read(columns, ITEMS)
    np.testing.assert_allclose(shuffled, refitted, atol=1e-9)
    assert not np.allclose(shuffled, space.whole.read(columns, ITEMS), atol=0.1)


# From one space to another


def carried(source: TransferSpace, target: TransferSpace, train: np.ndarray, pairing: np.ndarray | None = None):
    """Scores of the terms in the target, cell by cell."""
    columns = source.gram[:GROUND, ITEMS] @ probe_weights(source, ITEMS, train, LABEL[None])
    return target.whole.read(columns if pairing is None else columns[pairing], ITEMS).T


def centred(scores: np.ndarray) -> np.ndarray:
    """Without the constant of each cell, which no comparison within a cell sees."""
    return scores - scores.mean(axis=-1, keepdims=True)


@pytest.mark.parametrize("d", [6, 80])
def test_scales_and_shifts_of_features_in_either_space_change_nothing(rng, d):
    x, y = rng.standard_normal((2, GROUND + TERMS, d))
    train = windows(rng)

    def scaled(z: np.ndarray) -> TransferSpace:
        return transfer_space(z * rng.uniform(0.01, 100.0, d) * rng.choice([-1, 1], d) + 50.0, GROUND)

    plain = centred(carried(transfer_space(x, GROUND), transfer_space(y, GROUND), train))
    np.testing.assert_allclose(centred(carried(scaled(x), scaled(y), train)), plain, atol=1e-9)


@pytest.mark.parametrize("d", [6, 80])
def test_rotations_of_standardised_spaces_change_nothing(rng, d):
    source, target = space_of(rng, d), space_of(rng, d + 1)
    turned = [TransferSpace(s.rows @ rotation(rng, s.rows.shape[1]), GROUND) for s in (source, target)]
    train = windows(rng)
    plain = centred(carried(source, target, train))
    np.testing.assert_allclose(centred(carried(*turned, train)), plain, atol=1e-9)


def one_of(rng: np.random.Generator, latent: np.ndarray) -> TransferSpace:
    """A space that holds the latent vectors, rotated, in noise of its own."""
    turned = latent @ rotation(rng, latent.shape[1])
    return transfer_space(turned + 0.5 * rng.standard_normal(latent.shape), GROUND)


def aurocs(source: TransferSpace, target: TransferSpace, train: np.ndarray, pairing: np.ndarray | None = None) -> float:
    """Mean over cells of the AUROC of what no cell has trained on."""
    scores = carried(source, target, train, pairing)
    tested = [auroc(row[~own], LABEL[~own]) for row, own in zip(scores, train, strict=True)]
    return float(np.mean(tested))


def test_a_shared_direction_is_carried_by_the_map_and_by_no_shuffled_one():
    found = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        latent = rng.standard_normal((GROUND + TERMS, 20))
        latent[ITEMS, 0] += 2.0 * LABEL
        source, target, train = one_of(rng, latent), one_of(rng, latent), windows(rng, cells=5, size=4)
        shuffled = [aurocs(source, target, train, rng.permutation(GROUND)) for _ in range(39)]
        found.append((aurocs(source, target, train), float(np.quantile(shuffled, 0.95)), float(np.mean(shuffled))))
    carried_over, _, by_chance = np.mean(found, axis=0)
    assert carried_over > 0.8
    assert abs(by_chance - 0.5) < 0.1
    assert sum(value > highest for value, highest, _ in found) >= 8


def test_spaces_with_nothing_in_common_carry_nothing():
    """Each has the concept along a direction of its own, which no other word tells of."""
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        latents = rng.standard_normal((2, GROUND + TERMS, 8))
        latents[:, ITEMS, 0] += 2.0 * LABEL
        found.append(aurocs(*(one_of(rng, latent) for latent in latents), windows(rng)))
    assert np.mean(found) == pytest.approx(0.5, abs=4 * np.std(found) / np.sqrt(40))
