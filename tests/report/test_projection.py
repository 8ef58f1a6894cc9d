"""Coordinates for pictures."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA

from conceptprobe.errors import TooFewRows, UsageError
from conceptprobe.report import projection
from conceptprobe.report.projection import pca, umap_coordinates


def test_pca_agrees_with_sklearn_up_to_sign(rng: np.random.Generator) -> None:
    x = rng.normal(size=(60, 12)) * np.linspace(3, 1, 12)
    oracle = PCA(2, svd_solver="full").fit(x)
    np.testing.assert_allclose(np.abs(pca(x)[0]), np.abs(oracle.transform(x)), atol=1e-9)
    assert pca(x)[1] == pytest.approx(tuple(oracle.explained_variance_ratio_))


def test_pca_does_not_see_shifts_and_keeps_flat_data_flat(rng: np.random.Generator) -> None:
    flat = rng.normal(size=(40, 2)) * [3, 1]
    frame = np.linalg.qr(rng.normal(size=(9, 9)))[0][:2]
    x = flat @ frame
    found = pca(x)[0]
    np.testing.assert_allclose(pca(x + rng.normal(size=9))[0], found, atol=1e-9)
    distances = [np.linalg.norm(a[:, None] - a[None], axis=-1) for a in (flat, found)]
    np.testing.assert_allclose(distances[0], distances[1], atol=1e-9)
    assert sum(pca(x)[1]) == pytest.approx(1)


def test_constant_rows_give_the_origin_and_no_share() -> None:
    np.testing.assert_array_equal(pca(np.ones((5, 3)))[0], np.zeros((5, 2)))
    assert pca(np.ones((5, 3)))[1] == (0.0, 0.0)


@pytest.mark.parametrize("x", [np.zeros(5), np.zeros((5, 1)), np.full((5, 3), np.nan)])
def test_what_is_no_matrix_of_numbers_is_refused(x: np.ndarray) -> None:
    with pytest.raises(UsageError):
        pca(x)
    with pytest.raises(UsageError):
        umap_coordinates(x, seed=0)


def test_too_few_rows_are_refused_before_umap_is_imported(rng: np.random.Generator) -> None:
    with pytest.raises(TooFewRows):
        pca(np.zeros((2, 3)))
    with pytest.raises(TooFewRows, match="15 neighbours"):
        umap_coordinates(rng.normal(size=(16, 4)), seed=0)


def test_umap_gets_the_seed_one_thread_and_the_stated_parameters(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What UMAP does is its own affair; what the caption says must be what it was asked."""
    asked: dict[str, Any] = {}

    class Recorder:
        def __init__(self, **kwargs: Any) -> None:
            asked.update(kwargs)

        def fit_transform(self, x: np.ndarray) -> np.ndarray:
            asked["dtype"] = x.dtype
            return x[:, :2].astype("float32")

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Recorder))
    x = rng.normal(size=(30, 5)).astype("float32")
    found = umap_coordinates(x, seed=3, n_neighbors=7, min_dist=0.2)
    assert found.shape == (30, 2)
    assert found.dtype == np.float64
    assert (asked["random_state"], asked["n_jobs"]) == (3, 1)
    assert (asked["n_neighbors"], asked["min_dist"], asked["metric"]) == (7, 0.2, "cosine")


def test_several_spaces_are_fitted_alike(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(
        projection, "umap_coordinates", lambda x, **options: asked.append((len(x), options)) or x[:, :2]
    )
    spaces = [rng.normal(size=(n, 4)) for n in (20, 30)]
    found = projection.umap_of_each(spaces, seed=3, n_neighbors=7)
    assert [x.shape for x in found] == [(20, 2), (30, 2)]
    assert asked == [(n, {"seed": 3, "n_neighbors": 7}) for n in (20, 30)]
