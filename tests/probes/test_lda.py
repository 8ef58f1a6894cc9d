"""Shrunk LDA through the total covariance, against scikit-learn's through the within-class one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from conceptprobe.errors import UsageError
from conceptprobe.probes.lda import LDAProbe, ledoit_wolf
from conceptprobe.probes.ridge import standardise


def data(seed: int, n: int, d: int):
    rng = np.random.default_rng(seed)
    y = np.where(np.arange(n) < max(3, int(n * rng.uniform(0.2, 0.8))), 1, -1)
    return rng.standard_normal((n, d)) * rng.uniform(0.1, 5, d) + 0.4 * y[:, None] * rng.standard_normal(d), y


@given(st.integers(0, 300), st.sampled_from([(40, 6), (30, 50)]), st.floats(0.05, 0.95))
@settings(max_examples=30, deadline=None)
def test_it_is_scikit_learns_discriminant_at_the_same_shrinkage(seed, shape, shrinkage):
    """Ours shrinks the total covariance; the same mixture of B and identity has another name there."""
    x, y = data(seed, *shape)
    (z,) = standardise(x)
    within = sum((y == s).mean() * np.cov(z[y == s].T, bias=True) for s in (1, -1))
    odds = shrinkage / (1 - shrinkage) * np.trace(z.T @ z) / len(z) / np.trace(within)
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=odds / (1 + odds)).fit(z, y)
    probe = LDAProbe(shrinkage).fit(x, y)
    direction = model.coef_[0] / np.linalg.norm(model.coef_[0])
    ours = probe.coef_ * x.std(axis=0)
    np.testing.assert_allclose(ours / np.linalg.norm(ours), direction, atol=1e-8)
    # B is shrunk by (1 - a) here and by (1 - a') there, and log-odds are in proportion.
    ratio = (1 - odds / (1 + odds)) / (1 - shrinkage)
    prior = np.log((y > 0).mean() / (y < 0).mean())
    np.testing.assert_allclose(
        probe.decision_function(x) - prior, (model.decision_function(z) - prior) * ratio, rtol=1e-6, atol=1e-6
    )


@given(st.integers(0, 300), st.sampled_from([(40, 6), (30, 50)]))
@settings(max_examples=30, deadline=None)
def test_the_shrinkage_is_ledoit_and_wolfs(seed, shape):
    x, _ = data(seed, *shape)
    (z,) = standardise(x)
    assert ledoit_wolf(z @ z.T, shape[1]) == pytest.approx(ledoit_wolf_shrinkage(z, assume_centered=True), abs=1e-10)


def test_it_sees_past_a_shared_direction_of_noise_that_misleads_the_means():
    rng = np.random.default_rng(0)
    y = np.repeat([1, -1], 150)
    noise = rng.standard_normal(300)
    x = rng.standard_normal((300, 2)) * 0.3
    x += np.outer(noise, [3.0, 3.0]) + np.outer(y, [0.5, 0.0])
    direction = LDAProbe(0.01).fit(x, y).direction_
    assert abs(direction @ np.array([1.0, 1.0])) < 0.1


def test_two_rows_and_a_shrinkage_out_of_range():
    assert LDAProbe().fit(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1, -1])).direction_[1] > 0
    with pytest.raises(UsageError, match="not between 0 and 1"):
        LDAProbe(1.5).fit(*data(0, 20, 3))
