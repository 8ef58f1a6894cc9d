"""The p that follows from an exchange, and the exchange of two scorers; that of labels is in `relabel`.

Every p is add-one, (1 + b) / (1 + K), so it is never 0 and never below 1 / (K + 1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.stats.auroc import average_ranks
from conceptprobe.stats.design import Design

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def add_one_p(observed: float, null: Float[np.ndarray, " k"]) -> float:
    """(1 + #{null >= observed}) / (1 + K), one-sided: large values speak against the null.

    A relative tolerance keeps exact ties that differ in the last bit on the side of the null.
    """
    tolerance = 1e-12 * max(1.0, abs(observed))
    return float((1 + np.sum(null >= observed - tolerance)) / (1 + len(null)))


def rank_swap_null(
    a: Float[np.ndarray, " items"],
    b: Float[np.ndarray, " items"],
    design: Design,
    draws: int,
    rng: np.random.Generator,
) -> tuple[float, Float[np.ndarray, " draws"]]:
    """AUROC(a) - AUROC(b) on within-fold ranks, and its null: the two ranks of a unit swapped; labels stay.

    a, b: held-out scores of two scorers on the same items. Ranks put both on one scale within a fold.
    """
    ra, rb = within_fold_ranks(a, design.fold), within_fold_ranks(b, design.fold)
    observed = float(design.auroc(ra) - design.auroc(rb))
    n_units = int(design.unit.max()) + 1
    swap = rng.integers(0, 2, size=(draws, n_units)).astype(bool)[:, design.unit]
    null = design.auroc(np.where(swap, rb, ra)) - design.auroc(np.where(swap, ra, rb))
    return observed, np.asarray(null)


def within_fold_ranks(scores: Float[np.ndarray, " items"], folds: Int[np.ndarray, " items"]) -> np.ndarray:
    """Average ranks within each fold, scaled to (0, 1) so that folds of unequal size compare."""
    out = np.empty(len(scores))
    for fold in np.unique(folds):
        rows = folds == fold
        out[rows] = (average_ranks(scores[rows]) - 0.5) / rows.sum()
    return out
