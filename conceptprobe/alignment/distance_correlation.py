"""Distance correlation (Szekely, Rizzo & Bakirov 2007): zero only for independence, in any dimension.

It is the HSIC ratio of two matrices of Euclidean distances (Sejdinovic et al. 2013). The first form is biased upwards, more so
the more dimensions; the bias-corrected one (Szekely & Rizzo 2013) is on the squared scale and may be negative.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.base import declare
from conceptprobe.alignment.grams import distances
from conceptprobe.alignment.hsic import Biased, Centred, Estimator, HsicRatio, Song

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class SquaredDistanceCorrelation(HsicRatio[Centred]):
    """Squared distance correlation: 1 for equal geometry, and debiased about 0 for independent spaces.

    Invariant to rotation, isotropic scaling and translation of either space. Cost n^2 d; n^2 for each permutation.
    Raises TooFewRows below 5 rows (3 for the biased form).
    """

    def kernel(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
        """Euclidean distances of the rows."""
        return distances(x)


@dataclass(frozen=True)
class DistanceCorrelation(SquaredDistanceCorrelation):
    """Distance correlation in [0, 1], the root of the biased squared form. Raises TooFewRows below 3 rows."""

    estimator: Estimator = field(default_factory=Biased)

    def scale(self, ratio: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        """The root; the squared form is a product of two distance matrices of negative type, and is never negative."""
        return np.sqrt(np.maximum(ratio, 0.0))


declare(
    "dcor",
    DistanceCorrelation(),
    about="distance correlation, biased",
    fails="near 1 for independent spaces with more dimensions than rows",
    source="Szekely, Rizzo & Bakirov 2007",
)

declare(
    "dcor_debiased",
    SquaredDistanceCorrelation(Song()),
    about="squared distance correlation, bias-corrected",
    fails="in many dimensions all distances are alike and it is linear CKA over again",
    source="Szekely & Rizzo 2013",
)
