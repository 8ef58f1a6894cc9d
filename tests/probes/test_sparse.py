"""Sparse probes: scikit-learn's L1 solution, and the planted features found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from conceptprobe.errors import UsageError
from conceptprobe.probes import sparse
from conceptprobe.probes.ridge import standardise
from conceptprobe.probes.sparse import KSparseProbe, L1Probe, best_features


def data(seed: int, n: int = 80, d: int = 30, informative: tuple[int, ...] = (4, 11, 20)):
    rng = np.random.default_rng(seed)
    y = np.where(rng.permutation(n) < n // 2, 1, -1)
    x = rng.standard_normal((n, d)) * rng.uniform(0.5, 4, d)
    for j in informative:
        x[:, j] += 1.2 * x[:, j].std() * y
    return x, y


@given(st.integers(0, 200), st.sampled_from([10, 120]))
@settings(max_examples=10, deadline=None)
def test_l1_is_scikit_learns_minimum(seed, d):
    x, y = data(seed, n=60, d=d, informative=(4,))
    (z,) = standardise(x)
    wanted = y > 0
    top = np.abs((wanted - wanted.mean()) @ z).max()
    probe = L1Probe(0.3, 1e-9).fit(x, y)
    model = LogisticRegression(
        l1_ratio=1, solver="saga", C=1 / (0.3 * top), max_iter=100_000, tol=1e-9, random_state=0
    ).fit(z, wanted)
    np.testing.assert_allclose(probe.coef_ * x.std(axis=0), model.coef_[0], atol=1e-4)
    assert probe.intercept_ + x.mean(axis=0) @ probe.coef_ == pytest.approx(model.intercept_[0], abs=1e-4)


def test_l1_leaves_nothing_just_above_its_largest_penalty_and_something_just_below():
    x, y = data(0)
    assert not L1Probe(1.001, 1e-9).fit(x, y).coef_.any()
    assert np.count_nonzero(L1Probe(0.999, 1e-9).fit(x, y).coef_) == 1


def test_l1_keeps_the_planted_features_and_few_others():
    x, y = data(1, n=300)
    coef = L1Probe(0.3).fit(x, y).coef_
    assert set(np.flatnonzero(coef)) >= {4, 11, 20}
    assert np.count_nonzero(coef) < 12


def test_k_sparse_takes_the_planted_features_alone():
    x, y = data(2, n=200)
    probe = KSparseProbe(k=3).fit(x, y)
    assert list(probe.features_) == [4, 11, 20]
    assert np.count_nonzero(probe.coef_) == 3


@given(st.integers(0, 200), st.integers(1, 6), st.sampled_from([0.01, 1.0, 1000.0]))
@settings(max_examples=20, deadline=None)
def test_k_sparse_is_scikit_learns_logistic_on_the_chosen_features(seed, k, c):
    x, y = data(seed, informative=(3,))
    (z,) = standardise(x)
    chosen = best_features(z, y[None].astype(float), k)[0]
    gap = np.abs(z[y > 0].mean(axis=0) - z[y < 0].mean(axis=0))
    assert set(chosen) == set(np.argsort(-gap)[:k])
    model = LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(z[:, chosen], y > 0)
    probe = KSparseProbe(k, c).fit(x, y)
    np.testing.assert_allclose(probe.decision_function(x), model.decision_function(z[:, chosen]), rtol=1e-3, atol=1e-4)


def test_separable_rows_and_a_penalty_next_to_none_still_end():
    x, y = data(3, n=40)
    x[:, 0] = y * 5.0 + 0.1 * x[:, 0]
    probe = KSparseProbe(2, c=1e8).fit(x, y)
    assert np.isfinite(probe.coef_).all()
    assert probe.score(x, y) == 1.0


def test_all_features_where_there_are_fewer_than_k():
    x, y = data(4, d=30)
    assert KSparseProbe(100).fit(x, y).features_.size == 30


def test_what_cannot_be_asked_for(monkeypatch):
    x, y = data(5)
    with pytest.raises(UsageError, match="k = 0"):
        KSparseProbe(0).fit(x, y)
    with pytest.raises(UsageError, match="not above 0"):
        L1Probe(0.0).fit(x, y)
    monkeypatch.setattr(sparse, "_STEPS", 2)
    with pytest.warns(ConvergenceWarning):
        L1Probe().fit(x, y)
