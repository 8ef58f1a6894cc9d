"""Partial RSA: what two spaces share beyond distances that explain both, and how the shared part divides.

Distances are ranked (`Rsa().prepare`); the ranks of the nuisances are regressed out of both, and what is left is correlated:
Spearman's partial correlation, the statistic of the partial Mantel test (Smouse et al. 1986). Variance is partitioned as in
commonality analysis (Newton & Spurrell 1967).

A null needs a choice: here the items of b are renamed, and the nuisances stay with a. So a renamed b has lost its relation to
a and to the nuisances alike, and its own regression is redone at every permutation (method 1 of Legendre 2000).

A regression on ranks is straight where the truth may be curved. Simulated, with two spaces that share only the nuisance and
hold as much noise (60 items, 400 draws), a mean partial correlation of 0.03 is left, and 15% are below p = 0.05; with squares
as well (`polynomial_terms`) 0.01 and 8%. So give nuisances through `polynomial_terms`, and let no p just below 0.05 decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.base import renamed
from conceptprobe.alignment.rsa import RankedDistances
from conceptprobe.errors import TooFewRows, UsageError
from conceptprobe.stats.jackknife import jackknife_interval

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_NOTHING = 1e-10
"""Share of a variance below which a regression has left nothing but rounding errors."""


@dataclass(frozen=True)
class Part:
    """A share of variance and its 95% interval (delete-one-item jackknife)."""

    estimate: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class Partition:
    """Shares of the variance of b's ranked distances. unique + common + nuisance = total.

    unique: explained by a alone. common: by a and the nuisances alike; below 0 where one sharpens the other (suppression).
    nuisance: by the nuisances alone. total: by all together. Shares that are never below 0 have estimates biased upwards.
    """

    unique: Part
    common: Part
    nuisance: Part
    total: Part


def partial_rsa(a: RankedDistances, b: RankedDistances, nuisance: Sequence[RankedDistances]) -> float:
    """Partial rank correlation of the distances of a and b given those of the nuisances, -1 to 1.

    All [n, n] over the same items. Without nuisances it is `Rsa().compare`. 0 where the nuisances leave nothing of a or b.
    Raises UsageError where the sizes differ, TooFewRows where n (n - 1) / 2 distances are too few for so many nuisances.
    """
    squares = _stacked(a, b, nuisance)
    return float(_partial(_products(squares)))


def polynomial_terms(nuisance: Sequence[RankedDistances], degree: int = 2) -> list[RankedDistances]:
    """The nuisances and the powers of their ranks up to `degree`, as more nuisances: regressions on them may be curved.

    Legendre polynomials of the ranks scaled to -1..1, centred and of unit length. Raises UsageError where degree < 1.
    """
    if degree < 1:
        raise UsageError(f"a polynomial of degree {degree} explains nothing: the degree must be at least 1")
    terms = []
    for distances in nuisance:
        n = len(distances.ranks)
        upper = np.triu_indices(n, 1)
        ranks = distances.ranks[upper]
        width = max(float(np.ptp(ranks)), 1e-300)
        scaled = 2.0 * (ranks - ranks.min()) / width - 1.0
        for power in range(1, degree + 1):
            values = np.polynomial.Legendre.basis(power)(scaled)
            values = values - values.mean()
            length = float(np.linalg.norm(values))
            full = np.zeros((n, n))
            full[upper] = values / length if length > _NOTHING else 0.0
            terms.append(RankedDistances(full + full.T))
    return terms


def partial_rsa_null(
    a: RankedDistances,
    b: RankedDistances,
    nuisance: Sequence[RankedDistances],
    permutations: Int[np.ndarray, "k n"],
) -> Float[np.ndarray, " k"]:
    """The partial correlation with the items of b renamed by each permutation; a and the nuisances stay. Cost n^2 each."""
    squares = _stacked(a, b, nuisance)
    products = _products(squares)
    moved = [0, *range(2, len(squares))]
    out = np.empty(len(permutations))
    for i, ranks in enumerate(renamed(b.ranks, permutations)):
        for other in moved:
            products[1, other] = products[other, 1] = np.vdot(ranks, squares[other]) / 2.0
        out[i] = _partial(products)
    return out


def partial_rsa_leave_one_out(
    a: RankedDistances, b: RankedDistances, nuisance: Sequence[RankedDistances]
) -> Float[np.ndarray, " n"]:
    """The partial correlation with each item deleted; ranks are kept from the full set, regressions are redone. Cost n^2."""
    return _partial(_left_out(_stacked(a, b, nuisance)))


def unique_and_common(a: RankedDistances, b: RankedDistances, nuisance: Sequence[RankedDistances]) -> Partition:
    """How much of b's ranked distances a explains alone, and how much a and the nuisances explain alike.

    With R2(.) the share of variance a regression explains: unique = R2(a, nuisances) - R2(nuisances), common = R2(a) +
    R2(nuisances) - R2(a, nuisances), and so on. Intervals are jackknifes over items, ranks kept. Raises UsageError without
    nuisances or where sizes differ, TooFewRows as `partial_rsa`.
    """
    if not nuisance:
        raise UsageError("variance cannot be partitioned without a nuisance", hint="name at least one, or use rsa")
    squares = _stacked(a, b, nuisance)
    whole, left_out = _shares(_products(squares)), _shares(_left_out(squares))
    parts = [Part(float(value), *jackknife_interval(float(value), left_out[i])) for i, value in enumerate(whole)]
    return Partition(*parts)


def _stacked(a: RankedDistances, b: RankedDistances, nuisance: Sequence[RankedDistances]) -> Float[np.ndarray, "m n n"]:
    """a, b and the nuisances in one array, checked."""
    squares = [a.ranks, b.ranks, *(other.ranks for other in nuisance)]
    sizes = sorted({len(square) for square in squares})
    if len(sizes) > 1:
        raise UsageError(
            f"distances of {' and '.join(map(str, sizes))} items cannot be compared: they must be the same"
        )
    n = sizes[0]
    # One item is deleted by the jackknife, and the regression needs some freedom left.
    if (n - 1) * (n - 2) // 2 < len(squares) + 2:
        raise TooFewRows(f"{n} items are too few to partial out {len(nuisance)} kinds of distance")
    return np.stack(squares)


def _products(squares: Float[np.ndarray, "m n n"]) -> Float[np.ndarray, "m m"]:
    """Inner products of the ranks; they are centred, so these are covariances."""
    flat = squares.reshape(len(squares), -1)
    return flat @ flat.T / 2.0


def _left_out(squares: Float[np.ndarray, "m n n"]) -> Float[np.ndarray, "n m m"]:
    """`_products` of what remains with each item deleted, centred anew."""
    n = squares.shape[1]
    of_item = np.einsum("uij,vij->iuv", squares, squares, optimize=True)
    sums = -squares.sum(axis=2).T  # the full sums are zero
    pairs = (n - 1) * (n - 2) / 2.0
    return _products(squares) - of_item - sums[:, :, None] * sums[:, None, :] / pairs


def _residual(products: Float[np.ndarray, "... m m"], given: Sequence[int]) -> Float[np.ndarray, "... m m"]:
    """Covariances of all after a regression on those in `given`; nuisances that repeat each other count once."""
    if not given:
        return products
    of_given = products[..., given, :]
    inverse = np.linalg.pinv(of_given[..., :, given], rcond=_NOTHING, hermitian=True)
    return products - np.swapaxes(of_given, -1, -2) @ inverse @ of_given


def _partial(products: Float[np.ndarray, "... m m"]) -> Float[np.ndarray, "..."]:
    """Correlation of the first two given the rest."""
    left = _residual(products, range(2, products.shape[-1]))
    var_a, var_b = left[..., 0, 0], left[..., 1, 1]
    some = (var_a > _NOTHING * products[..., 0, 0]) & (var_b > _NOTHING * products[..., 1, 1])
    return np.where(some, left[..., 0, 1] / np.sqrt(np.where(some, var_a * var_b, 1.0)), 0.0)


def _shares(products: Float[np.ndarray, "... m m"]) -> Float[np.ndarray, "4 ..."]:
    """unique, common, nuisance and total shares of the variance of b."""
    others = list(range(2, products.shape[-1]))
    variance = products[..., 1, 1]
    by_a, by_others, by_all = (
        1.0 - _residual(products, given)[..., 1, 1] / np.where(variance > 0, variance, 1.0)
        for given in ([0], others, [0, *others])
    )
    shares = np.stack([by_all - by_others, by_a + by_others - by_all, by_all - by_a, by_all])
    return np.where(variance > 0, shares, 0.0)
