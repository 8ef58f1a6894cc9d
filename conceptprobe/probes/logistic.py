"""Logistic probe, C = 0.01 on standardised features, and a solver for many of them at once.

The folds of a design train on subsets of the same rows, and a null refits them under many labellings. Written with a weight
of 0 or 1 per row, all of these problems share one feature matrix, and the two products of every step, logits and gradient,
are matrix by matrix rather than matrix by vector. Each column runs its own nonlinear conjugate gradients (Polak & Ribiere
1969, non-negative beta as in Gilbert & Nocedal 1992); logits are linear along a direction, so that its line search costs no
product. Standardisation differs from fold to fold and stays with the column: coefficients are sought on features that all
columns share, under the metric and the penalty that the fold's own standardised features imply.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from conceptprobe.probes.base import LinearProbe, mean_and_scale
from conceptprobe.registry import register

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Shaped

C = 0.01
"""Inverse of the L2 penalty on standardised features, in scikit-learn's units."""
TOLERANCE = 2e-5
"""Largest gradient of the mean loss over standardised coefficients: scikit-learn's criterion, at a fifth of its default,
so that no coefficient is worse than its and hardly a held-out decision depends on where a solver stopped."""
_STEPS = 2000
_FEW, _SIZE = 2, 50_000
"""Up to so many fits, and above so many numbers in the features, scikit-learn's lbfgs is faster, by a third at 380 x 384."""


class LogisticFits(NamedTuple):
    """Coefficients on raw features and intercepts of `s` training sets by `k` labellings."""

    coef: Float[np.ndarray, "s k d"]
    intercept: Float[np.ndarray, "s k"]


def logistic_batch(
    x: Float[np.ndarray, "n d"],
    train: Bool[np.ndarray, "s n"],
    labels: Shaped[np.ndarray, "k n"],
    c: float = C,
    tolerance: float = TOLERANCE,
    precision: type[np.floating] = np.float32,
) -> LogisticFits:
    """L2-penalised logistic fits of every training set (a mask of rows) under every labelling (above 0: the concept).

    Features are standardised by the training rows of each fit, the intercept is free, the objective is scikit-learn's.
    Every training set must hold both classes. Rounding in float32 moves coefficients far less than where the default
    tolerance stops; `precision=np.float64` goes with smaller ones. Costs 2 n d products per fit and step, about 15 steps on
    activations. Ten fits or more are several times faster than one after the other; one or two of any size are handed to
    scikit-learn, which is faster there. Warns where the tolerance is not reached.
    """
    n, d = x.shape
    if len(train) * len(labels) <= _FEW and n * d > _SIZE:
        return _one_by_one(x, train, labels, c, tolerance, precision)
    centre, unit = mean_and_scale(x.astype(np.float64))
    width = _padded(d + 1)
    features = np.zeros((n, width), dtype=precision)
    features[:, :d] = (x - centre) * unit
    features[:, d] = 1.0
    mean, spread = _by_set(features[:, :d], train, x)
    fits = len(train) * len(labels)

    def spaced(rows: np.ndarray, value_at_d: float) -> np.ndarray:
        out = np.zeros((_padded(fits), width), dtype=precision)
        out[:fits, :d] = np.repeat(rows, len(labels), axis=0)
        out[:, d] = value_at_d
        return out

    weight = np.zeros((_padded(fits), n), dtype=precision)
    weight[:fits] = np.repeat(train, len(labels), axis=0)
    wanted = np.zeros_like(weight)
    wanted[:fits] = np.tile(np.asarray(labels) > 0, (len(train), 1))
    scale = np.where(spread > 0, 1.0 / np.where(spread > 0, spread, 1.0), 0.0)
    solved = _minimise(
        features, weight, wanted, spaced(spread**2 / c, 0.0), spaced(scale**2, 1.0), spaced(mean, 0.0), d, tolerance
    )[:fits].astype(np.float64)
    coef = solved[:, :d] * unit
    intercept = solved[:, d] - coef @ centre
    return LogisticFits(coef.reshape(len(train), len(labels), d), intercept.reshape(len(train), len(labels)))


def _one_by_one(
    x: Float[np.ndarray, "n d"],
    train: Bool[np.ndarray, "s n"],
    labels: Shaped[np.ndarray, "k n"],
    c: float,
    tolerance: float,
    precision: type[np.floating],
) -> LogisticFits:
    from sklearn.linear_model import LogisticRegression

    fits = LogisticFits(np.zeros((len(train), len(labels), x.shape[1])), np.zeros((len(train), len(labels))))
    for i, rows in enumerate(train):
        mean, scale = mean_and_scale(x[rows].astype(np.float64))
        z = ((x[rows] - mean) * scale).astype(precision)
        for j, label in enumerate(np.asarray(labels)[:, rows] > 0):
            model = LogisticRegression(C=c, tol=tolerance, max_iter=_STEPS).fit(z, label)
            fits.coef[i, j] = model.coef_[0] * scale
            fits.intercept[i, j] = float(model.intercept_[0]) - mean @ fits.coef[i, j]
    return fits


def _by_set(
    features: Float[np.ndarray, "n d"], train: Bool[np.ndarray, "s n"], x: Float[np.ndarray, "n d"]
) -> tuple[Float[np.ndarray, "s d"], Float[np.ndarray, "s d"]]:
    """Mean and standard deviation of every training set; 0 for features that are constant in it."""
    mask = train.astype(features.dtype)
    rows = mask.sum(axis=1, keepdims=True)
    mean = mask @ features / rows
    spread = np.sqrt(np.maximum(mask @ (features * features) / rows - mean**2, 0.0))
    # A difference of squares cannot tell a constant feature from a quiet one: those few are looked at row by row.
    for i, j in np.argwhere(spread < 0.05):
        _, scale = mean_and_scale(x[train[i], j : j + 1].astype(np.float64))
        own = features[train[i], j].astype(np.float64)
        mean[i, j], spread[i, j] = own.mean(), own.std() if scale[0] > 0 else 0.0
    return mean, spread


