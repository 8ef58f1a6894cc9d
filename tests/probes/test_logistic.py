"""The batched logistic solver, against scikit-learn on the same problems one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from conceptprobe.probes import logistic
from conceptprobe.probes.logistic import LogisticProbe, logistic_batch
from conceptprobe.probes.ridge import standardise


def problems(seed: int, n: int = 60, d: int = 20, sets: int = 4, labels: int = 3):
    rng = np.random.default_rng(seed)
    y = np.where(rng.random((labels, n)) < rng.uniform(0.3, 0.7, (labels, 1)), 1, -1)
    y[:, :10] = np.tile([1, -1], 5)
    x = (rng.standard_normal((n, d)) + 0.5 * y[0][:, None]) * rng.uniform(0.1, 9, d) + rng.uniform(-50, 50, d)
    train = rng.random((sets, n)) < 0.7
    train[:, :10] = True
    return x, train, y


def by_scikit_learn(x, rows, label, c, tol=1e-10):
    mean, spread = x[rows].mean(axis=0), x[rows].std(axis=0)
    (z,) = standardise(x[rows])
    model = LogisticRegression(C=c, tol=tol, max_iter=100_000).fit(z, label[rows] > 0)
    coef = model.coef_[0] / np.where(spread > 0, spread, 1.0)
    return coef, float(model.intercept_[0] - mean @ coef)


@given(seed=st.integers(0, 500), c=st.sampled_from([0.001, 0.01, 1.0]), d=st.sampled_from([3, 20, 90]))
@settings(max_examples=10, deadline=None)
def test_every_set_and_labelling_is_scikit_learns_fit(seed, c, d):
    x, train, y = problems(seed, d=d)
    fits = logistic_batch(x, train, y, c, 1e-9, np.float64)
    for i, rows in enumerate(train):
        for j, label in enumerate(y):
            coef, intercept = by_scikit_learn(x, rows, label, c)
            np.testing.assert_allclose(fits.coef[i, j], coef, atol=1e-5 * np.abs(coef).max())
            np.testing.assert_allclose(fits.intercept[i, j], intercept, atol=1e-4 * (1 + abs(intercept)))


@given(seed=st.integers(0, 500))
@settings(max_examples=6, deadline=None)
def test_at_the_default_tolerance_it_errs_no_more_than_scikit_learn_at_its_own(seed):
    x, train, y = problems(seed, n=120, d=60)
    fits = logistic_batch(x.astype(np.float32), train, y)
    ours, theirs, largest = [], [], []
    for i, rows in enumerate(train):
        for j, label in enumerate(y):
            spread = x[rows].std(axis=0)
            exact = by_scikit_learn(x, rows, label, 0.01)[0] * spread
            ours.append(np.abs(fits.coef[i, j] * spread - exact).max())
            theirs.append(np.abs(by_scikit_learn(x, rows, label, 0.01, tol=1e-4)[0] * spread - exact).max())
            largest.append(np.abs(exact).max())
    assert np.median(ours) <= np.median(theirs)
    assert max(ours) <= 5e-3 * max(largest)


def test_a_feature_constant_in_one_training_set_is_silent_there_alone(rng):
    x, train, y = problems(1)
    x[train[0], 5] = 7.0
    x[~train[0], 5] = rng.standard_normal(int((~train[0]).sum())) + 7
    fits = logistic_batch(x, train, y)
    assert np.all(fits.coef[0, :, 5] == 0)
    assert np.all(fits.coef[1:, :, 5] != 0)
    coef, _ = by_scikit_learn(x, train[0], y[0], 0.01)
    np.testing.assert_allclose(fits.coef[0, 0], coef, atol=2e-3 * np.abs(coef).max())


def test_a_feature_that_is_quiet_in_one_training_set_keeps_its_weight_there():
    """Its spread in the set is a thousandth of that over all rows: a difference of squares would lose it in float32."""
    rng = np.random.default_rng(5)
    x, train, y = problems(2, n=200)
    x[:, 3] = 100 * rng.standard_normal(200)
    x[train[0], 3] = 0.05 * rng.standard_normal(int(train[0].sum())) + 0.05 * y[0][train[0]]
    fits = logistic_batch(x, train, y)
    coef, _ = by_scikit_learn(x, train[0], y[0], 0.01)
    assert abs(coef[3]) * x[train[0], 3].std() > 0.02
    np.testing.assert_allclose(fits.coef[0, 0][3], coef[3], rtol=2e-2)


def test_few_fits_of_size_are_scikit_learns_and_the_same(monkeypatch):
    x, train, y = problems(3, n=100, d=40, sets=1, labels=2)
    batch = logistic_batch(x, train, y, tolerance=1e-8, precision=np.float64)
    monkeypatch.setattr(logistic, "_SIZE", 100)
    monkeypatch.setattr(logistic, "_minimise", None)
    handed = logistic_batch(x, train, y, tolerance=1e-8, precision=np.float64)
    np.testing.assert_allclose(handed.coef, batch.coef, atol=1e-6 * np.abs(batch.coef).max())
    np.testing.assert_allclose(handed.intercept, batch.intercept, atol=1e-5)


def test_a_weak_penalty_on_separable_rows_is_reached_or_warned_of():
    x, train, y = problems(4, n=40, d=80)
    fits = logistic_batch(x, train, y, 100.0, 1e-6, np.float64)
    for i, rows in enumerate(train):
        coef, intercept = by_scikit_learn(x, rows, y[0], 100.0)
        np.testing.assert_allclose(x @ fits.coef[i, 0] + fits.intercept[i, 0], x @ coef + intercept, atol=5e-3)
    with pytest.warns(ConvergenceWarning):
        logistic_batch(x, train, y, 1e12, 1e-14, np.float64)


def test_log_odds_are_calibrated_on_planted_gaussians():
    rng = np.random.default_rng(0)
    y = np.repeat([1, -1], 4000)
    x = rng.standard_normal((8000, 3)) + np.outer(y, [0.5, 0.0, -0.25])
    probe = LogisticProbe(c=100.0).fit(x, y)
    np.testing.assert_allclose(probe.coef_, [1.0, 0.0, -0.5], atol=0.1)
