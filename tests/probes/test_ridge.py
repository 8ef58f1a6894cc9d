"""The ridge probe and its smoother, against scikit-learn's own solvers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from conceptprobe.probes.logistic import LogisticProbe
from conceptprobe.probes.ridge import RidgeProbe, smoother, standardise


def data(seed: int, n: int = 30, d: int = 12):
    rng = np.random.default_rng(seed)
    y = np.where(rng.permutation(n) % 2 == 0, 1, -1)
    return rng.standard_normal((n, d)) * rng.uniform(0.1, 5, d) + 0.3 * y[:, None], y, rng


@given(st.integers(0, 200), st.sampled_from([4, 12, 60]))
def test_smoother_is_scikit_learns_ridge_for_every_column_of_labels(seed, d):
    x, y, rng = data(seed, d=d)
    test = rng.standard_normal((7, d))
    labels = np.stack([y, rng.permutation(y)], axis=1).astype(float)
    z_train, z_test = standardise(x, test)
    lam = np.trace(z_train @ z_train.T) / len(x)
    expected = Ridge(alpha=lam, fit_intercept=True).fit(z_train, labels).predict(z_test) - labels.mean(axis=0)
    np.testing.assert_allclose(smoother(z_train, z_test, labels), expected, atol=1e-7)


def test_predictions_do_not_depend_on_scale_shift_or_order_of_features(rng):
    x, y, _ = data(3)
    other = x[:, ::-1] * np.linspace(0.01, 100, 12) + 7
    one = smoother(*standardise(x[:20], x[20:]), y[:20, None].astype(float))
    two = smoother(*standardise(other[:20], other[20:]), y[:20, None].astype(float))
    np.testing.assert_allclose(one, two, atol=1e-8)


def test_constant_features_are_silent_and_all_constant_rows_read_nothing():
    x, _, _ = data(4)
    x[:, 0] = 3.0
    (z,) = standardise(x)
    assert np.all(z[:, 0] == 0)
    flat = np.ones((10, 5))
    assert np.all(smoother(*standardise(flat, flat), np.ones((10, 1))) == 0)


@pytest.mark.parametrize("probe", [RidgeProbe, LogisticProbe])
def test_the_direction_is_a_unit_vector_that_points_to_the_concept(probe):
    rng = np.random.default_rng(0)
    truth = rng.standard_normal(20)
    y = np.repeat([1, -1], 100)
    x = rng.standard_normal((200, 20)) + 1.5 * np.outer(y, truth / np.linalg.norm(truth))
    fitted = probe().fit(x, y)
    assert np.linalg.norm(fitted.direction_) == pytest.approx(1.0)
    assert fitted.direction_ @ truth / np.linalg.norm(truth) > 0.7
    assert np.mean(np.sign(fitted.decision_function(x)) == y) > 0.85
    flipped = probe().fit(x, -y)
    np.testing.assert_allclose(flipped.direction_, -fitted.direction_, atol=1e-6)


@given(st.integers(0, 100), st.sampled_from([6, 60]))
def test_the_estimator_is_scikit_learns_ridge_on_raw_features(seed, d):
    x, y, _ = data(seed, d=d)
    (z,) = standardise(x)
    model = Ridge(alpha=np.trace(z @ z.T) / len(z)).fit(z, y.astype(float))
    fitted = RidgeProbe().fit(x, y)
    np.testing.assert_allclose(fitted.coef_ * x.std(axis=0), model.coef_, atol=1e-9)
    np.testing.assert_allclose(fitted.decision_function(x), model.predict(z), atol=1e-9)
