"""Ridge predictivity: how well a linear map of one space predicts items of the other that it was not fitted to.

Held-out R^2 of ridge regression from a to b over fixed folds of the items, the dimensions of b weighted by their variance
(squared errors and squares are summed over dimensions and folds before they are divided). The linear encoding model of
Yamins et al. (2014) with the penalty of Hoerl & Kennard (1970), chosen by generalised cross-validation (Golub, Heath & Wahba
1979) among the training items of each fold.

Everything that depends on the first space alone is a smoother: its singular value decomposition per fold is taken once, and
another space, or the same one renamed, costs two matrix products per fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.base import Metric, declare
from conceptprobe.alignment.principal import principal_axes
from conceptprobe.errors import UsageError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

PENALTIES: tuple[float, ...] = tuple(10.0**power for power in range(3, -5, -1))
"""Ridge penalties on offer, falling, over the mean squared length of the training rows; the first of equals is taken."""


@dataclass(frozen=True)
class Fold:
    """The smoother of one fold: training rows as q * root(spectrum), test rows projected, both about the training mean."""

    train: Int[np.ndarray, " m"]
    test: Int[np.ndarray, " t"]
    q: Float[np.ndarray, "m r"]
    spectrum: Float[np.ndarray, " r"]
    projected: Float[np.ndarray, "t r"]
    penalties: Float[np.ndarray, " p"]

    def weights(self, penalty: float) -> Float[np.ndarray, " r"]:
        """Weight of each direction in a prediction: projected * weights @ q' maps training values to test items."""
        return 1.0 / (self.spectrum + penalty)


@dataclass(frozen=True)
class RidgeSpace:
    """One space as what is predicted (principal coordinates) and as what predicts (a smoother per fold)."""

    target: Float[np.ndarray, "n r"]
    folds: tuple[Fold, ...]


def ridge_fold(
    rows: Float[np.ndarray, "n r"],
    train: Int[np.ndarray, " m"],
    test: Int[np.ndarray, " t"],
    penalties: Sequence[float] | None = None,
) -> Fold:
    """The smoother of one fold; penalties are absolute, and by default PENALTIES times the training rows' mean square."""
    mean = rows[train].mean(axis=0)
    centred = rows[train] - mean
    q, lengths, directions = np.linalg.svd(centred, full_matrices=False)
    kept = lengths > max(centred.shape) * np.finfo(np.float64).eps * lengths.max(initial=0.0)
    q, lengths, directions = q[:, kept], lengths[kept], directions[kept]
    spectrum = lengths**2
    if penalties is None:
        penalties = [share * float(spectrum.sum()) / len(train) for share in PENALTIES]
    projected = (rows[test] - mean) @ directions.T * lengths
    return Fold(train, test, q, spectrum, projected, np.array(penalties))


def held_out(folds: Sequence[Fold], target: Float[np.ndarray, "n r"]) -> tuple[float, float]:
    """Squared errors of the predictions of all test items, and their squares about the training means, summed."""
    errors = squares = 0.0
    for fold in folds:
        mean = target[fold.train].mean(axis=0)
        known, wanted = target[fold.train] - mean, target[fold.test] - mean
        rotated = fold.q.T @ known
        outside = float(np.vdot(known, known) - np.vdot(rotated, rotated))
        penalty = _by_gcv(fold, (rotated**2).sum(axis=1), max(outside, 0.0))
        errors += float(((wanted - (fold.projected * fold.weights(penalty)) @ rotated) ** 2).sum())
        squares += float((wanted**2).sum())
    return errors, squares


def _by_gcv(fold: Fold, energy: np.ndarray, outside: float) -> float:
    """The penalty of least generalised cross-validation error; energy: squares of the training values per direction."""
    m = len(fold.train)
    shrunk = fold.penalties[:, None] / (fold.spectrum + fold.penalties[:, None])
    freedom = m - 1 - len(fold.spectrum) + shrunk.sum(axis=1)
    return float(fold.penalties[np.argmin((outside + shrunk**2 @ energy) / freedom**2)])


