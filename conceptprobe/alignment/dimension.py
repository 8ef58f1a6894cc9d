"""Intrinsic dimension of one space: how many directions its items fill, whatever the number of features.

Not a metric of two spaces: two spaces that hold the same things need not have the same dimension, and equal dimensions say
nothing of what is held. Estimators are those of scikit-dimension (Bac et al. 2021), given exact distances. Both look at nearest
neighbours only, so high dimensions are underestimated with few items: 20 dimensions take tens of thousands.

Errors are delete-one-item jackknifes: neighbours of every item are found anew without the deleted one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.errors import TooFewRows, UsageError
from conceptprobe.stats.jackknife import jackknife_error, jackknife_interval

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_DISCARDED = 0.1
_LEAST_ROWS = 10


@dataclass(frozen=True)
class Dimension:
    """An estimate of intrinsic dimension of n items, its jackknife standard error and 95% interval."""

    estimate: float
    error: float
    ci_low: float
    ci_high: float
    n: int


def two_nn(x: Float[np.ndarray, "n d"]) -> Dimension:
    """TwoNN (Facco et al. 2017): from the ratio of each item's second to first nearest distance.

    The tenth of the ratios that is largest is left out, as in the paper. Cost n^2 d, then n sorts for the error. Raises
    TooFewRows below 10 items; UsageError where rows are copies of each other, not finite, or all equally far apart.
    """
    from skdim.id import TwoNN

    nearest, names = _nearest(x, 3, least=_LEAST_ROWS)
    if np.all(nearest[:, 0] == nearest[:, 1]):
        raise _equally_far()

    estimator = TwoNN(discard_fraction=_DISCARDED, dist=True).fit(nearest[:, :2])
    left_out = np.empty(len(x))
    for item in range(len(x)):
        rows = np.arange(len(x)) != item
        first = np.where(names[rows, 0] == item, 1, 0)
        second = np.where((names[rows, :2] == item).any(axis=1), 2, 1)
        left_out[item] = _line(nearest[rows, second] / nearest[rows, first])
    return _with_error(float(estimator.dimension_), left_out)


def mle(x: Float[np.ndarray, "n d"], k: int = 20) -> Dimension:
    """Maximum likelihood (Levina & Bickel 2005) from k nearest distances, inverse estimates averaged over the items.

    Averaging inverses is MacKay & Ghahramani's (2005) correction: local estimates themselves are skewed. Cost n^2 d, then n k
    local estimates. Raises TooFewRows below 10 items and below k + 2; UsageError where k < 3, and as `two_nn`.
    """
    from skdim.id import MLE

    if k < 3:
        raise UsageError(f"k = {k} neighbours are too few for a likelihood: at least 3 are needed")
    nearest, names = _nearest(x, k + 1, least=max(_LEAST_ROWS, k + 2))
    n = len(x)
    if np.any(nearest[:, 0] == nearest[:, k - 1]):
        raise _equally_far()
    # Lists that lose an item and are refilled from the spare: row i without its p-th neighbour.
    place = np.arange(k + 1)
    refilled = np.stack([nearest[:, place != p] for p in range(k)], axis=1).reshape(n * k, k)
    if np.any(refilled[:, 0] == refilled[:, k - 1]):
        raise _equally_far()
    rows = np.concatenate([nearest[:, :k], refilled])
    fitted = MLE().fit(rows, precomputed_knn_arrays=(rows, np.zeros(rows.shape, dtype=np.int64)), n_neighbors=k)
    inverse = 1.0 / fitted.dimension_pw_
    whole, changed = inverse[:n], inverse[n:].reshape(n, k)
    totals = whole.sum() - whole
    np.add.at(totals, names[:, :k], changed - whole[:, None])
    return _with_error(float(n / whole.sum()), (n - 1) / totals)


DIMENSIONS: Mapping[str, Callable[[np.ndarray], Dimension]] = {"two_nn": two_nn, "mle": mle}
"""Name -> estimator of the intrinsic dimension of rows [n, d]."""


def _line(ratios: Float[np.ndarray, " n"]) -> float:
    """The library's fit of -log(1 - F) on the log of the ratios, without its checks: a jackknife asks n times."""
    kept = int(len(ratios) * (1 - _DISCARDED))
    x = np.log(np.sort(ratios)[:kept])
    y = -np.log1p(-np.arange(1, kept + 1) / len(ratios))
    square = float(x @ x)
    if square == 0.0:
        raise _equally_far()
    return float(x @ y) / square


def _with_error(estimate: float, left_out: Float[np.ndarray, " n"]) -> Dimension:
    low, high = jackknife_interval(estimate, left_out)
    return Dimension(estimate, jackknife_error(left_out), low, high, len(left_out))


def _nearest(
    x: Float[np.ndarray, "n d"], count: int, least: int
) -> tuple[Float[np.ndarray, "n count"], Int[np.ndarray, "n count"]]:
    """Distances to the `count` nearest items, ascending, and which they are; by differences, so exact where they are small."""
    from scipy.spatial.distance import cdist

    x = np.asarray(x, dtype=np.float64)
    if len(x) < least:
        raise TooFewRows(f"{len(x)} rows are too few for an intrinsic dimension: at least {least} are needed")
    if not np.isfinite(x).all():
        raise UsageError("rows with NaN or infinite values have no intrinsic dimension")
    distances = cdist(x, x)
    np.fill_diagonal(distances, np.inf)
    names = np.argsort(distances, axis=1, kind="stable")[:, :count]
    nearest = np.take_along_axis(distances, names, axis=1)
    if (copies := np.flatnonzero(nearest[:, 0] == 0)).size:
        first = int(copies[0])
        raise UsageError(
            f"rows {first} and {int(names[first, 0])} are the same, and {copies.size} of {len(x)} rows have a copy: "
            "the nearest distance is 0, and its logarithm no number",
            hint="keep one row of each, or average rows of one item first",
        )
    return nearest, names


def _equally_far() -> UsageError:
    return UsageError(
        "nearest items are all equally far, so that no dimension can be told",
        hint="values on a grid, such as counts or one-hot rows, have no intrinsic dimension",
    )
