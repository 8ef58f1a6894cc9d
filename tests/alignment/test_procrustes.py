"""Procrustes distances: invariances, the triangle inequality, the published value, scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignment.spaces import (
    assert_leaving_out_is_deleting,
    assert_the_null_is_the_metric_on_renamed_items,
    published,
    related,
    turned,
)
from conceptprobe import registry
from conceptprobe.alignment.procrustes import AngularProcrustes, Procrustes
from conceptprobe.errors import TooFewRows

METRICS = {"procrustes": Procrustes(), "angular_procrustes": AngularProcrustes()}


def test_both_are_registered_as_distances():
    for name, metric in METRICS.items():
        assert registry.get("metric", name) == metric
        assert registry.entries("metric")[name].about["closer"] == "lower"


@pytest.mark.parametrize("name", METRICS)
def test_equal_spaces_are_at_zero_and_unequal_ones_are_not(name, rng):
    x, y = related(rng)
    # Near 1 the arccosine and the root turn a rounding error of 1e-16 into one of 1e-8.
    assert METRICS[name](x, x) == pytest.approx(0.0, abs=1e-7)
    assert METRICS[name](x, y) > 0.1
    assert METRICS[name](x, y) == pytest.approx(METRICS[name](y, x))


@pytest.mark.parametrize("name", METRICS)
def test_rotation_reflection_scale_and_shift_are_seen_through_and_a_stretch_is_not(name, rng):
    x, y = related(rng)
    mirrored = turned(rng, y) * np.array([-1.0] + [1.0] * 8)
    assert METRICS[name](x, mirrored) == pytest.approx(METRICS[name](x, y), abs=1e-9)
    assert METRICS[name](x, x * np.array([20.0] + [1.0] * 11)) > 0.2


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("d", [9, 60])
def test_the_null_is_the_metric_on_renamed_items(name, d, rng):
    assert_the_null_is_the_metric_on_renamed_items(METRICS[name], *related(rng, n=30, dx=d), rng)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("d", [9, 60])
def test_leaving_out_is_deleting(name, d, rng):
    assert_leaving_out_is_deleting(METRICS[name], *related(rng, n=20, dx=d, noise=5.0))


def test_the_published_value_is_the_angle():
    assert METRICS["angular_procrustes"](*published()) == pytest.approx(0.7629815799, abs=1e-9)


@given(st.integers(0, 1000), st.integers(4, 30), st.integers(1, 20))
def test_both_follow_from_scipys_disparity(seed, n, d):
    from scipy.spatial import procrustes

    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, d)), rng.standard_normal((n, d))
    # scipy also scales the second space to fit best: what is left is then 1 - nu^2.
    nu = np.sqrt(1.0 - procrustes(x, y)[2])
    assert METRICS["procrustes"](x, y) == pytest.approx(np.sqrt(2.0 - 2.0 * nu), abs=1e-7)
    assert METRICS["angular_procrustes"](x, y) == pytest.approx(np.arccos(nu), abs=1e-7)


@given(st.integers(0, 1000), st.integers(1, 40))
def test_no_rotation_comes_nearer(seed, d):
    rng = np.random.default_rng(seed)
    x, y = (z - z.mean(axis=0) for z in rng.standard_normal((2, 20, d)))
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    q = np.linalg.qr(rng.standard_normal((d, d)))[0]
    assert METRICS["procrustes"](x, y) <= np.linalg.norm(x - y @ q) + 1e-9


@pytest.mark.parametrize("name", METRICS)
@given(st.integers(0, 1000))
def test_the_triangle_inequality_holds(name, seed):
    rng = np.random.default_rng(seed)
    x, y = related(rng, n=12, dx=4, dy=5)
    z = x[:, :3] + 0.3 * rng.standard_normal((12, 3))
    metric = METRICS[name]
    assert metric(x, z) <= metric(x, y) + metric(y, z) + 1e-9


@pytest.mark.parametrize(("name", "farthest"), [("procrustes", np.sqrt(2.0)), ("angular_procrustes", np.pi / 2)])
def test_a_space_that_does_not_vary_is_as_far_as_can_be(name, farthest, rng):
    x, _ = related(rng, n=20)
    still = np.full((20, 4), 0.1)
    almost = still.copy()
    almost[3] += 1.0
    metric = METRICS[name]
    assert metric(x, still) == pytest.approx(farthest)
    assert metric.leave_one_out(metric.prepare(x), metric.prepare(almost))[3] == pytest.approx(farthest)


@pytest.mark.parametrize("name", METRICS)
def test_too_few_rows_are_refused(name, rng):
    with pytest.raises(TooFewRows):
        METRICS[name](rng.standard_normal((3, 3)), rng.standard_normal((3, 3)))
