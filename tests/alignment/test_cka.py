"""CKA: invariances, published values, the definitions summed term by term, rsatoolbox and calibrated-similarity."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignment.spaces import (
    assert_equal_spaces_reach_one,
    assert_leaving_out_is_deleting,
    assert_the_null_is_the_metric_on_renamed_items,
    assert_turns_are_seen_through_and_a_stretch_is_not,
    published,
    related,
)
from conceptprobe import registry
from conceptprobe.alignment.cka import Cka
from conceptprobe.alignment.grams import squared_distances
from conceptprobe.alignment.hsic import Biased, Lange, Song
from conceptprobe.alignment.rbf_cka import RbfCka
from conceptprobe.errors import TooFewRows, UsageError

REGISTERED = {
    "cka": Cka(Song()),
    "cka_biased": Cka(Biased()),
    "cka_lange": Cka(Lange()),
    "rbf_cka": RbfCka(Song()),
    "rbf_cka_biased": RbfCka(Biased()),
}
METRICS = {
    **REGISTERED,
    "rbf_cka of Lange": RbfCka(Lange(), median_fraction=0.5),
    "rbf_cka of fixed width": RbfCka(Song(), sigma=4.0),
    "rbf_cka of Lange and fixed width": RbfCka(Lange(), sigma=3.0),
}
sizes = st.tuples(st.integers(0, 1000), st.integers(5, 25), st.integers(1, 20), st.integers(1, 20))


def clouds(seed: int, n: int, dx: int, dy: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, dx)), rng.standard_normal((n, dy))


def test_the_variants_are_registered_as_they_are_tested_here():
    for name, metric in REGISTERED.items():
        assert registry.get("metric", name) == metric
        assert registry.entries("metric")[name].about["closer"] == "higher"


@pytest.mark.parametrize("name", METRICS)
def test_equal_spaces_reach_one_and_unequal_ones_do_not(name, rng):
    assert_equal_spaces_reach_one(METRICS[name], *related(rng))


@pytest.mark.parametrize("name", REGISTERED)
def test_rotation_scale_and_shift_are_seen_through_and_a_stretch_is_not(name, rng):
    assert_turns_are_seen_through_and_a_stretch_is_not(METRICS[name], rng)


def test_a_kernel_of_fixed_width_sees_scale(rng):
    x, _ = related(rng)
    assert METRICS["rbf_cka of fixed width"](x, 3.0 * x) < 0.99


@pytest.mark.parametrize("name", METRICS)
def test_the_null_is_the_metric_on_renamed_items(name, rng):
    assert_the_null_is_the_metric_on_renamed_items(METRICS[name], *related(rng), rng)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("noise", [0.5, 20.0])
def test_leaving_out_is_deleting(name, noise, rng):
    assert_leaving_out_is_deleting(METRICS[name], *related(rng, n=25, noise=noise))


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        (Cka(Biased()), 0.4893427391),
        (Cka(Song()), 0.0235986986),
        (Cka(Lange()), 0.0533364433),
        (RbfCka(Biased(), sigma=1.0), 0.8940267986),
    ],
)
def test_published_values(metric, value):
    assert metric(*published()) == pytest.approx(value, abs=1e-9)


@given(sizes)
def test_the_biased_form_is_rsatoolbox_on_squared_distances(size):
    from rsatoolbox.rdm import RDMs, compare
    from scipy.spatial.distance import pdist

    x, y = clouds(*size)
    # The whitened cosine of squared distances is linear CKA (Diedrichsen et al. 2020).
    rdms = [RDMs(pdist(z, "sqeuclidean")[None]) for z in (x, y)]
    assert REGISTERED["cka_biased"](x, y) == pytest.approx(compare(*rdms, method="cosine_cov").item(), abs=1e-8)


@given(st.integers(0, 1000), st.integers(5, 7))
def test_song_is_the_average_over_four_different_items(seed, n):
    x, y = clouds(seed, n, 3, 4)
    k, l_ = x @ x.T, y @ y.T

    def hsic(a: np.ndarray, b: np.ndarray) -> float:
        terms = [a[i, j] * (b[i, j] + b[q, r] - 2.0 * b[i, q]) for i, j, q, r in permutations(range(n), 4)]
        return float(np.mean(terms))

    expected = hsic(k, l_) / np.sqrt(hsic(k, k) * hsic(l_, l_))
    assert REGISTERED["cka"](x, y) == pytest.approx(expected, abs=1e-8)


@given(sizes)
def test_lange_is_the_inner_product_below_the_diagonal_of_centred_grams(size):
    x, y = clouds(*size)
    n = len(x)
    below = np.tril_indices(n, -1)
    h = np.eye(n) - 1.0 / n
    k, l_ = ((h @ (z @ z.T) @ h)[below] for z in (x, y))
    expected = k @ l_ / np.sqrt((k @ k) * (l_ @ l_))
    assert REGISTERED["cka_lange"](x, y) == pytest.approx(expected, abs=1e-9)


@given(sizes, st.floats(0.3, 3.0))
def test_rbf_cka_is_cka_of_scikit_learns_kernel_at_the_median_distance(size, fraction):
    from scipy.spatial.distance import pdist
    from sklearn.metrics.pairwise import rbf_kernel

    x, y = clouds(*size)
    n = len(x)
    h = np.eye(n) - 1.0 / n
    k, l_ = (h @ rbf_kernel(z, gamma=0.5 / (fraction * np.median(pdist(z))) ** 2) @ h for z in (x, y))
    expected = np.vdot(k, l_) / np.sqrt(np.vdot(k, k) * np.vdot(l_, l_))
    assert RbfCka(Biased(), median_fraction=fraction)(x, y) == pytest.approx(expected, abs=1e-9)


def test_a_wide_gaussian_kernel_is_linear_cka(rng):
    x, y = related(rng)
    assert RbfCka(median_fraction=300.0)(x, y) == pytest.approx(REGISTERED["cka"](x, y), abs=1e-3)


@given(sizes, st.floats(0, 1e3), st.floats(1e-6, 1e-1))
def test_distances_are_accurate_far_from_zero_and_between_near_rows(size, shift, gap):
    seed, n, d, _ = size
    rng = np.random.default_rng(seed)
    x = shift + rng.standard_normal((n, d))
    x[1] = x[0] + gap * rng.standard_normal(d)
    expected = ((x[:, None] - x[None, :]) ** 2).sum(axis=2)
    # What is left is the rounding of the features themselves, at their distance from zero.
    slack = 1e-14 * (1.0 + shift) * np.sqrt(d)
    assert np.abs(np.sqrt(squared_distances(x)) - np.sqrt(expected)).max() < slack + 1e-9 * np.sqrt(expected).max()
    assert squared_distances(x)[0, 1] == pytest.approx(expected[0, 1], rel=1e-6, abs=slack**2)


def test_songs_form_of_independent_wide_spaces_is_zero_on_average_and_the_others_are_not():
    rng = np.random.default_rng(1)
    pairs = [rng.standard_normal((2, 64, 1024)) for _ in range(20)]
    means = {name: np.mean([metric(x, y) for x, y in pairs]) for name, metric in REGISTERED.items()}
    assert abs(means["cka"]) < 0.02
    assert abs(means["rbf_cka"]) < 0.02
    assert means["cka_lange"] == pytest.approx(1024 / (1024 + 64**2), abs=0.02)
    assert means["cka_biased"] > 0.9
    assert means["rbf_cka_biased"] > 0.9


def test_p_and_threshold_are_those_of_calibrated_similarity(rng):
    import torch
    from calibrated_similarity import calibrate

    x, y = related(rng, noise=15.0)
    metric = REGISTERED["cka"]
    orders = [rng.permutation(40) for _ in range(99)]
    queue = iter(orders)
    _, p, threshold = calibrate(
        torch.as_tensor(x),
        torch.as_tensor(y),
        lambda a, b: metric(a.numpy(), b.numpy()),
        K=99,
        smax=None,
        perm_fn=lambda n, device: torch.as_tensor(next(queue)),
    )
    a, b = metric.prepare(x), metric.prepare(y)
    value, null = metric.compare(a, b), metric.null(a, b, np.array(orders))
    assert float(p) == pytest.approx((1 + (null >= value).sum()) / 100)
    assert float(threshold) == pytest.approx(np.sort([value, *null])[94], abs=1e-6)


@pytest.mark.parametrize("name", METRICS)
def test_a_space_that_does_not_vary_is_alike_to_none(name, rng):
    x, _ = related(rng)
    still = np.full((40, 6), 0.1)
    almost = still.copy()
    almost[3] += 1.0
    assert METRICS[name](x, still) == 0.0
    assert METRICS[name](still, still) == 0.0
    if "rbf_cka" not in name or "fixed" in name:
        without = METRICS[name].leave_one_out(METRICS[name].prepare(x), METRICS[name].prepare(almost))
        assert without[3] == 0.0
        assert np.isfinite(without).all()


@pytest.mark.parametrize(("name", "n"), [("cka", 4), ("cka_lange", 4), ("cka_biased", 2), ("rbf_cka", 4)])
def test_too_few_rows_are_refused(name, n, rng):
    with pytest.raises(TooFewRows):
        METRICS[name](rng.standard_normal((n, 3)), rng.standard_normal((n, 3)))


def test_a_median_of_zero_and_a_width_of_zero_are_refused(rng):
    same = np.repeat(rng.standard_normal((2, 3)), [18, 2], axis=0)
    with pytest.raises(UsageError, match="most rows are equal"):
        REGISTERED["rbf_cka"](same, rng.standard_normal((20, 3)))
    for settings in ({"sigma": 0.0}, {"median_fraction": -1.0}):
        with pytest.raises(UsageError, match="greater than 0"):
            RbfCka(**settings)
