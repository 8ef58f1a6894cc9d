"""The maximum statistic: exact under the null for any shape of map, and blind to the scale of a cell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conceptprobe.errors import TooFewRows, UsageError
from conceptprobe.stats.exchange import add_one_p
from conceptprobe.stats.maxstat import FAMILY_WISE, max_statistic


def a_map_of_nothing(rng, draws: int, shape: tuple[int, ...]):
    """Correlated cells of unequal scale and skewness; row 0 is the observed map and comes from where the draws come from."""
    cells = int(np.prod(shape))
    shared = rng.standard_normal((draws + 1, 1))
    noise = rng.standard_normal((draws + 1, cells))
    scale, offset = rng.uniform(0.01, 100, cells), rng.standard_normal(cells)
    skewed = np.where(np.arange(cells) % 2, np.exp(noise), noise)
    whole = (scale * (0.7 * shared + skewed) + offset).reshape(draws + 1, *shape)
    return whole[0], whole[1:]


@pytest.mark.parametrize(("draws", "shape"), [(20, (2, 3)), (99, (6, 6)), (199, (40,))])
def test_the_family_wise_error_is_five_percent_or_less_under_the_null(draws, shape):
    rng = np.random.default_rng(0)
    runs = 1500
    false, uncorrected = 0, 0
    for _ in range(runs):
        value, null = a_map_of_nothing(rng, draws, shape)
        false += bool(max_statistic(value, null).survives.any())
        uncorrected += bool(((1 + (null >= value).sum(axis=0)) / (1 + draws) < FAMILY_WISE).any())
    exact = (np.ceil(FAMILY_WISE * (draws + 1)) - 1) / (draws + 1)  # the largest p below 5% that this many draws allow
    assert false / runs == pytest.approx(exact, abs=3.5 * np.sqrt(exact * (1 - exact) / runs))
    assert uncorrected / runs > 2 * FAMILY_WISE


def test_a_planted_cell_is_found_and_only_that_one():
    rng = np.random.default_rng(1)
    found, others = 0, 0
    for _ in range(200):
        value, null = a_map_of_nothing(rng, 199, (5, 5))
        value[2, 3] = null[:, 2, 3].mean() + 8 * null[:, 2, 3].std()
        marks = max_statistic(value, null).survives
        found += marks[2, 3]
        others += marks.sum() - marks[2, 3] > 0
    assert found > 190
    assert others <= 20


def test_of_one_cell_p_is_the_plain_add_one_p(rng):
    for value in rng.standard_normal(20) * 2:
        null = rng.standard_normal(99)
        found = max_statistic(np.array([value]), null[:, None])
        assert found.p[0] == pytest.approx(add_one_p(value, null))
        assert found.z[0] == pytest.approx((value - null.mean()) / null.std())


@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(-5, 5))
def test_the_unit_of_a_cell_does_not_matter(seed, scale, offset):
    value, null = a_map_of_nothing(np.random.default_rng(seed), 30, (3, 2))
    before = max_statistic(value, null)
    value[1, 1], null[:, 1, 1] = scale * value[1, 1] + offset, scale * null[:, 1, 1] + offset
    after = max_statistic(value, null)
    np.testing.assert_allclose(after.z, before.z, rtol=1e-6, atol=1e-8)
    np.testing.assert_array_equal(after.p, before.p)


def test_p_is_that_of_the_rank_among_maxima_counted_by_hand(rng):
    value, null = a_map_of_nothing(rng, 40, (2, 2))
    whole = np.concatenate([value[None], null])
    z = (whole - whole.mean(axis=0)) / whole.std(axis=0)
    highest = [z[i].max() for i in range(1, 41)]
    expected = [[(1 + sum(h >= z[0, i, j] for h in highest)) / 41 for j in range(2)] for i in range(2)]
    np.testing.assert_allclose(max_statistic(value, null).p, expected)


def test_more_cells_never_make_a_cell_stand_out_more(rng):
    value, null = a_map_of_nothing(rng, 99, (12,))
    value[0] += 3 * null[:, 0].std()
    alone, among = max_statistic(value[:1], null[:, :1]), max_statistic(value, null)
    assert among.p[0] >= alone.p[0]
    assert among.z[0] == alone.z[0]


def test_cells_without_a_number_are_left_out_and_change_nothing(rng):
    value, null = a_map_of_nothing(rng, 50, (2, 3))
    wider, draws = np.full((2, 4), np.nan), np.full((50, 2, 4), np.nan)
    wider[:, :3], draws[:, :, :3] = value, null
    found, expected = max_statistic(wider, draws), max_statistic(value, null)
    np.testing.assert_array_equal(found.p[:, :3], expected.p)
    assert np.isnan(found.p[:, 3]).all()
    assert not found.survives[:, 3].any()
    assert np.isnan(max_statistic(np.array([np.nan]), np.zeros((5, 1))).p).all()


def test_draws_that_do_not_vary():
    null = np.full((99, 3), 0.1 + 0.2)
    found = max_statistic(np.array([0.3, 0.5, 0.1]), null)
    np.testing.assert_array_equal(found.z, [0.0, np.inf, -np.inf])
    assert found.p[0] == 1.0
    assert found.p[1] == pytest.approx(1 / 100)
    assert found.p[2] == 1.0


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(UsageError, match="shape"):
        max_statistic(np.zeros((2, 3)), np.zeros((10, 3, 2)))
    with pytest.raises(TooFewRows):
        max_statistic(np.zeros(2), np.zeros((1, 2)))
