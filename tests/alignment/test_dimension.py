"""Intrinsic dimension: planted dimensions, the library on its own, deletion by hand, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from conceptprobe.alignment.dimension import DIMENSIONS, mle, two_nn
from conceptprobe.errors import TooFewRows, UsageError


def flat(rng, d, n=400, into=30):
    """A d-dimensional Gaussian cloud in a larger space."""
    return rng.standard_normal((n, d)) @ np.linalg.qr(rng.standard_normal((into, d)))[0].T


@pytest.mark.parametrize("name", DIMENSIONS)
@pytest.mark.parametrize("d", [1, 2, 5])
def test_a_planted_dimension_is_found(name, d, rng):
    found = DIMENSIONS[name](flat(rng, d))
    assert found.estimate == pytest.approx(d, rel=0.2)
    assert found.ci_low < found.estimate < found.ci_high
    assert 0 < found.error < 0.2 * d
    assert found.n == 400


@pytest.mark.parametrize("name", DIMENSIONS)
def test_a_curved_sheet_has_the_dimension_of_a_sheet(name, rng):
    t, height = rng.uniform(3, 9, 600), rng.uniform(0, 6, 600)
    roll = np.column_stack([t * np.cos(t), height, t * np.sin(t)])
    assert DIMENSIONS[name](roll).estimate == pytest.approx(2.0, abs=0.3)


@pytest.mark.parametrize("name", DIMENSIONS)
def test_rotation_scale_and_shift_change_nothing_and_a_nonlinear_warp_does(name, rng):
    x = flat(rng, 3, n=80, into=6)
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    moved = DIMENSIONS[name](5.0 * x @ turn + 2.0)
    assert moved.estimate == pytest.approx(DIMENSIONS[name](x).estimate, abs=1e-6)
    assert abs(DIMENSIONS[name](x**3).estimate - moved.estimate) > 0.01


def test_estimates_are_those_of_the_library_on_the_rows_themselves(rng):
    from skdim.id import MLE, TwoNN

    for d, into in ((2, 5), (4, 40)):
        x = flat(rng, d, n=120, into=into)
        assert two_nn(x).estimate == pytest.approx(TwoNN(discard_fraction=0.1).fit(x).dimension_, abs=1e-6)
        for k in (5, 20):
            expected = MLE().fit(x, n_neighbors=k, comb="mle").dimension_
            assert mle(x, k).estimate == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", DIMENSIONS)
def test_the_error_is_that_of_deleting_rows_one_by_one(name, rng):
    x = flat(rng, 2, n=30, into=4)
    left_out = np.array([DIMENSIONS[name](np.delete(x, i, 0)).estimate for i in range(30)])
    expected = np.sqrt(29 / 30 * ((left_out - left_out.mean()) ** 2).sum())
    assert DIMENSIONS[name](x).error == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", DIMENSIONS)
def test_the_interval_is_wide_enough(name):
    rng = np.random.default_rng(8)
    found = [DIMENSIONS[name](rng.uniform(size=(120, 2))) for _ in range(40)]
    # Neither is unbiased at this n: the interval is asked to hold the mean over samples.
    mean = np.mean([one.estimate for one in found])
    assert sum(one.ci_low <= mean <= one.ci_high for one in found) >= 33  # 38 expected; 32 or fewer is below 0.2%


@pytest.mark.parametrize("name", DIMENSIONS)
def test_copies_grids_nan_and_few_rows_are_refused_in_words(name, rng):
    x = flat(rng, 2, n=30, into=4)
    copied = x.copy()
    copied[7] = copied[3]
    with pytest.raises(UsageError, match="rows 3 and 7 are the same, and 2 of 30"):
        DIMENSIONS[name](copied)
    with pytest.raises(UsageError, match="equally far"):
        DIMENSIONS[name](np.eye(30))
    x[0, 0] = np.nan
    with pytest.raises(UsageError, match="NaN"):
        DIMENSIONS[name](x)
    with pytest.raises(TooFewRows, match="at least"):
        DIMENSIONS[name](rng.standard_normal((9, 3)))


def test_settings_of_the_likelihood_are_checked(rng):
    with pytest.raises(UsageError, match="k = 2"):
        mle(rng.standard_normal((30, 3)), k=2)
    with pytest.raises(TooFewRows, match="at least 32"):
        mle(rng.standard_normal((31, 3)), k=30)
    assert np.isfinite(mle(rng.standard_normal((32, 3)), k=30).error)
