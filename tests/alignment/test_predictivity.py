"""Ridge predictivity: what it sees and does not, scikit-learn's ridge, and shortcuts against refitting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment.spaces import assert_the_null_is_the_metric_on_renamed_items, related, turned
from conceptprobe import registry
from conceptprobe.alignment.predictivity import PENALTIES, Fold, Predictivity, held_out, ridge_fold
from conceptprobe.errors import TooFewRows, UsageError

METRIC = Predictivity()


def by_scikit_learn(folds: tuple[Fold, ...], x: np.ndarray, y: np.ndarray) -> float:
    """R^2 with every smoother refitted by scikit-learn, and GCV from its matrix written out."""
    from sklearn.linear_model import Ridge

    errors = squares = 0.0
    for fold in folds:
        known, m = y[fold.train], len(fold.train)
        best = np.inf, 0.0
        for penalty in fold.penalties:
            # A smoother's columns are its predictions of the unit vectors.
            smoother = Ridge(penalty).fit(x[fold.train], np.eye(m)).predict(x[fold.train])
            gcv = ((known - smoother @ known) ** 2).sum() / (m - np.trace(smoother)) ** 2
            best = min(best, (gcv, penalty))
        fitted = Ridge(best[1]).fit(x[fold.train], known).predict(x[fold.test]).reshape(len(fold.test), -1)
        errors += ((y[fold.test] - fitted) ** 2).sum()
        squares += ((y[fold.test] - known.mean(axis=0)) ** 2).sum()
    return 1.0 - errors / squares


def test_it_is_registered_as_two_questions():
    assert registry.get("metric", "predictivity") == METRIC
    assert registry.entries("metric")["predictivity"].about["symmetric"] is False


def test_a_space_predicts_its_linear_maps_and_not_what_has_nothing_to_do_with_it(rng):
    x, y = related(rng, n=100, noise=0.01)
    assert METRIC(x, y) > 0.99
    assert METRIC(x, x) > 0.99
    unrelated = [METRIC(rng.standard_normal((50, 80)), rng.standard_normal((50, 60))) for _ in range(10)]
    assert np.mean(unrelated) == pytest.approx(0.0, abs=0.1)


def test_a_part_is_predicted_from_the_whole_better_than_the_whole_from_a_part(rng):
    x = rng.standard_normal((100, 12))
    assert METRIC(x, x[:, :4]) > 0.95
    assert METRIC(x[:, :4], x) < 0.5


def test_dimensions_count_by_their_variance(rng):
    x = rng.standard_normal((200, 3))
    known, noise = x[:, :1], rng.standard_normal((200, 1))
    assert METRIC(x, np.hstack([3.0 * known, noise])) == pytest.approx(0.9, abs=0.05)
    assert METRIC(x, np.hstack([known, 3.0 * noise])) == pytest.approx(0.1, abs=0.1)


def test_rotation_scale_and_shift_are_seen_through_and_a_stretch_is_not(rng):
    x, y = related(rng)
    assert METRIC(x, turned(rng, y)) == pytest.approx(METRIC(x, y), abs=1e-9)
    assert METRIC(turned(rng, x), y) == pytest.approx(METRIC(x, y), abs=1e-9)
    assert abs(METRIC(x, y * np.array([20.0] + [1.0] * 8)) - METRIC(x, y)) > 1e-3


@settings(max_examples=20)
@given(st.integers(0, 1000), st.integers(10, 30), st.integers(1, 40), st.integers(1, 10), st.floats(0.1, 10.0))
def test_it_is_scikit_learns_ridge_over_the_same_folds(seed, n, dx, dy, noise):
    x, y = related(np.random.default_rng(seed), n=n, dx=dx, dy=dy, noise=noise)
    folds = METRIC.prepare(x).folds
    assert METRIC(x, y) == pytest.approx(by_scikit_learn(folds, x, y), abs=1e-7)
    for fold in folds:
        spread = ((x[fold.train] - x[fold.train].mean(axis=0)) ** 2).sum() / len(fold.train)
        np.testing.assert_allclose(fold.penalties, np.array(PENALTIES) * spread)


def test_every_item_is_tested_once_and_never_trained_on(rng):
    folds = METRIC.prepare(rng.standard_normal((23, 4))).folds
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(23))
    for fold in folds:
        assert sorted([*fold.train, *fold.test]) == list(range(23))


@pytest.mark.parametrize("dx", [5, 60])
def test_the_null_is_the_metric_on_renamed_items(dx, rng):
    assert_the_null_is_the_metric_on_renamed_items(METRIC, *related(rng, dx=dx), rng)


@pytest.mark.parametrize("dx", [5, 60])
@pytest.mark.parametrize("noise", [0.1, 4.0, 30.0])
def test_leaving_out_is_refitting_in_the_folds_that_are_left(dx, noise, rng):
    x, y = related(rng, n=24, dx=dx, noise=noise)
    a, b = METRIC.prepare(x), METRIC.prepare(y)
    brute = []
    for item in range(24):
        kept = [
            ridge_fold(x, fold.train[fold.train != item], fold.test[fold.test != item], fold.penalties)
            for fold in a.folds
        ]
        errors, squares = held_out(kept, y)
        brute.append(1.0 - errors / squares)
    np.testing.assert_allclose(METRIC.leave_one_out(a, b), brute, atol=1e-8)


def test_the_penalty_follows_the_noise(rng):
    # With more dimensions than items a fit without a penalty would follow the noise.
    x = rng.standard_normal((60, 200))
    y = x @ rng.standard_normal((200, 1)) * 0.05 + rng.standard_normal((60, 1))
    space = METRIC.prepare(x)
    free = [replace(fold, penalties=fold.penalties[-1:]) for fold in space.folds]
    errors, squares = held_out(free, y)
    assert METRIC(x, y) > 1.0 - errors / squares


@pytest.mark.parametrize("side", [0, 1])
def test_a_space_that_does_not_vary_predicts_nothing_and_has_nothing_to_predict(side, rng):
    x, _ = related(rng)
    spaces = [x, np.full((40, 3), 0.1)]
    a, b = METRIC.prepare(spaces[side]), METRIC.prepare(spaces[1 - side])
    assert METRIC.compare(a, b) <= 0.0
    assert METRIC.compare(a, b) == pytest.approx(0.0, abs=0.2)
    assert np.isfinite(METRIC.leave_one_out(a, b)).all()


def test_too_few_rows_and_folds_are_refused(rng):
    with pytest.raises(TooFewRows):
        METRIC(rng.standard_normal((9, 3)), rng.standard_normal((9, 3)))
    with pytest.raises(UsageError, match="2 folds"):
        Predictivity(folds=1)
