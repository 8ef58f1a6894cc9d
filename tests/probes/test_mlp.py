"""The MLP probe: what ridge cannot read it reads, and noise stays noise."""

from __future__ import annotations

import numpy as np

from conceptprobe.probes.mlp import MLPProbe
from conceptprobe.probes.ridge import RidgeProbe
from conceptprobe.probes.trained import Reduction
from conceptprobe.stats.auroc import auroc


def exclusive_or(rng: np.random.Generator, n: int, basis: np.ndarray):
    latent = rng.standard_normal((n, len(basis)))
    x = latent @ basis + 0.5 * rng.standard_normal((n, basis.shape[1]))
    return x, np.where(latent[:, 0] * latent[:, 1] > 0, 1, -1)


def test_exclusive_or_is_read_by_the_mlp_and_not_by_ridge():
    rng = np.random.default_rng(0)
    basis = rng.standard_normal((6, 96)) * np.array([1.5, 1.5, 0.5, 0.5, 0.5, 0.5])[:, None]
    x, y = exclusive_or(rng, 400, basis)
    test, wanted = exclusive_or(rng, 400, basis)
    assert auroc(MLPProbe().fit(x, y).decision_function(test), wanted) > 0.9
    assert auroc(RidgeProbe().fit(x, y).decision_function(test), wanted) < 0.65


def test_noise_is_at_chance():
    rng = np.random.default_rng(1)
    x, test = rng.standard_normal((120, 40)), rng.standard_normal((120, 40))
    labels = np.where(rng.random((30, 240)) < 0.5, 1, -1)
    decisions = MLPProbe().relabelled(x, test, labels[:, :120])
    assert abs(np.mean(auroc(decisions, labels[:, 120:])) - 0.5) < 0.03


def test_one_seed_gives_one_probe_and_another_gives_another():
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((60, 10)), np.tile([1, -1], 30)
    one, again, other = (MLPProbe(seed=s).fit(x, y).decision_function(x) for s in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)


def test_the_reduction_is_the_singular_value_decomposition_of_standardised_rows():
    rng = np.random.default_rng(3)
    for n, d in ((30, 8), (12, 40)):
        x = rng.standard_normal((n, d)) * rng.uniform(0.1, 5, d) + 3
        reduced = Reduction.of(x, 4)(x)
        z = (x - x.mean(axis=0)) / x.std(axis=0)
        u, s, _ = np.linalg.svd(z, full_matrices=False)
        unit = np.sqrt(4 * n / (s[:4] ** 2).sum())
        np.testing.assert_allclose(np.abs(reduced), np.abs(u[:, :4] * s[:4] * unit), atol=1e-8)
        np.testing.assert_allclose((reduced**2).mean(), 1.0)
