"""Linear discriminant analysis (Fisher 1936) with a shrunk covariance (Ledoit & Wolf 2004).

The shrinkage is a property of the rows and never sees labels: the covariance A that is shrunk and inverted is that of all
training rows. It is made of the within-class covariance B, shrunk by the same terms, and of the difference of means d:
A = B + p (1 - p) s d d', p the share of the concept and s what shrinking leaves of the sample covariance. By Sherman &
Morrison (1950) the direction of LDA is the same through either, B^-1 d = A^-1 d / (1 - p (1 - p) s d' A^-1 d), and A is
factorised once for all labellings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve

from conceptprobe.errors import UsageError
from conceptprobe.probes.base import LinearProbe, mean_and_scale
from conceptprobe.probes.mean_difference import class_weights
from conceptprobe.registry import register

if TYPE_CHECKING:
    from jaxtyping import Float

_LEAST = 1e-4
"""Shrinkage never goes below this, so that the covariance of fewer rows than features can be inverted."""


@register(
    "probe",
    "lda",
    about="Fisher's discriminant, Ledoit-Wolf shrinkage, standardised features",
    linear=True,
    positions=False,
)
class LDAProbe(LinearProbe):
    """Log-odds of the concept if both classes are Gaussian with one covariance, shrunk towards equal variances.

    shrinkage: from 0 to 1, None for the estimate of Ledoit & Wolf from all training rows; it takes rows for independent,
    which terms in several templates are not, and is then on the small side. Features are standardised first. One fit
    costs a factorisation, n^3 / 3 + n^2 d products, `relabelled` one for all labellings and n (n + m) products for each.
    """

    def __init__(self, shrinkage: float | None = None) -> None:
        self.shrinkage = shrinkage

    def _solve(
        self, x: Float[np.ndarray, "n d"], sign: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, " d"], float]:
        mean, scale = mean_and_scale(x)
        z = (x - mean) * scale
        dual, intercept = self._dual(z, sign[None])
        coef = (z.T @ dual[0]) * scale
        return coef, float(intercept[0] - mean @ coef)

    def _relabelled(
        self, train: Float[np.ndarray, "n d"], test: Float[np.ndarray, "m d"], sign: Float[np.ndarray, "k n"]
    ) -> Float[np.ndarray, "k m"]:
        mean, scale = mean_and_scale(train)
        z = (train - mean) * scale
        dual, intercept = self._dual(z, sign)
        return dual @ (z @ ((test - mean) * scale).T) + intercept[:, None]

    def _dual(
        self, z: Float[np.ndarray, "n d"], sign: Float[np.ndarray, "k n"]
    ) -> tuple[Float[np.ndarray, "k n"], Float[np.ndarray, " k"]]:
        """Weights of the rows whose sum is the direction on standardised features, and the intercept."""
        if self.shrinkage is not None and not 0.0 <= self.shrinkage <= 1.0:
            raise UsageError(f"a shrinkage of {self.shrinkage} is not between 0 and 1")
        n = len(z)
        gram = z @ z.T
        width = int((z != 0).any(axis=0).sum())
        share = (sign > 0).mean(axis=1)
        prior = np.log(share / (1 - share))
        if width == 0:
            return np.zeros_like(sign), prior
        chosen = ledoit_wolf(gram, width) if self.shrinkage is None else self.shrinkage
        shrunk = max(chosen, _LEAST)
        # A^-1 Z'w = Z' ((1 - a)/n ZZ' + a v I)^-1 w: rows take the place of features.
        inner = (1 - shrunk) / n * gram
        inner[np.diag_indices(n)] += shrunk * np.trace(gram) / (n * width)
        positive, control = class_weights(sign)
        across = positive - control
        dual = solve(inner, across.T, assume_a="pos", check_finite=False).T
        pull = (across @ gram * dual).sum(axis=1)
        dual /= (1 - share * (1 - share) * (1 - shrunk) * pull)[:, None]
        middle = ((positive + control) / 2 @ gram * dual).sum(axis=1)
        return dual, prior - middle


def ledoit_wolf(gram: Float[np.ndarray, "n n"], width: int) -> float:
    """Shrinkage of Ledoit & Wolf (2004) for centred rows, from their inner products; `width`: number of features."""
    n = len(gram)
    norms = np.diag(gram)
    squared = float((gram**2).sum()) / n**2
    variance = float(norms.sum()) / n / width
    spread = squared / width - variance**2
    error = (float((norms**2).sum()) / n - squared) / (width * n)
    return min(error, spread) / spread if spread > 0 else 0.0
