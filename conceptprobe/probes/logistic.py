"""Logistic probe, C = 0.01 on standardised features, on the folds and sites the headline chose.

One fit is scikit-learn's. A null needs thousands of fits that differ in their labels alone, and for those one
eigendecomposition serves all: Boehning & Lindsay (1988) bound the Hessian by the one at p = 1/2, which never changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe.probes.ridge import standardise
from conceptprobe.registry import register
from conceptprobe.stats.design import Cell, Design
from conceptprobe.threads import two_at_a_time

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@register("probe", "logistic", about="L2 logistic regression, C = 0.01, standardised features")
class LogisticProbe:
    """After `fit`: direction_ ["d"], unit norm in the space of the raw features, + means the concept."""

    def __init__(self, c: float = 0.01) -> None:
        self.c = c

    def fit(self, x: Float[np.ndarray, "n d"], y: Int[np.ndarray, " n"], groups: object = None) -> LogisticProbe:
        """Fit on n rows; y > 0 marks the concept."""
        mean, spread = x.mean(axis=0), x.std(axis=0)
        scale = np.where(spread > 0, 1.0 / np.where(spread > 0, spread, 1.0), 0.0)
        model = _solver(self.c).fit(standardise(x)[0], np.asarray(y) > 0)
        self.coef_ = model.coef_[0] * scale
        self.intercept_ = float(model.intercept_[0] - mean @ self.coef_)
        norm = float(np.linalg.norm(self.coef_))
        self.direction_ = self.coef_ / norm if norm > 0 else self.coef_
        return self

    def decision_function(self, x: Float[np.ndarray, "m d"]) -> Float[np.ndarray, " m"]:
        """Log-odds of the concept."""
        return x @ self.coef_ + self.intercept_


def logistic_scores(
    spaces: Mapping[str, Float[np.ndarray, "n d"]],
    chosen: Sequence[Sequence[str]],
    design: Design,
    labels: Int[np.ndarray, "draws items"],
    c: float = 0.01,
) -> Float[np.ndarray, "draws items"]:
    """Held-out item scores, centred per test cell; cell (f, t) uses space `chosen[f][t]` for every draw."""
    counts = np.bincount(design.item)
    folds = np.unique(design.fold)
    scores = np.zeros(labels.shape)

    def read(cell: Cell) -> tuple[Int[np.ndarray, " m"], Float[np.ndarray, "m draws"]]:
        x = spaces[chosen[int(np.searchsorted(folds, cell.fold))][cell.template_fold]]
        train, test = np.flatnonzero(design.train_rows(cell)), np.flatnonzero(design.test_rows(cell))
        z_train, z_test = standardise(x[train], x[test])
        return design.item[test], _fitted(z_train, z_test, (labels[:, design.item[train]] > 0).T.astype(np.float64), c)

    for items, odds in two_at_a_time(read, design.cells):
        np.add.at(scores.T, items, odds - odds.mean(axis=0))
    return scores / counts


def _fitted(
    train: Float[np.ndarray, "n d"], test: Float[np.ndarray, "m d"], y: Float[np.ndarray, "n k"], c: float
) -> Float[np.ndarray, "m k"]:
    """Log-odds of the test rows for every column of 0/1 labels, to a gradient of 1e-6 of the number of rows.

    In the eigenbasis of the Gram the bounded Hessian, K/4 + 1/C, is diagonal, and the free intercept separates because
    the training rows are centred.
    """
    values, vectors = np.linalg.eigh((train @ train.T).astype(np.float64))
    keep = values > 1e-9 * max(float(values[-1]), 1e-300)
    size = np.sqrt(values[keep])
    z = vectors[:, keep] * size
    beta = np.zeros((z.shape[1], y.shape[1]))
    intercept = np.zeros(y.shape[1])
    step = 1.0 / (values[keep] / 4.0 + 1.0 / c)
    for _ in range(500):
        residual = y - 1.0 / (1.0 + np.exp(-(z @ beta + intercept)))
        slope = z.T @ residual - beta / c
        beta += step[:, None] * slope
        intercept += 4.0 * residual.mean(axis=0)
        if float(np.abs(slope).max(initial=0.0)) < 1e-6 * len(y):
            break
    basis = (train.T @ (vectors[:, keep] / size)).astype(np.float64)
    return (test @ basis) @ beta + intercept


def _solver(c: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=c, max_iter=1000)
