"""The mass-mean probe: two means, a rotation, and nothing else."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestCentroid

from conceptprobe.probes.mean_difference import MeanDifferenceProbe


def data(seed: int, n: int = 30, d: int = 7):
    rng = np.random.default_rng(seed)
    y = np.where(rng.permutation(n) < n // 3, 1, -1)
    return rng.standard_normal((n, d)) + 0.5 * y[:, None] + 3, y, rng


@given(st.integers(0, 200))
@settings(max_examples=30, deadline=None)
def test_it_is_the_difference_of_means_and_decides_by_the_nearer_one(seed):
    x, y, rng = data(seed)
    probe = MeanDifferenceProbe().fit(x, y)
    np.testing.assert_allclose(probe.coef_, x[y > 0].mean(axis=0) - x[y < 0].mean(axis=0), atol=1e-12)
    test = rng.standard_normal((20, 7)) + 3
    np.testing.assert_array_equal(probe.predict(test), NearestCentroid().fit(x, y).predict(test))


def test_its_direction_turns_with_the_space_and_ignores_shift_and_common_scale():
    x, y, rng = data(1)
    turn = np.linalg.qr(rng.standard_normal((7, 7)))[0]
    one, two = MeanDifferenceProbe().fit(x, y), MeanDifferenceProbe().fit(2.5 * x @ turn + 4, y)
    np.testing.assert_allclose(one.direction_ @ turn, two.direction_, atol=1e-12)