def _minimise(
    features: Float[np.ndarray, "n p"],
    weight: Float[np.ndarray, "k n"],
    wanted: Float[np.ndarray, "k n"],
    penalty: Float[np.ndarray, "k p"],
    metric: Float[np.ndarray, "k p"],
    mean: Float[np.ndarray, "k p"],
    ones: int,
    tolerance: float,
) -> Float[np.ndarray, "k p"]:
    """Minimisers of sum weight log(1 + exp(-+ logit)) + w' penalty w / 2, one per row of `wanted` (1 or 0).

    Feature number `ones` is 1, its coefficient the intercept; on features less their `mean` in the training set it does
    not mix with the others, which saves a fifth of the steps. `metric`: the steepest descent is -metric gradient.
    """
    dot = np.vecdot
    across = np.ascontiguousarray(features.T)
    half = features.dtype.type(0.5)
    limit = tolerance * weight.sum(axis=1)
    length = np.sqrt(metric)

    def slope_of(residual: np.ndarray) -> np.ndarray:
        slope: np.ndarray = residual @ features
        slope -= mean * slope[:, ones, None]
        return slope

    def at(step: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        moved = change * step[:, None]
        moved += logit
        chance = np.tanh(moved * half)
        chance += 1
        chance *= half
        residual = chance - wanted
        residual *= weight
        return moved, chance, residual, dot(change, residual) + bend + step * stiff

    w = np.zeros((len(wanted), features.shape[1]), dtype=features.dtype)
    logit, chance = np.zeros_like(wanted), np.full_like(wanted, 0.5)
    gradient = slope_of((chance - wanted) * weight)
    natural = gradient * metric
    direction, size = -natural, dot(gradient, natural)
    for _ in range(_STEPS):
        unfinished = np.abs(gradient * length).max(axis=1) > limit
        if not unfinished.any():
            break
        moving = direction.copy()
        moving[:, ones] -= dot(direction, mean)
        change = moving @ across
        pull = direction * penalty
        stiff, bend = dot(direction, pull), dot(w, pull)
        descent = dot(gradient, direction)
        squared = change * change
        squared *= weight
        step = _ratio(-descent, dot(squared, chance * (1 - chance)) + stiff)
        moved, chance, residual, left = at(step)
        if (unfinished & (np.abs(left) > 0.3 * np.abs(descent))).any():
            step = step - _ratio(left, dot(squared, chance * (1 - chance)) + stiff)
            moved, chance, residual, left = at(step)
            lost = unfinished & ((step < 0) | (np.abs(left) > 0.5 * np.abs(descent)))
            if lost.any():
                # The curvature of the loss is at most 1/4 per row (Boehning & Lindsay 1988): this step always descends.
                sure = _ratio(-descent, squared.sum(axis=1) / 4 + stiff)
                moved, chance, residual, left = at(np.where(lost, sure, step))
                step = np.where(lost, sure, step)
        logit = moved
        w += step[:, None] * direction
        turned = slope_of(residual)
        turned += penalty * w
        natural = turned * metric
        beta = np.maximum(_ratio(dot(turned, natural) - dot(gradient, natural), size), 0)
        direction *= beta[:, None]
        direction -= natural
        uphill = dot(direction, turned) >= 0
        direction[uphill] = -natural[uphill]
        gradient, size = turned, dot(turned, natural)
    else:
        from sklearn.exceptions import ConvergenceWarning

        warnings.warn(f"logistic fits did not reach {tolerance:g} in {_STEPS} steps", ConvergenceWarning, stacklevel=3)
    w[:, ones] -= dot(w, mean)
    return w


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(b > 0, a / np.where(b > 0, b, 1), 0).astype(a.dtype)


def _padded(size: int) -> int:
    # Small products run on whole vectors, and a ragged edge costs up to a half; a few columns are read one by one.
    return -(-size // 8) * 8 if size > 3 else size


@register(
    "probe", "logistic", about="L2 logistic regression, C = 0.01, standardised features", linear=True, positions=False
)
class LogisticProbe(LinearProbe):
    """L2-penalised logistic regression on standardised features (Cox 1958; the ridge penalty of le Cessie & van
    Houwelingen 1992); decisions are log-odds.

    c: inverse penalty, as in scikit-learn. `fit` solves to a gradient of 1e-8 in float64, some 30 steps of 2 n d products
    on activations; `relabelled` all labellings at once to TOLERANCE in float32.
    """

    def __init__(self, c: float = C) -> None:
        self.c = c

    def _solve(
        self, x: Float[np.ndarray, "n d"], sign: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, " d"], float]:
        everything = np.ones((1, len(x)), dtype=bool)
        fits = logistic_batch(x, everything, sign[None], self.c, 1e-8, np.float64)
        return fits.coef[0, 0], float(fits.intercept[0, 0])

    def _relabelled(
        self, train: Float[np.ndarray, "n d"], test: Float[np.ndarray, "m d"], sign: Float[np.ndarray, "k n"]
    ) -> Float[np.ndarray, "k m"]:
        fits = logistic_batch(train, np.ones((1, len(train)), dtype=bool), sign, self.c)
        return fits.coef[0] @ test.T + fits.intercept[0][:, None]
