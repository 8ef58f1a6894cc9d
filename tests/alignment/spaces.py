"""Spaces to compare in tests, and the two promises of every metric checked against brute force."""

from __future__ import annotations

import numpy as np
import pytest

from conceptprobe.alignment.base import Metric


def related(
    rng: np.random.Generator, n: int = 40, dx: int = 12, dy: int = 9, noise: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """n items in two spaces, the second a linear map of the first with noise."""
    x = rng.standard_normal((n, dx))
    return x, x @ rng.standard_normal((dx, dy)) + noise * rng.standard_normal((n, dy))


def rotation(rng: np.random.Generator, d: int) -> np.ndarray:
    """A random orthogonal matrix."""
    return np.linalg.qr(rng.standard_normal((d, d)))[0]


def turned(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
    """The same geometry: rotated, scaled and moved."""
    return 3.7 * y @ rotation(rng, y.shape[1]) + rng.standard_normal(y.shape[1])


def published() -> tuple[np.ndarray, np.ndarray]:
    """The inputs at which independent implementations of these metrics were compared, 30 items in 25 dimensions."""
    state = np.random.RandomState(0)
    return state.uniform(size=(30, 25)), state.uniform(size=(30, 25))


def assert_the_null_is_the_metric_on_renamed_items(
    metric: Metric, x: np.ndarray, y: np.ndarray, rng: np.random.Generator
) -> None:
    orders = np.array([rng.permutation(len(y)) for _ in range(5)])
    expected = [metric(x, y[order]) for order in orders]
    np.testing.assert_allclose(metric.null(metric.prepare(x), metric.prepare(y), orders), expected, atol=1e-9)


def assert_leaving_out_is_deleting(metric: Metric, x: np.ndarray, y: np.ndarray) -> None:
    brute = [metric(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(len(x))]
    np.testing.assert_allclose(metric.leave_one_out(metric.prepare(x), metric.prepare(y)), brute, atol=1e-9)


def assert_equal_spaces_reach_one(metric: Metric, x: np.ndarray, y: np.ndarray) -> None:
    assert metric(x, x) == pytest.approx(1)
    assert metric(x, y) < 0.99
    assert metric(x, y) == pytest.approx(metric(y, x))


def assert_turns_are_seen_through_and_a_stretch_is_not(metric: Metric, rng: np.random.Generator) -> None:
    x, y = related(rng)
    assert metric(x, turned(rng, y)) == pytest.approx(metric(x, y), abs=1e-9)
    assert metric(x, x * np.array([20.0, *[1.0] * 11])) < 0.95
