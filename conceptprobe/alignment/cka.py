"""Linear centred kernel alignment (Kornblith et al. 2019): biased, debiased by Song et al. (2012), by Lange et al. (2023).

The biased form of two independent Gaussian clouds of 256 rows in 4,096 dimensions is 0.94, Lange's 0.06, and Song's, the
default, 0 on average: it may be slightly negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.base import declare
from conceptprobe.alignment.grams import linear_gram
from conceptprobe.alignment.hsic import Biased, Centred, HsicRatio, Lange, Song

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Cka(HsicRatio[Centred]):
    """Linear CKA: 1 for equal geometry, and by Song's estimator 0 on average for independent spaces.

    Invariant to rotation, isotropic scaling and translation of either space. Cost n^2 d; n^2 for each permutation.
    Raises TooFewRows below 5 rows (3 for the biased form).
    """

    def kernel(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
        """Inner products of the centred rows."""
        return linear_gram(x)


declare(
    "cka",
    Cka(Song()),
    about="linear CKA, debiased (Song)",
    fails="one direction of large variance decides it",
    source="Kornblith et al. 2019; Song et al. 2012",
)

declare(
    "cka_lange",
    Cka(Lange()),
    about="linear CKA, debiased (Lange): double centred, diagonal left out",
    fails="one direction of large variance decides it; a bias of d / (d + n^2) stays",
    source="Kornblith et al. 2019; Lange et al. 2023",
)

declare(
    "cka_biased",
    Cka(Biased()),
    about="linear CKA, biased",
    fails="near 1 for independent spaces with more dimensions than rows; one direction of large variance decides it",
    source="Kornblith et al. 2019; Gretton et al. 2005",
)
