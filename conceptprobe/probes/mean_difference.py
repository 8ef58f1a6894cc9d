"""Mean difference, or mass-mean probe (Marks & Tegmark 2023, arXiv:2310.06824): the line from one class mean to the other.

Nothing is fitted beyond two means, so there is nothing to overfit; of all probes its direction changes a model's
answers most when it is added to activations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.probes.base import LinearProbe, mean_and_scale
from conceptprobe.registry import register

if TYPE_CHECKING:
    from jaxtyping import Float


@register(
    "probe",
    "mean_difference",
    about="mass-mean: from the mean of the controls to that of the concept, raw features",
    linear=True,
    positions=False,
)
class MeanDifferenceProbe(LinearProbe):
    """Direction mean(concept) - mean(controls); the decision is the projection, 0 half-way between the means.

    On raw features, as in the paper: the direction is then a shift of activations that can be added to them, and dividing by
    spreads would make it another probe, LDA with a diagonal covariance. So it follows a common scale and rotations of the
    space, but features of large spread weigh more. Decisions are in squared units of the features. One fit costs n d
    products; `relabelled` k d (n + m) for k labellings, one product each way.
    """

    def _solve(
        self, x: Float[np.ndarray, "n d"], sign: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, " d"], float]:
        coef, intercept = _solve_all(x, sign[None])
        return coef[0], float(intercept[0])

    def _relabelled(
        self, train: Float[np.ndarray, "n d"], test: Float[np.ndarray, "m d"], sign: Float[np.ndarray, "k n"]
    ) -> Float[np.ndarray, "k m"]:
        coef, intercept = _solve_all(train, sign)
        return coef @ test.T + intercept[:, None]


def class_weights(sign: Float[np.ndarray, "k n"]) -> tuple[Float[np.ndarray, "k n"], Float[np.ndarray, "k n"]]:
    """Row weights whose products with features are the class means: (of the concept, of the controls)."""
    positive, control = (sign > 0).astype(np.float64), (sign < 0).astype(np.float64)
    return positive / positive.sum(axis=1, keepdims=True), control / control.sum(axis=1, keepdims=True)


def _solve_all(
    x: Float[np.ndarray, "n d"], sign: Float[np.ndarray, "k n"]
) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
    mean, scale = mean_and_scale(x)
    # Features constant in training differ between classes by rounding alone.
    centred = (x - mean) * (scale > 0)
    positive, control = class_weights(sign)
    high, low = positive @ centred, control @ centred
    coef = high - low
    return coef, -((high + low) / 2 * coef).sum(axis=1) - coef @ mean
