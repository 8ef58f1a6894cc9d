"""CCA, SVCCA and PWCCA: invariances, published values, the generalised eigenproblem, and the refusal at n <= 2 d."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment.spaces import (
    assert_leaving_out_is_deleting,
    assert_the_null_is_the_metric_on_renamed_items,
    published,
    related,
    turned,
)
from conceptprobe import registry
from conceptprobe.alignment.cca import Cca, canonical_correlations, mean_correlation
from conceptprobe.alignment.principal import principal_axes
from conceptprobe.alignment.pwcca import Pwcca, projection_weighted
from conceptprobe.alignment.svcca import Svcca, kept_axes
from conceptprobe.errors import TooFewRows, UsageError

METRICS = {"cca": Cca(), "svcca": Svcca(), "pwcca": Pwcca()}
sizes = st.tuples(st.integers(0, 1000), st.integers(1, 8), st.integers(1, 8), st.integers(1, 30))


def sized(size: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Related spaces with more items than twice the dimensions."""
    seed, dx, dy, more = size
    return related(np.random.default_rng(seed), n=2 * max(dx, dy, 2) + more, dx=dx, dy=dy)


def by_eigenproblem(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Canonical correlations, falling, and the variates of x, from Cxy Cyy^-1 Cyx w = rho^2 Cxx w."""
    from scipy.linalg import eigh

    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    squares, w = eigh(x.T @ y @ np.linalg.solve(y.T @ y, y.T @ x), x.T @ x)
    count = min(x.shape[1], y.shape[1])
    return np.sqrt(np.clip(squares[::-1][:count], 0, 1)), (x @ w[:, ::-1])[:, :count]


def test_all_are_registered():
    for name, metric in METRICS.items():
        assert registry.get("metric", name) == metric
    assert registry.entries("metric")["pwcca"].about["symmetric"] is False


@pytest.mark.parametrize("name", METRICS)
def test_equal_spaces_reach_one_and_unequal_ones_do_not(name, rng):
    x, y = related(rng, noise=3.0)
    assert METRICS[name](x, x) == pytest.approx(1.0)
    assert METRICS[name](x, y) < 0.95


def test_only_the_weighted_one_asks_who_is_first(rng):
    x, y = related(rng, noise=3.0)
    for name in ("cca", "svcca"):
        assert METRICS[name](x, y) == pytest.approx(METRICS[name](y, x))
    assert abs(METRICS["pwcca"](x, y) - METRICS["pwcca"](y, x)) > 1e-3


@pytest.mark.parametrize("name", METRICS)
def test_rotation_scale_and_shift_of_the_second_space_are_seen_through(name, rng):
    x, y = related(rng, noise=3.0)
    assert METRICS[name](x, turned(rng, y)) == pytest.approx(METRICS[name](x, y), abs=1e-9)


def test_any_invertible_map_is_seen_through_but_not_by_svcca_nor_by_weights_of_its_space(rng):
    x, y = related(rng, noise=3.0)
    stretch = rng.standard_normal((9, 9)) * np.logspace(0, 3, 9)
    for name in ("cca", "pwcca"):
        assert METRICS[name](x, y @ stretch) == pytest.approx(METRICS[name](x, y), abs=1e-9)
    assert abs(METRICS["svcca"](x, y @ stretch) - METRICS["svcca"](x, y)) > 1e-3
    assert abs(METRICS["pwcca"](y @ stretch, x) - METRICS["pwcca"](y, x)) > 1e-3


def test_pwcca_sees_through_scale_and_shift_of_the_first_space_but_not_through_its_rotation(rng):
    x, y = related(rng, noise=3.0)
    assert METRICS["pwcca"](2.5 * x + 1.0, y) == pytest.approx(METRICS["pwcca"](x, y), abs=1e-9)
    assert abs(METRICS["pwcca"](turned(rng, x), y) - METRICS["pwcca"](x, y)) > 1e-5


@pytest.mark.parametrize("name", METRICS)
def test_the_null_is_the_metric_on_renamed_items(name, rng):
    assert_the_null_is_the_metric_on_renamed_items(METRICS[name], *related(rng), rng)


@pytest.mark.parametrize("metric", [Cca(), Pwcca(), Svcca(), Svcca(threshold=0.7)])
@pytest.mark.parametrize(("dx", "dy"), [(12, 9), (5, 9)])
def test_leaving_out_is_deleting(metric, dx, dy, rng):
    assert_leaving_out_is_deleting(metric, *related(rng, dx=dx, dy=dy, noise=3.0))


@pytest.mark.parametrize("metric", [Cca(), Pwcca()])
def test_a_direction_that_one_item_carries_goes_with_it(metric, rng):
    x, y = related(rng, n=30, dx=6, dy=4, noise=3.0)
    x[:, 5] = 0.0
    x[7, 5] = 2.0
    brute = metric(np.delete(np.delete(x, 7, 0), 5, 1), np.delete(y, 7, 0))
    assert metric.leave_one_out(metric.prepare(x), metric.prepare(y))[7] == pytest.approx(brute, abs=1e-9)


def test_published_values_of_the_plain_functions():
    x, y = (principal_axes(z) for z in published())
    assert mean_correlation(x.basis.T @ y.basis) == pytest.approx(0.8901049738, abs=1e-9)
    left, right = (z.basis[:, : kept_axes(z, 0.99)] for z in (x, y))
    assert mean_correlation(left.T @ right) == pytest.approx(0.7831814123, abs=1e-9)


def reference_pwcca(x: np.ndarray, y: np.ndarray) -> float:
    """PWCCA as its authors' code has it: directions not whitened, on features that are not centred, made orthonormal."""
    zx, zy = x - x.mean(axis=0), y - y.mean(axis=0)

    def whitening(z: np.ndarray) -> np.ndarray:
        values, vectors = np.linalg.eigh(z.T @ z)
        return vectors / np.sqrt(values) @ vectors.T

    u, found, _ = np.linalg.svd(whitening(zx) @ zx.T @ zy @ whitening(zy))
    directions, _ = np.linalg.qr(zx @ u + x.mean(axis=0))
    weights = np.abs(directions.T @ x).sum(axis=1)
    return float(weights @ found / weights.sum())


def test_the_published_pwcca_is_one_of_many_values_that_rounding_gives():
    x, y = published()
    axes = [principal_axes(z) for z in (x, y)]
    found = canonical_correlations(axes[0].basis.T @ axes[1].basis)
    # 25 + 25 dimensions share the 29 that 30 centred items have: 21 correlations are 1, and their variates are anybody's.
    assert (found > 1 - 1e-9).sum() == 25 + 25 - 29
    rng = np.random.default_rng(0)
    values = [reference_pwcca(x + 1e-14 * rng.standard_normal(x.shape), y) for _ in range(200)]
    assert min(values) < 0.9588540571 < max(values)
    assert max(values) - min(values) > 0.01


@given(sizes)
def test_correlations_and_weights_are_those_of_the_eigenproblem(size):
    x, y = sized(size)
    rho, variates = by_eigenproblem(x, y)
    a, b = principal_axes(x), principal_axes(y)
    np.testing.assert_allclose(canonical_correlations(a.basis.T @ b.basis), rho, atol=1e-7)
    assert METRICS["cca"](x, y) == pytest.approx(rho.mean(), abs=1e-7)
    weights = np.abs(variates.T @ (x - x.mean(axis=0))).sum(axis=1)
    assert METRICS["pwcca"](x, y) == pytest.approx(weights @ rho / weights.sum(), abs=1e-5)


@settings(max_examples=40)
@given(sizes, st.sampled_from([0.5, 0.9, 0.99]))
def test_svcca_is_cca_of_scikit_learns_principal_components(size, threshold):
    from sklearn.decomposition import PCA

    x, y = sized(size)
    left, right = (PCA(threshold, svd_solver="full").fit_transform(z) for z in (x, y))
    assert Svcca(threshold)(x, y) == pytest.approx(by_eigenproblem(left, right)[0].mean(), abs=1e-7)


def test_unrelated_spaces_are_near_one_as_n_nears_the_dimensions_and_so_are_refused():
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((2, 41, 20))
    assert METRICS["cca"](x, y) > 0.5
    for name in ("cca", "pwcca"):
        with pytest.raises(
            TooFewRows, match="40 rows are too few for canonical correlations in 20 dimensions"
        ) as refused:
            METRICS[name](x[:40], y[:40])
        assert "cka" in refused.value.hint
        with pytest.raises(TooFewRows):
            METRICS[name](x[:40], y[:40, :2])
    with pytest.raises(TooFewRows, match="30 rows are too few"):
        METRICS["svcca"](x[:30, :], y[:30, :2])


def test_svcca_counts_the_axes_it_keeps_not_those_there_are(rng):
    x = rng.standard_normal((40, 5)) @ rng.standard_normal((5, 300))
    assert METRICS["svcca"](x, x + 1e-3 * rng.standard_normal((40, 300))) == pytest.approx(1.0, abs=1e-3)
    with pytest.raises(TooFewRows):
        METRICS["cca"](x, x)


@pytest.mark.parametrize("name", METRICS)
def test_a_space_that_does_not_vary_is_alike_to_none(name, rng):
    x, _ = related(rng)
    still = np.full((40, 6), 0.1)
    almost = still.copy()
    almost[3] += 1.0
    assert METRICS[name](x, still) == 0.0
    assert METRICS[name](still, x) == 0.0
    for a, b in ((x, almost), (almost, x)):
        without = METRICS[name].leave_one_out(METRICS[name].prepare(a), METRICS[name].prepare(b))
        assert without[3] == 0.0
        assert (np.delete(without, 3) > 0).all()


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.5])
def test_a_threshold_that_is_no_share_is_refused(threshold):
    with pytest.raises(UsageError, match="between 0 and 1"):
        Svcca(threshold)


def test_weights_of_an_empty_space_are_no_error():
    assert projection_weighted(np.zeros((0, 3)), np.zeros((0, 4))) == 0.0
