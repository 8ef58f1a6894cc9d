"""Two coordinates per row, for a picture. No statistic is ever computed from them.

UMAP (McInnes et al. 2018) keeps neighbourhoods and bends distances; PCA beside it is linear and shows how much of the
variance two directions hold at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from conceptprobe.errors import TooFewRows, UsageError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float


def umap_coordinates(
    x: Float[np.ndarray, "n d"], *, seed: int, n_neighbors: int = 15, min_dist: float = 0.1, metric: str = "cosine"
) -> Float[np.ndarray, "n 2"]:
    """UMAP of the rows of `x`, in float64. One seed, one thread: the same rows give the same picture.

    The first call in a process compiles for some 20 s. Raises TooFewRows when n <= n_neighbors + 1, UsageError when `x`
    is not a matrix of finite numbers.
    """
    rows = _matrix(x)
    if len(rows) <= n_neighbors + 1:
        raise TooFewRows(
            f"UMAP with {n_neighbors} neighbours needs more than {n_neighbors + 1} rows, not {len(rows)}",
            hint="leave the projection out, or take fewer neighbours",
        )
    import umap

    # n_jobs is 1 with a seed anyway; said here, umap does not warn about it
    fit = umap.UMAP(n_neighbors=n_neighbors, min_dist=min_dist, metric=metric, random_state=seed, n_jobs=1)
    return fit.fit_transform(rows).astype("float64")


def umap_of_each(spaces: Sequence[Float[np.ndarray, "n d"]], **options: Any) -> list[Float[np.ndarray, "n 2"]]:
    """UMAP of several spaces, one after the other in one process: only the first has to compile."""
    return [umap_coordinates(x, **options) for x in spaces]


def pca(x: Float[np.ndarray, "n d"]) -> tuple[Float[np.ndarray, "n 2"], tuple[float, float]]:
    """First two principal components (centred, not scaled) and the share of the variance along each.

    The sign of a component is arbitrary; here its largest loading is positive. Raises TooFewRows below 3 rows,
    UsageError when `x` is not a matrix of finite numbers with two columns or more.
    """
    import numpy as np

    rows = _matrix(x)
    if len(rows) < 3:
        raise TooFewRows(f"PCA needs 3 rows or more, not {len(rows)}")
    centred = rows - rows.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    axes = vectors[:, :-3:-1]
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)
    total = float((centred**2).sum())
    first, second = (max(float(v), 0.0) / total if total > 0 else 0.0 for v in values[:-3:-1])
    return centred @ axes, (first, second)


def _matrix(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    import numpy as np

    rows = np.asarray(x, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] < 2 or not np.isfinite(rows).all():
        raise UsageError(f"a projection needs a matrix of finite numbers with 2 columns or more, not {rows.shape}")
    return rows
