"""Sparse probes: how few features carry the concept. L1 lets the penalty choose them, k-sparse takes the k best alone.

Both look for features (units, latents) that are about the concept by themselves, which a rotation of the space destroys; on an
arbitrary basis a sparse probe doing worse than a dense one says nothing.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from conceptprobe.errors import UsageError
from conceptprobe.probes.base import LinearProbe, mean_and_scale
from conceptprobe.probes.mean_difference import class_weights
from conceptprobe.registry import register

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_STEPS = 5000
_NEWTON_STEPS = 100


class _SparseProbe(LinearProbe):
    """Standardise, solve all labellings at once, go back to raw features."""

    def _solve(
        self, x: Float[np.ndarray, "n d"], sign: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, " d"], float]:
        mean, scale = mean_and_scale(x)
        coef, intercept = self._solve_all((x - mean) * scale, sign[None])
        raw = coef[0] * scale
        return raw, float(intercept[0] - mean @ raw)

    def _relabelled(
        self, train: Float[np.ndarray, "n d"], test: Float[np.ndarray, "m d"], sign: Float[np.ndarray, "k n"]
    ) -> Float[np.ndarray, "k m"]:
        mean, scale = mean_and_scale(train)
        coef, intercept = self._solve_all((train - mean) * scale, sign)
        return coef @ ((test - mean) * scale).T + intercept[:, None]

    @abstractmethod
    def _solve_all(
        self, z: Float[np.ndarray, "n d"], sign: Float[np.ndarray, "k n"]
    ) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
        """Coefficients on standardised features and the intercept, for every labelling of +-1."""


@register("probe", "l1", about="L1 logistic regression, standardised features", linear=True, positions=False)
class L1Probe(_SparseProbe):
    """Logistic regression with an L1 penalty (Tibshirani 1996) on standardised features; decisions are log-odds.

    strength: the penalty, as a share of the smallest one that leaves no feature at all (Friedman, Hastie & Tibshirani
    2010); so it means the same for every n and scale. Solved by FISTA (Beck & Teboulle 2009) with restarts (O'Donoghue &
    Candes 2015) for all labellings at once, until no step moves a coefficient by more than `tolerance` of the threshold
    that sets coefficients to 0. Costs 2 n d products per labelling and step; some 300 steps on activations.
    """

    def __init__(self, strength: float = 0.2, tolerance: float = 3e-4) -> None:
        self.strength = strength
        self.tolerance = tolerance

    def _solve_all(
        self, z: Float[np.ndarray, "n d"], sign: Float[np.ndarray, "k n"]
    ) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
        if not self.strength > 0.0:
            raise UsageError(f"an L1 strength of {self.strength} is not above 0")
        wanted = (sign > 0).astype(np.float64)
        share = wanted.mean(axis=1)
        intercept = np.log(share / (1 - share))
        top = np.abs((wanted - share[:, None]) @ z).max(axis=1, initial=0.0)
        curvature = _largest_eigenvalue(z) / 4
        if curvature <= 0.0:
            return np.zeros((len(sign), z.shape[1])), intercept
        return _fista(z, wanted, intercept, self.strength * top, curvature, self.tolerance)


def _fista(
    z: Float[np.ndarray, "n d"],
    wanted: Float[np.ndarray, "k n"],
    intercept: Float[np.ndarray, " k"],
    penalty: Float[np.ndarray, " k"],
    curvature: float,
    tolerance: float,
) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
    """Minimisers of the summed logistic loss + penalty |coef|_1. Rows of z are centred, so the curvature of the loss has no
    term between intercept and coefficients at its bound, and each moves at its own rate."""
    # float32 costs half, and its error lies below all but the smallest tolerances.
    kind = np.float32 if tolerance >= 1e-4 else np.float64
    rows, wanted = z.astype(kind), wanted.astype(kind)
    across = np.ascontiguousarray(rows.T)
    # The intercept's own bound is n / 4; the larger of the two serves both.
    rate = 1.0 / max(curvature, len(z) / 4)
    done = np.zeros((len(wanted), z.shape[1])), np.zeros(len(wanted))
    # Everything below is of the labellings that still move.
    active = np.arange(len(wanted))
    coef, intercept = done[0].astype(kind), intercept.astype(kind)
    ahead, ahead_intercept = coef, intercept
    momentum: np.ndarray = np.ones(len(wanted), dtype=kind)
    threshold: np.ndarray = np.asarray(penalty * rate, dtype=kind)
    for _ in range(_STEPS):
        residual = expit(ahead @ across + ahead_intercept[:, None]) - wanted
        moved = ahead - kind(rate) * (residual @ rows)
        moved -= np.clip(moved, -threshold[:, None], threshold[:, None])  # soft threshold
        moved_intercept = ahead_intercept - kind(rate) * residual.sum(axis=1)
        step, back = moved - coef, ahead - moved
        step_intercept, back_intercept = moved_intercept - intercept, ahead_intercept - moved_intercept
        gap = np.maximum(np.abs(back).max(axis=1), np.abs(back_intercept))
        # Momentum that points against the last step has overshot: start it anew.
        against = np.einsum("kd,kd->k", back, step) + back_intercept * step_intercept > 0
        old = np.where(against, kind(1), momentum)
        momentum = (1 + np.sqrt(1 + 4 * old**2)) / 2
        weight = np.where(against, kind(0), (old - 1) / momentum)
        coef, intercept = moved, moved_intercept
        ahead, ahead_intercept = moved + weight[:, None] * step, moved_intercept + weight * step_intercept
        still = gap > tolerance * threshold
        if not still.all():
            done[0][active], done[1][active] = coef, intercept
            active, wanted, threshold, momentum = active[still], wanted[still], threshold[still], momentum[still]
            coef, intercept = coef[still], intercept[still]
            ahead, ahead_intercept = ahead[still], ahead_intercept[still]
        if len(active) == 0:
            break
    else:
        from sklearn.exceptions import ConvergenceWarning

        done[0][active], done[1][active] = coef, intercept
        warnings.warn(f"L1 fits did not reach {tolerance:g} in {_STEPS} steps", ConvergenceWarning, stacklevel=4)
    return done


def _largest_eigenvalue(z: Float[np.ndarray, "n d"]) -> float:
    smaller = z @ z.T if z.shape[0] <= z.shape[1] else z.T @ z
    return float(np.linalg.eigvalsh(smaller)[-1]) * (1 + 1e-9)


@register(
    "probe",
    "k_sparse",
    about="the k features whose class means differ most, then logistic regression on them",
    linear=True,
    positions=False,
)
class KSparseProbe(_SparseProbe):
    """k-sparse probe (Gurnee et al. 2023, arXiv:2305.01610): the k features whose training class means lie farthest apart in
    standard deviations, and a logistic regression on these alone; decisions are log-odds.

    k: features; all where there are fewer. c: inverse L2 penalty of the dense fit, 1 as in scikit-learn. Features are
    chosen anew for every labelling, so a null pays for the choice. Costs n d products to choose and some 10 Newton steps of n
    k^2 per labelling.
    """

    def __init__(self, k: int = 5, c: float = 1.0) -> None:
        self.k = k
        self.c = c

    def _fit(self, x: Float[np.ndarray, "n d"], sign: Float[np.ndarray, " n"]) -> None:
        super()._fit(x, sign)
        self.features_ = np.flatnonzero(self.coef_)

    def _solve_all(
        self, z: Float[np.ndarray, "n d"], sign: Float[np.ndarray, "k n"]
    ) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
        if self.k < 1:
            raise UsageError(f"k = {self.k} features cannot be chosen", hint="k is 1 or more")
        chosen = best_features(z, sign, self.k)
        features = np.moveaxis(z[:, chosen], 0, 1)  # [labellings, n, k]
        dense, intercept = _newton(features, (sign > 0).astype(np.float64), self.c)
        coef = np.zeros((len(sign), z.shape[1]))
        np.put_along_axis(coef, chosen, dense, axis=1)
        return coef, intercept


def best_features(z: Float[np.ndarray, "n d"], sign: Float[np.ndarray, "l n"], k: int) -> Int[np.ndarray, "l k"]:
    """Per labelling, the k features whose class means differ most, farthest first; ties go to the earlier feature."""
    positive, control = class_weights(sign)
    # Rounding must not order features that are equal: it differs between one labelling and many.
    gap = np.round(np.abs((positive - control) @ z), 9)
    return np.argsort(-gap, axis=1, kind="stable")[:, :k]


def _newton(
    x: Float[np.ndarray, "l n k"], wanted: Float[np.ndarray, "l n"], c: float
) -> tuple[Float[np.ndarray, "l k"], Float[np.ndarray, " l"]]:
    """L2-penalised logistic fits, each on its own few features, by Newton's method with step halving."""
    fits, n, k = x.shape
    design = np.concatenate([x, np.ones((fits, n, 1))], axis=2)
    penalty = np.append(np.full(k, 1.0 / c), 0.0)
    w = np.zeros((fits, k + 1))

    def loss(w: np.ndarray) -> np.ndarray:
        logit = (design @ w[..., None])[..., 0]
        total: np.ndarray = (np.logaddexp(0.0, logit) - wanted * logit).sum(axis=1) + (penalty * w**2).sum(axis=1) / 2
        return total

    now = loss(w)
    for _ in range(_NEWTON_STEPS):
        chance = expit((design @ w[..., None])[..., 0])
        slope = ((chance - wanted)[:, None, :] @ design)[:, 0] + penalty * w
        if np.abs(slope).max() < 1e-9 * n:
            break
        curve = np.swapaxes(design * (chance * (1 - chance))[..., None], 1, 2) @ design + np.diag(penalty)
        curve[:, k, k] += 1e-12 * n
        step = np.linalg.solve(curve, slope[..., None])[..., 0]
        size = np.ones(fits)
        for _ in range(30):
            then = loss(w - size[:, None] * step)
            worse = then > now + 1e-12 * np.abs(now)
            if not worse.any():
                break
            size[worse] /= 2
        w = w - size[:, None] * step
        now = loss(w)
    return w[:, :k], w[:, k]
