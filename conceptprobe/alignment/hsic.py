"""The Hilbert-Schmidt independence criterion (HSIC) by three estimators, and the metrics that are ratios of it.

A kernel turns each space into a square matrix over the items; HSIC of two such matrices, over the root of the product of
each with itself, is CKA for similarities and distance correlation for distances. Every estimator is an inner product of two
matrices that were centred apart, so permuting the items of one changes that product alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np

from conceptprobe.alignment.base import Metric, renamed
from conceptprobe.alignment.grams import double_centred, u_centred

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Centred:
    """The kernel of one space, centred as an estimator asks."""

    square: Float[np.ndarray, "n n"]
    """The matrix whose inner products are HSIC up to a factor of n."""
    diagonal: Float[np.ndarray, " n"]
    """The diagonal after centring; an estimator may have taken it out of `square`."""
    norm: float
    """The inner product of `square` with itself."""


Space = TypeVar("Space", bound=Centred)
"""What a metric prepares of one space: a centred kernel, and whatever else it needs beside it."""


class Estimator(ABC):
    """How HSIC is estimated from n items. Factors of n are dropped: they cancel in every ratio."""

    least_rows: ClassVar[int]
    """Items needed to leave one out."""

    @abstractmethod
    def centre(self, kernel: Float[np.ndarray, "n n"]) -> Centred:
        """The kernel of one space, centred; cost n^2."""

    @abstractmethod
    def without_each(self, a: Centred, b: Centred) -> Float[np.ndarray, " n"]:
        """HSIC of the other n - 1 items, centred anew among themselves, for each item left out; closed form, cost n^2."""


@dataclass(frozen=True)
class Biased(Estimator):
    """The first estimator (Gretton et al. 2005): both kernels double centred. Far above 0 for independent wide spaces."""

    least_rows: ClassVar[int] = 3

    def centre(self, kernel: Float[np.ndarray, "n n"]) -> Centred:
        """Double centring, diagonal kept."""
        square = double_centred(kernel)
        return Centred(square, square.diagonal().copy(), float(np.vdot(square, square)))

    def without_each(self, a: Centred, b: Centred) -> Float[np.ndarray, " n"]:
        """Rows of the whole sum to zero, so what is left of a row after a deletion is minus the deleted cell."""
        both = (a.square * b.square).sum(axis=1)
        return _double_centred_without_each(both, a.diagonal * b.diagonal)


@dataclass(frozen=True)
class Song(Estimator):
    """The unbiased estimator (Song et al. 2012, eq. 5): zero on average for independent spaces, hence sometimes negative."""

    least_rows: ClassVar[int] = 5

    def centre(self, kernel: Float[np.ndarray, "n n"]) -> Centred:
        """U-centring, which is the same estimator with its three terms folded into one."""
        square = u_centred(kernel)
        return Centred(square, np.zeros(len(square)), float(np.vdot(square, square)))

    def without_each(self, a: Centred, b: Centred) -> Float[np.ndarray, " n"]:
        """The three terms of the estimator on the rest, where row sums are minus the deleted cell and the total is zero."""
        m = len(a.square) - 1
        both = (a.square * b.square).sum(axis=1)
        return both.sum() - 2.0 * both - 2.0 * both / (m - 2)


@dataclass(frozen=True)
class Lange(Estimator):
    """Double centring with the diagonal left out afterwards (Lange et al. 2023).

    For independent spaces far below the biased form, but not 0: centring spreads the diagonal over the rest, which leaves about
    d / (d + n^2) in d even dimensions.
    """

    least_rows: ClassVar[int] = 5

    def centre(self, kernel: Float[np.ndarray, "n n"]) -> Centred:
        """Double centring; the diagonal is kept apart, because a deletion moves it."""
        square = double_centred(kernel)
        diagonal = square.diagonal().copy()
        np.fill_diagonal(square, 0.0)
        return Centred(square, diagonal, float(np.vdot(square, square)))

    def without_each(self, a: Centred, b: Centred) -> Float[np.ndarray, " n"]:
        """The biased form on the rest, less the product of the two diagonals as the rest centres them.

        Cell j of that diagonal after deleting i is k_jj + 2 k_ij / m + k_ii / m^2, with m = n - 1.
        """
        n, m = len(a.square), len(a.square) - 1
        k, l_ = a.diagonal, b.diagonal
        own = k * l_
        both = (a.square * b.square).sum(axis=1) + own
        mixed = b.square @ k + a.square @ l_ + 2.0 * own
        diagonals = own.sum() + 2.0 * mixed / m + 4.0 * both / m**2 + (k * l_.sum() + l_ * k.sum()) / m**2
        diagonals += n * own / m**4 - own * (1.0 + 1.0 / m) ** 4
        return _double_centred_without_each(both, own) - diagonals


def _double_centred_without_each(both: np.ndarray, own: np.ndarray) -> Float[np.ndarray, " n"]:
    """Inner product of two double centred kernels on the rest; `both`: row sums of their product, `own`: its diagonal."""
    m = len(both) - 1
    overlap = both.sum() - 2.0 * both + own
    return overlap - 2.0 * (both - own) / m + own / m**2


_LITTLE = 1e-6
"""Share of a norm that an item must leave for its deletion to be subtracted: below, the difference has lost digits."""
_ROUNDING = 1e-24
"""Share of a norm that is rounding: the rest does not vary at all."""


@dataclass(frozen=True)
class HsicRatio(Metric, Generic[Space]):
    """HSIC(a, b) / sqrt(HSIC(a, a) HSIC(b, b)) of a kernel that the metric names; 0 where a space does not vary at all."""

    estimator: Estimator = field(default_factory=Song)
    """Biased, debiased by Song et al. or by Lange et al."""

    @abstractmethod
    def kernel(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
        """The square matrix of one space that HSIC compares."""

    def scale(self, ratio: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        """The scale on which the ratio is reported."""
        return ratio

    @property
    def least_rows(self) -> int:
        """What the estimator needs to leave one out."""
        return self.estimator.least_rows

    def prepare(self, x: Float[np.ndarray, "n d"]) -> Any:
        """The kernel, centred."""
        self.check(len(x), x.shape[1], x.shape[1])
        return self.estimator.centre(self.kernel(x))

    def compare(self, a: Space, b: Space, focus: Bool[np.ndarray, " n"] | None = None) -> float:
        """The ratio of two centred kernels; a global metric, so `focus` must be None."""
        return float(self._ratio(np.array([np.vdot(a.square, b.square)]), a.norm * b.norm)[0])

    def null(
        self, a: Space, b: Space, permutations: Int[np.ndarray, "k n"], focus: Bool[np.ndarray, " n"] | None = None
    ) -> Float[np.ndarray, " k"]:
        """Centring commutes with renaming and norms do not change: one inner product each, n^2."""
        overlaps = np.array([np.vdot(a.square, square) for square in renamed(b.square, permutations)])
        return self._ratio(overlaps, a.norm * b.norm)

    def leave_one_out(self, a: Space, b: Space, focus: Bool[np.ndarray, " n"] | None = None) -> Float[np.ndarray, " n"]:
        """Closed form in n^2 for all n deletions; what it cannot give in full digits is centred anew."""
        without = self.estimator.without_each
        overlap, norm_a, norm_b = without(a, b), without(a, a), without(b, b)
        for item in np.flatnonzero((norm_a < _LITTLE * a.norm) | (norm_b < _LITTLE * b.norm)).tolist():
            rest_a, rest_b = self.estimator.centre(_rest(a, item)), self.estimator.centre(_rest(b, item))
            overlap[item] = np.vdot(rest_a.square, rest_b.square)
            norm_a[item] = rest_a.norm if rest_a.norm > _ROUNDING * a.norm else 0.0
            norm_b[item] = rest_b.norm if rest_b.norm > _ROUNDING * b.norm else 0.0
        return self._ratio(overlap, norm_a * norm_b)

    def _ratio(self, overlap: np.ndarray, norms: np.ndarray | float) -> np.ndarray:
        known = np.asarray(norms) > 0
        return self.scale(np.where(known, overlap / np.sqrt(np.where(known, norms, 1.0)), 0.0))


def _rest(space: Centred, item: int) -> Float[np.ndarray, "n-1 n-1"]:
    """The kernel without one item, not centred yet."""
    rest = np.delete(np.delete(space.square, item, axis=0), item, axis=1)
    np.fill_diagonal(rest, np.delete(space.diagonal, item))
    return rest
