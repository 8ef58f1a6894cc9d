"""The attention probe finds the token that carries the concept, wherever it stands."""

from __future__ import annotations

import numpy as np
import pytest

from conceptprobe.errors import UsageError
from conceptprobe.probes.attention import AttentionProbe
from conceptprobe.probes.ridge import RidgeProbe
from conceptprobe.stats.auroc import auroc


def planted(seed: int, n: int = 200, t: int = 10, d: int = 40):
    """One token per row has a key and carries the label; three others carry the same value at random, without the key."""
    fixed, rng = np.random.default_rng(99), np.random.default_rng(seed)
    key, value = fixed.standard_normal((2, d))
    x, y = rng.standard_normal((n, t, d)), np.tile([1, -1], n // 2)
    place = rng.integers(t - 3, size=n)
    for i in range(n):
        x[i, place[i]] += 1.5 * key + value * y[i]
        for j in rng.choice([j for j in range(t - 3) if j != place[i]], 3, replace=False):
            x[i, j] += value * rng.choice([-1, 1])
        x[i, t - int(rng.integers(4)) :] = np.nan
    return x, y, place


def test_it_reads_the_token_with_the_key_where_a_mean_over_tokens_is_drowned():
    (x, y, _), (test, wanted, place) = planted(0), planted(1)
    probe = AttentionProbe().fit(x, y)
    assert auroc(probe.decision_function(test), wanted) > 0.95
    mean = RidgeProbe().fit(np.nanmean(x, axis=1), y).decision_function(np.nanmean(test, axis=1))
    assert auroc(mean, wanted) < 0.8
    weights = probe.attention(test)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert np.all(weights[np.isnan(test[:, :, 0])] == 0)
    assert np.mean(weights.argmax(axis=1) == place) > 0.9


def test_neither_the_order_of_tokens_nor_more_padding_matters():
    x, y, _ = planted(2, n=60)
    order = np.random.default_rng(0).permutation(x.shape[1])
    padded = np.concatenate([x, np.full((60, 4, x.shape[2]), np.nan)], axis=1)
    probe = AttentionProbe().fit(x, y)
    np.testing.assert_allclose(probe.decision_function(x[:, order]), probe.decision_function(x), atol=1e-9)
    np.testing.assert_allclose(
        AttentionProbe().fit(padded, y).decision_function(x), probe.decision_function(x), atol=1e-6
    )


def test_noise_is_at_chance():
    rng = np.random.default_rng(3)
    x, test = rng.standard_normal((2, 100, 6, 20))
    labels = np.where(rng.random((30, 200)) < 0.5, 1, -1)
    decisions = AttentionProbe().relabelled(x, test, labels[:, :100])
    assert abs(np.mean(auroc(decisions, labels[:, 100:])) - 0.5) < 0.03


def test_its_query_and_readout_are_those_it_uses():
    x, y, _ = planted(4, n=60)
    probe = AttentionProbe().fit(x, y)
    i = 7
    tokens = x[i][~np.isnan(x[i, :, 0])]
    score = tokens @ probe.query_
    weights = np.exp(score - score.max())
    weights /= weights.sum()
    pooled = weights @ tokens
    offset = probe.decision_function(x)[i] - pooled @ probe.readout_
    others = [j for j in range(60) if j != i]
    for j in others[:5]:
        tokens = x[j][~np.isnan(x[j, :, 0])]
        score = tokens @ probe.query_
        weights = np.exp(score - score.max())
        pooled = weights @ tokens / weights.sum()
        assert probe.decision_function(x)[j] == pytest.approx(pooled @ probe.readout_ + offset, abs=1e-8)


def test_a_row_without_tokens_is_refused():
    x, y, _ = planted(5, n=20)
    x[3] = np.nan
    with pytest.raises(UsageError, match="row 3"):
        AttentionProbe().fit(x, y)