@dataclass(frozen=True)
class Predictivity(Metric):
    """Held-out R^2 of ridge regression from the first space to the second: at most 1, below 0 where the mean does better.

    Item i is tested in fold i mod `folds`. Invariant to rotation, isotropic scaling and translation of either space; not
    symmetric. Cost n d^2 per fold; n d^2 per fold for each permutation. Raises TooFewRows below 2 rows per fold.
    """

    folds: int = 5

    def __post_init__(self) -> None:
        """One fold would leave nothing to fit to."""
        if self.folds < 2:
            raise UsageError(f"predictivity needs 2 folds or more, not {self.folds}")

    @property
    def least_rows(self) -> int:
        """Two items in every fold, so that one can be left out; five items in all to fit to."""
        return max(2 * self.folds, 6)

    def prepare(self, x: Float[np.ndarray, "n d"]) -> RidgeSpace:
        """Principal coordinates, which turn neither errors nor predictions, and the smoother of each fold."""
        self.check(len(x), x.shape[1], x.shape[1])
        rows = principal_axes(x).scores
        items = np.arange(len(rows))
        parts = [items % self.folds == fold for fold in range(self.folds)]
        return RidgeSpace(rows, tuple(ridge_fold(rows, items[~part], items[part]) for part in parts))

    def compare(self, a: RidgeSpace, b: RidgeSpace, focus: Bool[np.ndarray, " n"] | None = None) -> float:
        """R^2 of b predicted from a; a global metric, so `focus` must be None."""
        return _r2(*held_out(a.folds, b.target))

    def null(
        self,
        a: RidgeSpace,
        b: RidgeSpace,
        permutations: Int[np.ndarray, "k n"],
        focus: Bool[np.ndarray, " n"] | None = None,
    ) -> Float[np.ndarray, " k"]:
        """The items of b renamed, folds kept, penalties chosen anew."""
        return np.array([_r2(*held_out(a.folds, b.target[order])) for order in permutations])

    def leave_one_out(
        self, a: RidgeSpace, b: RidgeSpace, focus: Bool[np.ndarray, " n"] | None = None
    ) -> Float[np.ndarray, " n"]:
        """R^2 without each item; the others keep their folds and the penalties on offer, of which one is chosen anew.

        Closed form: a smoother without one of its items is the smoother in which that item's value is replaced by what
        the others predict for it (Cook & Weisberg 1982). n r^2 per fold and penalty for all n.
        """
        errors, squares = np.zeros(len(b.target)), np.zeros(len(b.target))
        for fold in a.folds:
            for total, part in zip((errors, squares), _held_out_without_each(fold, b.target), strict=True):
                total += part
        return np.array([_r2(e, s) for e, s in zip(errors, squares, strict=True)])


def _r2(errors: float, squares: float) -> float:
    return 1.0 - errors / squares if squares > 0 else 0.0


def _held_out_without_each(fold: Fold, target: np.ndarray) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Squared errors and squares of one fold's test items, for each of all n items left out."""
    m, mean = len(fold.train), target[fold.train].mean(axis=0)
    known, wanted = target[fold.train] - mean, target[fold.test] - mean
    tried = [_ridge_without_each(fold, penalty, known, wanted) for penalty in fold.penalties]
    gcv, missed, gcv_without, missed_without = (np.array(column) for column in zip(*tried, strict=True))
    missed = missed[np.argmin(gcv)]
    own = (wanted**2).sum(axis=1)
    moved = known / (m - 1)  # how far the training mean moves away from an item that is left out
    errors, squares = np.empty(len(target)), np.empty(len(target))
    errors[fold.test], squares[fold.test] = missed.sum() - missed, own.sum() - own
    errors[fold.train] = missed_without[np.argmin(gcv_without, axis=0), np.arange(m)]
    squares[fold.train] = own.sum() + 2.0 * moved @ wanted.sum(axis=0) + len(wanted) * (moved**2).sum(axis=1)
    return errors, squares


def _ridge_without_each(
    fold: Fold, penalty: float, known: np.ndarray, wanted: np.ndarray
) -> tuple[float, Float[np.ndarray, " t"], Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """GCV and the squared error of each test item; GCV and their summed squared errors without each training item.

    S = I - smoother maps training values to residuals e. Without item i residuals are e_j - s_ji e_i / s_ii, and the
    prediction of a test item falls by its weight on i times e_i / s_ii.
    """
    shrunk, rotated = penalty * fold.weights(penalty), fold.q.T @ known
    beyond, inside = known - fold.q @ rotated, (fold.q**2).sum(axis=1)
    residual = beyond + fold.q @ (shrunk[:, None] * rotated)
    twice = beyond + fold.q @ ((shrunk**2)[:, None] * rotated)
    s = 1.0 - 1.0 / len(known) - inside + fold.q**2 @ shrunk
    s_squared = 1.0 - 1.0 / len(known) - inside + fold.q**2 @ shrunk**2
    length = (residual**2).sum(axis=1)
    total, freedom = float(length.sum()), float(s.sum())
    total_without = total - 2.0 * (twice * residual).sum(axis=1) / s + s_squared * length / s**2
    mapped = fold.projected * fold.weights(penalty)
    missed, influence = wanted - mapped @ rotated, 1.0 / len(known) + mapped @ fold.q.T
    missed_without = (missed**2).sum() + 2.0 * (influence * (missed @ residual.T)).sum(axis=0) / s
    missed_without += (influence**2).sum(axis=0) * length / s**2
    gcv_without = total_without / (freedom - s_squared / s) ** 2
    return total / freedom**2, (missed**2).sum(axis=1), gcv_without, missed_without


declare(
    "predictivity",
    Predictivity(),
    about="held-out R^2 of ridge regression from the first space to the second",
    symmetric=False,
    cost="n d^2 per fold, again for each permutation",
    fails="related items in different folds are predicted from each other; directions of large variance decide it",
    source="Yamins et al. 2014; Hoerl & Kennard 1970; Golub, Heath & Wahba 1979",
)
