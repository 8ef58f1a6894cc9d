"""Exchanges: what may be swapped if there were no effect, and the p that follows.

Every p is add-one, (1 + b) / (1 + K), so it is never 0 and never below 1 / (K + 1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.stats.auroc import average_ranks
from conceptprobe.stats.design import Design

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def exchanged_labels(design: Design, draws: int, rng: np.random.Generator) -> Int[np.ndarray, "draws items"]:
    """Labels under the null, one row a draw.

    Units that hold both classes (matched pairs, scenes with matched controls): all labels of a unit are flipped
    together, with probability 1/2. Units of one class only: label patterns are permuted among units of one size, so
    that class sizes stay what they are.
    """
    classes = [np.unique(design.label[design.unit == u]).size for u in np.unique(design.unit)]
    if min(classes) == 2:
        return _flipped(design, draws, rng)
    return _permuted(design, draws, rng)


def _flipped(design: Design, draws: int, rng: np.random.Generator) -> np.ndarray:
    n_units = int(design.unit.max()) + 1
    sign = rng.integers(0, 2, size=(draws, n_units)) * 2 - 1
    return sign[:, design.unit] * design.label


def _permuted(design: Design, draws: int, rng: np.random.Generator) -> np.ndarray:
    ids, sizes = np.unique(design.unit, return_counts=True)
    out = np.tile(design.label, (draws, 1))
    for size in np.unique(sizes):
        rows = np.stack([np.flatnonzero(design.unit == u) for u in ids[sizes == size]])  # [units, size]
        patterns = design.label[rows]
        for d in range(draws):
            out[d, rows] = patterns[rng.permutation(len(rows))]
    return out


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
