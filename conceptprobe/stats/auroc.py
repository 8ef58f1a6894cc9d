"""Area under the ROC curve, its score interval, and differences of two of them.

The interval solves |A - theta| = z c HM(theta) for theta, HM being the standard error of Hanley & McNeil (1982,
Radiology 143:29-36) at theta, not at A: so it has width at A = 1 and stays inside [0, 1]. Its n is the number of
independent units per class, and c >= 1 inflates it when the permutation null is wider than HM says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.errors import TooFewRows

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Z95 = 1.959963984540054
"""Two-sided 95% point of the standard normal."""


def average_ranks(x: Float[np.ndarray, "... n"]) -> Float[np.ndarray, "... n"]:
    """Ranks 1..n along the last axis; ties share their mean rank."""
    order = np.argsort(x, axis=-1, kind="stable")
    ordered = np.take_along_axis(x, order, axis=-1)
    n = x.shape[-1]
    position = np.arange(n)
    new_run = np.ones(x.shape, dtype=bool)
    new_run[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    start = np.maximum.accumulate(np.where(new_run, position, 0), axis=-1)
    last = np.ones(x.shape, dtype=bool)
    last[..., :-1] = new_run[..., 1:]
    end = np.minimum.accumulate(np.where(last, position, n - 1)[..., ::-1], axis=-1)[..., ::-1]
    ranks = np.empty(x.shape, dtype=np.float64)
    np.put_along_axis(ranks, order, (start + end) / 2.0 + 1.0, axis=-1)
    return ranks


def auroc(scores: Float[np.ndarray, "... n"], labels: Int[np.ndarray, "... n"]) -> Float[np.ndarray, "..."]:
    """Probability that a positive scores above a control, ties counting half; positives have labels > 0.

    Leading axes broadcast. Raises TooFewRows where a class is empty.
    """
    positive, total = _wins(np.asarray(scores, dtype=np.float64), np.asarray(labels))
    if np.any(total == 0):
        raise TooFewRows("an AUROC needs at least one row of each class")
    return positive / total


def within_fold_auroc(
    scores: Float[np.ndarray, "... n"], labels: Int[np.ndarray, "... n"], folds: Int[np.ndarray, " n"]
) -> Float[np.ndarray, "..."]:
    """AUROC over positive-control pairs of one fold only: offsets between folds cannot enter.

    Folds that lack a class add no pair. Raises TooFewRows where no fold has both classes.
    """
    scores = np.asarray(scores, dtype=np.float64)
    labels = np.asarray(labels)
    wins: np.ndarray | float = 0.0
    pairs: np.ndarray | float = 0.0
    for fold in np.unique(folds):
        rows = folds == fold
        won, total = _wins(scores[..., rows], labels[..., rows])
        wins, pairs = wins + won, pairs + total
    if np.any(np.asarray(pairs) == 0):
        raise TooFewRows("no fold holds rows of both classes")
    return np.asarray(wins / pairs)


def _wins(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(positive-control pairs the positives win, ties counting half; number of such pairs), for every leading index.

    The label travels in the lowest bit of the score, so that one sort of plain numbers gives the ranks of the
    positives: an argsort and its gathers would cost several times as much, and nulls have thousands of rows.
    """
    shape = np.broadcast_shapes(scores.shape, labels.shape)
    positive = np.broadcast_to(labels > 0, shape)
    # + 0.0 turns -0.0 into 0.0, which compares equal to it and has other bits.
    keys = (np.broadcast_to(scores, shape) + 0.0).view(np.int64)
    keys &= -2
    keys |= positive
    values = keys.view(np.float64)
    values.sort(axis=-1)
    n = shape[-1]
    sums = (keys & 1) @ np.stack([np.arange(1.0, n + 1.0), np.ones(n)], axis=1)
    strange = np.isnan(values[..., -1])
    # An infinity with the label in its lowest bit is no number, and a sort may give it other bits.
    n1 = positive.sum(axis=-1) if strange.any() else sums[..., 1]
    wins = np.asarray(sums[..., 0] - n1 * (n1 + 1) / 2.0)
    keys >>= 1
    close = keys[..., 1:] == keys[..., :-1]
    if close.any() or strange.any():
        tied = np.asarray(close.any(axis=-1) | strange)
        own, chosen, n1_tied = np.broadcast_to(scores, shape)[tied], positive[tied], np.asarray(n1)[tied]
        if (own == own[..., :1]).all():  # bags of words that cannot tell a pair apart
            wins[tied] = n1_tied * (n - n1_tied) / 2.0
        else:
            wins[tied] = (average_ranks(own) * chosen).sum(axis=-1) - n1_tied * (n1_tied + 1) / 2.0
    return wins, n1 * (n - n1)


def hanley_mcneil(theta: float, n1: int, n0: int) -> float:
    """Standard error of an AUROC of true value `theta` with n1 positive and n0 control units."""
    q1 = theta / (2.0 - theta)
    q2 = 2.0 * theta**2 / (1.0 + theta)
    variance = theta * (1 - theta) + (n1 - 1) * (q1 - theta**2) + (n0 - 1) * (q2 - theta**2)
    return float(np.sqrt(max(variance, 0.0) / (n1 * n0)))


def inflation(null: Float[np.ndarray, " k"], n1: int, n0: int) -> float:
    """c = max(1, SD of the permutation null / HM(0.5)): how much wider the rows make it than their units would."""
    return max(1.0, float(np.std(null, ddof=1)) / hanley_mcneil(0.5, n1, n0))


def auroc_interval(value: float, n1: int, n0: int, c: float = 1.0) -> tuple[float, float]:
    """95% interval of an AUROC: all theta with |value - theta| <= 1.96 c HM(theta).

    n1, n0: units per class, at least 2 each (TooFewRows below); c: inflation, at least 1.
    """
    if min(n1, n0) < 2:
        raise TooFewRows("an interval needs at least two units of each class")

    def inside(theta: float) -> bool:
        return abs(value - theta) <= Z95 * c * hanley_mcneil(theta, n1, n0)

    return _edge(value, 0.0, inside), _edge(value, 1.0, inside)


def difference_interval(
    a: float, a_bounds: tuple[float, float], b: float, b_bounds: tuple[float, float]
) -> tuple[float, float]:
    """95% interval of a - b from the intervals of two independent estimates.

    MOVER (Zou & Donner 2008, Statistics in Medicine 27:1693-1702): the lower end lies sqrt((a - a_low)^2 +
    (b_high - b)^2) below the difference, the upper end alike. It keeps the width that a score interval has at the
    ceiling, where a standard error is zero.
    """
    below = np.hypot(a - a_bounds[0], b_bounds[1] - b)
    above = np.hypot(a_bounds[1] - a, b - b_bounds[0])
    return float(a - b - below), float(a - b + above)


def _edge(inner: float, outer: float, inside: Callable[[float], bool]) -> float:
    # Bisection from the estimate (always inside) to the end of the unit interval.
    for _ in range(60):
        middle = (inner + outer) / 2.0
        if inside(middle):
            inner = middle
        else:
            outer = middle
    return inner
