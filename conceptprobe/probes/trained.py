"""What the probes trained by gradient descent share: inputs of few dimensions, and one descent for all labellings.

Parameters are arrays whose first dimension counts labellings; the loss of one labelling depends on its own slice alone, so one
pass over the rows serves all. Slopes are written out: that takes half the time of torch, whose bookkeeping costs as much as
products this small. In float64: an MLP that fits its rows well enough amplifies the rounding of float32 to whole logits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from conceptprobe.probes.base import mean_and_scale

if TYPE_CHECKING:
    from jaxtyping import Float

    Logits = Callable[[], tuple[Float[np.ndarray, "k n"], Callable[[Float[np.ndarray, "k n"]], Sequence[np.ndarray]]]]

_MEAN, _SQUARE = 0.9, 0.999
"""Decay of Adam's running means of the gradient and of its square."""


@dataclass(frozen=True)
class Reduction:
    """Standardised features, then the top principal components of the training rows, at a mean square of 1 per component.

    Components keep their proportions, so that what varies little stays little.
    """

    mean: Float[np.ndarray, " d"]
    basis: Float[np.ndarray, "d p"]

    @classmethod
    def of(cls, rows: Float[np.ndarray, "n d"], components: int) -> Reduction:
        """From n training rows. Where no feature varies there is one component, and it is 0."""
        from scipy.linalg import eigh

        mean, scale = mean_and_scale(rows)
        z = (rows - mean) * scale
        tall = z.shape[0] > z.shape[1]
        square = z.T @ z if tall else z @ z.T
        last = len(square) - 1
        values, vectors = eigh(square, subset_by_index=(max(0, last + 1 - components), last))
        keep = values > 1e-9 * max(float(values[-1]), 1e-300)
        if not keep.any():
            return cls(mean, np.zeros((len(mean), 1)))
        values, vectors = values[keep][::-1], vectors[:, keep][:, ::-1]
        basis = vectors if tall else z.T @ (vectors / np.sqrt(values))
        # Eigenvectors have no sign of their own; their largest entry gets one.
        basis = basis * np.sign(basis[np.abs(basis).argmax(axis=0), np.arange(basis.shape[1])])
        unit = np.sqrt(len(values) * len(z) / values.sum())
        return cls(mean, basis * scale[:, None] * unit)

    def __call__(self, rows: Float[np.ndarray, "... d"]) -> Float[np.ndarray, "... p"]:
        """The components of any rows."""
        reduced: np.ndarray = (rows - self.mean) @ self.basis
        return reduced


@dataclass(frozen=True)
class Penalty:
    """weight / 2 |parameter - start|^2, for every labelling; `parameter`: its place in the list."""

    parameter: int
    start: np.ndarray | float
    weight: float


def descend(
    parameters: list[Float[np.ndarray, "k ..."]],
    penalties: Sequence[Penalty],
    logits: Logits,
    wanted: Float[np.ndarray, "k n"],
    steps: int,
    rate: float,
) -> list[Float[np.ndarray, "k ..."]]:
    """Adam (Kingma & Ba 2015) on the mean logistic loss [k] + penalties; `parameters` are moved in place.

    logits: at the parameters as they are now, and what turns the slopes of the loss by the logits into those by every
    parameter. The rate falls to 0 along a half cosine. Every labelling gets the best parameters it met, the first ones
    included: its loss is never above that of where it started.
    """
    n = wanted.shape[1]
    best = np.full(len(wanted), np.inf)
    kept = [values.copy() for values in parameters]
    first, second = ([np.zeros_like(values) for values in parameters] for _ in range(2))
    for step in range(steps + 1):
        odds, slopes_of = logits()
        losses = (np.logaddexp(0, odds) - wanted * odds).mean(axis=1, dtype=np.float64)
        slopes = list(slopes_of((expit(odds) - wanted) / n))
        for penalty in penalties:
            away = parameters[penalty.parameter] - penalty.start
            losses += penalty.weight / 2 * np.square(away).reshape(len(wanted), -1).sum(axis=1)
            slopes[penalty.parameter] += penalty.weight * away
        better = losses < best
        best[better] = losses[better]
        now, old = 1 - _MEAN ** (step + 1), 1 - _SQUARE ** (step + 1)
        length = rate * 0.5 * (1 + np.cos(np.pi * step / steps)) / now
        for i, (values, slope) in enumerate(zip(parameters, slopes, strict=True)):
            kept[i][better] = values[better]
            first[i] += (1 - _MEAN) * (slope - first[i])
            second[i] += (1 - _SQUARE) * (slope * slope - second[i])
            values -= length * first[i] / (np.sqrt(second[i] / old) + 1e-8)
    return kept


def prior_logits(wanted: Float[np.ndarray, "k n"]) -> Float[np.ndarray, " k"]:
    """Log-odds of the concept among the rows of each labelling: where every descent starts."""
    share = wanted.mean(axis=1)
    result: np.ndarray = np.log(share / (1 - share))
    return result
