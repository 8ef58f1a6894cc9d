"""Ridge probe on +-1 labels: standardised features, one fixed penalty (Hoerl & Kennard 1970).

Its predictions are linear in the labels, f = S y, and S never sees them. So predictions under any number of relabellings
are one matrix product, and a whole permutation null, site choice included, costs one factorisation per fold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.lapack import dposv

from conceptprobe.probes.base import LinearProbe, mean_and_scale
from conceptprobe.registry import register

if TYPE_CHECKING:
    from jaxtyping import Float

PENALTY = 1.0
"""In units of the mean squared norm of a training row, so that it means the same at every width and scale."""


def standardise(
    train: Float[np.ndarray, "n d"], *others: Float[np.ndarray, "m d"]
) -> tuple[Float[np.ndarray, "..."], ...]:
    """Zero mean and unit variance by the training rows; features constant in training become zero."""
    mean, scale = mean_and_scale(train)
    return tuple((x - mean) * scale for x in (train, *others))


def smoother(
    train: Float[np.ndarray, "n d"],
    test: Float[np.ndarray, "m d"],
    labels: Float[np.ndarray, "n k"],
    penalty: float = PENALTY,
) -> Float[np.ndarray, "m k"]:
    """Ridge predictions at `test` for every column of `labels`, less the mean label (a constant per column).

    K_test (K_train + lambda I)^-1 (y - mean y), lambda = penalty x trace(K_train) / n, solved in the smaller of the two
    dimensions. Features as given: standardise first.
    """
    if train.shape[1] < len(train):
        return test.astype(np.float64) @ _primal(train, labels, penalty)
    return (test @ train.T).astype(np.float64) @ _dual(train, labels, penalty)


def _primal(
    train: Float[np.ndarray, "n d"], labels: Float[np.ndarray, "n k"], penalty: float
) -> Float[np.ndarray, "d k"]:
    """Coefficients: (Z'Z + lambda I)^-1 Z' (y - mean y)."""
    gram = (train.T @ train).astype(np.float64)
    return _solved(gram, penalty * np.trace(gram) / len(train), train.T @ (labels - labels.mean(axis=0)))


def _dual(
    train: Float[np.ndarray, "n d"], labels: Float[np.ndarray, "n k"], penalty: float
) -> Float[np.ndarray, "n k"]:
    """Weights of the training rows: (ZZ' + lambda I)^-1 (y - mean y)."""
    gram = (train @ train.T).astype(np.float64)
    return _solved(gram, penalty * np.trace(gram) / len(train), labels - labels.mean(axis=0))


def _solved(gram: Float[np.ndarray, "n n"], ridge: float, right: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """(gram + ridge I)^-1 right; zeros where all rows are equal and nothing can be read."""
    if ridge <= 0.0:
        return np.zeros(right.shape)
    gram[np.diag_indices(len(gram))] += ridge
    # Cholesky by LAPACK itself: a third of the time of numpy's general solver. The transpose of a symmetric matrix is
    # the column-major copy LAPACK wants.
    _, solution, failed = dposv(gram.T, right, lower=1)
    return np.linalg.solve(gram, right) if failed else solution


@register(
    "probe",
    "ridge",
    about="ridge on +-1 labels, standardised features, one fixed penalty; the headline",
    linear=True,
    positions=False,
)
class RidgeProbe(LinearProbe):
    """The probe of the headline as an estimator (Hoerl & Kennard 1970); decisions are predicted labels, +-1.

    penalty: in units of the mean squared norm of a training row. One fit costs one factorisation, n^3 / 3 + n^2 d
    products; `relabelled` costs the same for any number of labellings, and n (n + m) products for each.
    """

    def __init__(self, penalty: float = PENALTY) -> None:
        self.penalty = penalty

    def _solve(
        self, x: Float[np.ndarray, "n d"], sign: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, " d"], float]:
        mean, scale = mean_and_scale(x)
        z = (x - mean) * scale
        coef = (z.T @ _dual(z, sign[:, None], self.penalty)[:, 0]) * scale
        return coef, float(sign.mean() - mean @ coef)

    def _relabelled(
        self, train: Float[np.ndarray, "n d"], test: Float[np.ndarray, "m d"], sign: Float[np.ndarray, "k n"]
    ) -> Float[np.ndarray, "k m"]:
        z_train, z_test = standardise(train, test)
        return smoother(z_train, z_test, sign.T, self.penalty).T + sign.mean(axis=1, keepdims=True)
