"""A small held-out classifier: what features of a text say about its label in groups that were not seen."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.errors import TooFewRows
from conceptprobe.stats.auroc import within_fold_auroc
from conceptprobe.stats.design import assign_folds, codes

if TYPE_CHECKING:
    from jaxtyping import Float, Int

FOLDS = 5
REPEATS = 5
"""Different assignments of groups to folds, averaged."""
TIE = 1e-5
"""Difference of two scores, as a share of the largest, below which they are equal: float32 vectors have 7 digits."""


def held_out_auroc(x: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], groups: Sequence[str]) -> float | None:
    """AUROC of a ridge classifier on groups it has not seen, by pairs within a test fold; None for too few groups.

    The penalty is the mean squared length of a centred row. Equal rows have equal scores.
    """
    unit = codes(groups)
    if len(np.unique(unit)) < 2 * FOLDS or len(np.unique(labels)) < 2:
        return None
    y = np.where(labels > 0, 1.0, -1.0)
    values = []
    for repeat in range(REPEATS):
        fold = assign_folds(unit, FOLDS, np.random.default_rng(repeat))
        scores = np.zeros(len(y))
        for f in np.unique(fold):
            train, test = fold != f, fold == f
            scores[test] = _tied(_ridge(x[train], y[train], x[test]))
        try:
            values.append(float(within_fold_auroc(scores, labels, fold)))
        except TooFewRows:
            continue  # an assignment where no fold has both labels
    return fmean(values) if values else None


def _ridge(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Scores of new rows, by the dual form: few rows, many columns."""
    mean = x.mean(axis=0)
    centred = x - mean
    kernel = centred @ centred.T
    penalty = max(float(np.trace(kernel)) / len(x), 1e-12)
    weights = centred.T @ np.linalg.solve(kernel + penalty * np.eye(len(x)), y - y.mean())
    return np.asarray((new - mean) @ weights)


def _tied(scores: np.ndarray) -> np.ndarray:
    """Ranks of scores, where those that differ by rounding only are equal.

    The mean of the same vectors in another order, or the same row elsewhere in a matrix, differs in the last digits:
    without this, pairs of equal bags would be told apart by arithmetic.
    """
    order = np.argsort(scores, kind="stable")
    steps = np.diff(scores[order]) > TIE * max(float(np.abs(scores).max(initial=0.0)), 1e-12)
    ranks = np.empty(len(scores))
    ranks[order] = np.concatenate([[0], np.cumsum(steps)])
    return ranks


def standardised(x: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and standard deviation 1; constant ones become 0."""
    spread = x.std(axis=0)
    return np.asarray((x - x.mean(axis=0)) / (spread + (spread == 0)))
