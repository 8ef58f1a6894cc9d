"""Centred kernel alignment with a Gaussian (RBF) kernel (Kornblith et al. 2019), which weighs near items more than far ones.

k(x, y) = exp(-|x - y|^2 / (2 sigma^2)). Sigma is a fraction of the median distance of the space by default, which makes the
metric invariant to scale; the wider the kernel, the nearer the value comes to linear CKA.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.base import declare
from conceptprobe.alignment.grams import squared_distances
from conceptprobe.alignment.hsic import Biased, Centred, HsicRatio, Song
from conceptprobe.errors import UsageError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@dataclass(frozen=True)
class RbfSpace(Centred):
    """A centred kernel with the squared distances it came from: deleting an item moves their median."""

    squared: Float[np.ndarray, "n n"]


@dataclass(frozen=True)
class RbfCka(HsicRatio[RbfSpace]):
    """RBF CKA, debiased by Song et al. (2012) unless another estimator is named: 1 for equal geometry.

    Invariant to rotation, translation and, with sigma left to the median, isotropic scaling. Cost n^2 d; n^2 for each
    permutation. Raises TooFewRows below 5 rows (3 for the biased form), UsageError where the settings are not positive or
    the median distance is zero.
    """

    median_fraction: float = 1.0
    """Sigma over the median of the n(n-1)/2 distances of the space."""
    sigma: float | None = None
    """Sigma itself, in the units of the features; None to take the median."""

    def __post_init__(self) -> None:
        """Both widths are positive."""
        if not self.median_fraction > 0 or not (self.sigma is None or self.sigma > 0):
            raise UsageError("the width of a Gaussian kernel must be greater than 0")

    def kernel(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
        """Gaussian similarities of the rows."""
        return self._gaussian(squared_distances(x))

    def prepare(self, x: Float[np.ndarray, "n d"]) -> RbfSpace:
        """The kernel, centred, and the distances."""
        self.check(len(x), x.shape[1], x.shape[1])
        return self._space(squared_distances(x))

    def leave_one_out(
        self, a: RbfSpace, b: RbfSpace, focus: Bool[np.ndarray, " n"] | None = None
    ) -> Float[np.ndarray, " n"]:
        """With a fixed sigma in n^2; else every deletion takes the median and the kernel anew, n^3 in all."""
        if self.sigma is not None:
            return super().leave_one_out(a, b)
        out = np.empty(len(a.squared))
        for item in range(len(out)):
            rest = np.delete(np.arange(len(out)), item)
            kept = np.ix_(rest, rest)
            out[item] = self.compare(self._space(a.squared[kept]), self._space(b.squared[kept]))
        return out

    def _space(self, squared: np.ndarray) -> RbfSpace:
        centred = self.estimator.centre(self._gaussian(squared))
        return RbfSpace(centred.square, centred.diagonal, centred.norm, squared)

    def _gaussian(self, squared: np.ndarray) -> np.ndarray:
        sigma = self.sigma
        if sigma is None:
            median = float(np.median(np.sqrt(squared[np.triu_indices(len(squared), 1)])))
            if median == 0.0 and squared.any():
                raise UsageError(
                    "most rows are equal, so the median distance cannot be the width of a Gaussian kernel",
                    hint="remove duplicate rows, or use cka",
                )
            sigma = self.median_fraction * median or 1.0
        return np.exp(squared / (-2.0 * sigma**2))


declare(
    "rbf_cka",
    RbfCka(Song()),
    about="RBF CKA, sigma the median distance, debiased (Song)",
    fails="in many dimensions all distances are alike and it is linear CKA over again",
    source="Kornblith et al. 2019; Song et al. 2012",
)

declare(
    "rbf_cka_biased",
    RbfCka(Biased()),
    about="RBF CKA, sigma the median distance, biased",
    fails="near 1 for independent spaces with more dimensions than rows",
    source="Kornblith et al. 2019; Gretton et al. 2005",
)
