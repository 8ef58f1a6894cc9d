"""Ridge probe on +-1 labels: standardised features, one fixed penalty (Hoerl & Kennard 1970).

Its predictions are linear in the labels, f = S y, and S never sees them. So predictions under any number of relabellings
are one matrix product, and a whole permutation null, site choice included, costs one factorisation per fold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.registry import register

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

PENALTY = 1.0
"""In units of the mean squared norm of a training row, so that it means the same at every width and scale."""


def standardise(
    train: Float[np.ndarray, "n d"], *others: Float[np.ndarray, "m d"]
) -> tuple[Float[np.ndarray, "..."], ...]:
    """Zero mean and unit variance by the training rows; features constant in training become zero."""
    mean = train.mean(axis=0)
    spread = train.std(axis=0)
    # Below float32 resolution a feature is constant, and dividing by its spread would amplify rounding.
    scale = np.where(spread > 1e-6 * (np.abs(mean) + 1e-12), 1.0 / np.where(spread > 0, spread, 1.0), 0.0)
    return tuple((x - mean) * scale for x in (train, *others))


def smoother(
    train: Float[np.ndarray, "n d"],
    test: Float[np.ndarray, "m d"],
    labels: Float[np.ndarray, "n k"],
    penalty: float = PENALTY,
) -> Float[np.ndarray, "m k"]:
    """Ridge predictions at `test` for every column of `labels`, less the mean label (a constant per column).

    Dual form, K_test (K_train + lambda I)^-1 (y - mean y), lambda = penalty x trace(K_train) / n. Features as given:
    standardise first.
    """
    n = len(train)
    gram = (train @ train.T).astype(np.float64)
    lam = penalty * np.trace(gram) / n
    if lam <= 0.0:  # all rows equal: nothing can be read
        return np.zeros((len(test), labels.shape[1]))
    gram[np.diag_indices(n)] += lam
    weights = np.linalg.solve(gram, labels - labels.mean(axis=0))
    return (test @ train.T).astype(np.float64) @ weights


@register("probe", "ridge", about="ridge on +-1 labels, standardised features, one fixed penalty; the headline")
class RidgeProbe:
    """The same probe as an estimator, for arrays of one's own.

    After `fit`: direction_ ["d"], unit norm in the space of the raw features, + means the concept.
    """

    def __init__(self, penalty: float = PENALTY) -> None:
        self.penalty = penalty

    def fit(self, x: Float[np.ndarray, "n d"], y: Shaped[np.ndarray, " n"], groups: object = None) -> RidgeProbe:
        """Fit on n rows; y > 0 marks the concept. `groups` is accepted for scikit-learn's sake and not used."""
        sign = np.where(np.asarray(y) > 0, 1.0, -1.0)
        mean, spread = x.mean(axis=0), x.std(axis=0)
        scale = np.where(spread > 1e-6 * (np.abs(mean) + 1e-12), 1.0 / np.where(spread > 0, spread, 1.0), 0.0)
        (z,) = standardise(x)
        gram = (z @ z.T).astype(np.float64)
        lam = self.penalty * np.trace(gram) / len(z)
        dual = np.linalg.solve(gram + lam * np.eye(len(z)), sign - sign.mean()) if lam > 0 else np.zeros(len(z))
        self.coef_ = (z.T @ dual) * scale
        self.intercept_ = float(sign.mean() - mean @ self.coef_)
        norm = float(np.linalg.norm(self.coef_))
        self.direction_ = self.coef_ / norm if norm > 0 else self.coef_
        return self

    def decision_function(self, x: Float[np.ndarray, "m d"]) -> Float[np.ndarray, " m"]:
        """Predicted label on the +-1 scale."""
        return x @ self.coef_ + self.intercept_
