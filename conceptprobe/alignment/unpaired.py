"""Matching two spaces with no pairs given: how many items find their partner from geometry alone?

Gromov-Wasserstein (Memoli 2011; Peyre et al. 2016, by the library POT) matches distances to distances; the orthogonal method
alternates assignment and rotation (Grave et al. 2019). Both start from each item's sorted distances to all others, which need
no partner to be compared (Memoli's third lower bound), and neither sees which rows belong together: rows are shuffled first, so
that where geometry says nothing the order of the rows cannot help.

Chance needs no simulation. Had the items of y been renamed, the same assignment would be found, renamed: so under the null the
items that find their partner are the fixed points of a random permutation, 1 on average whatever n, and p is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.errors import TooFewRows, UsageError, did_you_mean

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_LEAST_ROWS = 4
_MOST_ROUNDS = 50
"""Of assignment and rotation by turns, in each number of axes; most end far earlier, at an assignment that stays."""


@dataclass(frozen=True)
class Matching:
    """A matching of the items of x to those of y, found without pairs.

    assignment: for each row of x, its row of y. found: items whose partner is their own row. share: found / n. chance: 1 / n,
    the share expected of a random assignment. p: P(a random one finds as many). mismatch: what the method minimised.
    """

    assignment: Int[np.ndarray, " n"]
    found: int
    share: float
    chance: float
    p: float
    mismatch: float


def unpaired_matching(
    x: Float[np.ndarray, "n dx"],
    y: Float[np.ndarray, "n dy"],
    method: str = "gromov_wasserstein",
    *,
    seed: int = 0,
) -> Matching:
    """Match the rows of x to those of y by geometry alone, and count those that find their own.

    method: "gromov_wasserstein" (any two spaces; cost n^3 a step) or "orthogonal" (after principal axes, which must be shared
    up to a rotation; cost n^3 a step). Invariant to rotation, isotropic scaling and translation of either space. seed: of the
    shuffle of rows; with distinct rows it only breaks ties and chooses between equally good local optima. Copies of a row find
    each other at random. Raises UsageError where the rows differ in number, are not finite or are all equal, or for an unknown
    method; TooFewRows below 4.
    """
    if method not in METHODS:
        raise UsageError(
            f"no method named '{method}'.{did_you_mean(method, METHODS)}", hint=f"one of: {', '.join(METHODS)}"
        )
    n = len(x)
    if n != len(y):
        raise UsageError(f"{n} rows cannot be matched with {len(y)}: every item needs one partner")
    if n < _LEAST_ROWS:
        raise TooFewRows(f"{n} rows are too few to be matched: at least {_LEAST_ROWS} are needed")
    x, y = _standardised(x, "first"), _standardised(y, "second")
    generator = np.random.default_rng(seed)
    order_x, order_y = generator.permutation(n), generator.permutation(n)
    partner, mismatch = METHODS[method](x[order_x], y[order_y])
    assignment = np.empty(n, dtype=np.int64)
    assignment[order_x] = order_y[partner]
    found = int((assignment == np.arange(n)).sum())
    return Matching(assignment, found, found / n, 1.0 / n, fixed_points_p(found, n), mismatch)


def fixed_points_p(found: int, n: int) -> float:
    """P(a uniformly random permutation of n has `found` fixed points or more), exactly (Montmort 1713).

    P(exactly j) = 1 / j! times the sum over i from 0 to n - j of (-1)^i / i!. Below the least float, from 170 or so, it is 0.
    """
    from scipy.special import gammaln

    j = np.arange(found, n + 1)
    terms = np.exp(-gammaln(np.arange(n + 1) + 1.0)) * np.where(np.arange(n + 1) % 2 == 0, 1.0, -1.0)
    exactly = np.exp(-gammaln(j + 1.0)) * np.cumsum(terms)[n - j]
    return 1.0 if found <= 0 else float(min(exactly.sum(), 1.0))


def gromov_wasserstein(
    x: Float[np.ndarray, "n dx"], y: Float[np.ndarray, "n dy"]
) -> tuple[Int[np.ndarray, " n"], float]:
    """The assignment nearest to an optimal Gromov-Wasserstein plan (squared loss, equal weights), and the loss of the plan.

    The problem is not convex: of the plans reached from the sorted distances, from the uniform plan and from the orthogonal
    matching, the one of least loss.
    """
    from ot.gromov import gromov_wasserstein as solve
    from scipy.optimize import linear_sum_assignment

    n = len(x)
    distances = [_distances(x), _distances(y)]
    c, d = (square / max(float(square.mean()), 1e-300) for square in distances)
    weights = np.full(n, 1.0 / n)
    starts = [np.full((n, n), 1.0 / n**2)]
    for partner in (_by_profiles(*distances), orthogonal(x, y)[0]):
        plan = np.zeros((n, n))
        plan[np.arange(n), partner] = 1.0 / n
        starts.append(plan)
    best, least = starts[0], np.inf
    for start in starts:
        plan, log = solve(c, d, weights, weights, "square_loss", symmetric=True, G0=start, log=True)
        if float(log["gw_dist"]) < least:
            best, least = plan, float(log["gw_dist"])
    return linear_sum_assignment(-best)[1], least


def orthogonal(x: Float[np.ndarray, "n dx"], y: Float[np.ndarray, "n dy"]) -> tuple[Int[np.ndarray, " n"], float]:
    """The assignment and rotation found by turns, first in few principal axes and then in more, and the squared distance left.

    Few axes first: in as many axes as items a rotation fits any assignment well, and the first would stay. x and y are
    centred and of unit Frobenius norm; the squared distance is between 0 and 2.
    """
    from scipy.optimize import linear_sum_assignment

    rank = max(np.linalg.matrix_rank(x), np.linalg.matrix_rank(y))
    x, y = _principal(x, rank), _principal(y, rank)
    partner = _by_profiles(_distances(x), _distances(y))
    axes = 2
    while True:
        axes = min(axes, rank)
        a, b = x[:, :axes], y[:, :axes]
        for _ in range(_MOST_ROUNDS):
            left, _, right = np.linalg.svd(a.T @ b[partner], full_matrices=False)
            found = linear_sum_assignment(-(a @ left @ right) @ b.T)[1]
            if np.array_equal(found, partner):
                break
            partner = found
        if axes == rank:
            break
        axes *= 2
    left, _, right = np.linalg.svd(a.T @ b[partner], full_matrices=False)
    return partner, float(((a @ left @ right - b[partner]) ** 2).sum())


METHODS: Mapping[str, Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, float]]] = {
    "gromov_wasserstein": gromov_wasserstein,
    "orthogonal": orthogonal,
}
"""Name -> function from two centred spaces of unit norm to the partner of every row of the first, and what it minimised."""


def _standardised(x: np.ndarray, which: str) -> Float[np.ndarray, "n d"]:
    x = np.asarray(x, dtype=np.float64)
    if not np.isfinite(x).all():
        raise UsageError(f"the {which} space holds NaN or infinite values: it cannot be matched")
    x = x - x.mean(axis=0)
    size = float(np.linalg.norm(x))
    if size == 0.0:
        raise UsageError(f"all rows of the {which} space are equal: nothing tells its items apart")
    return x / size


def _distances(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    from scipy.spatial.distance import cdist

    return cdist(x, x)


def _by_profiles(c: Float[np.ndarray, "n n"], d: Float[np.ndarray, "n n"]) -> Int[np.ndarray, " n"]:
    """The assignment of least difference between sorted distances: the Wasserstein distance of what each item sees."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    return linear_sum_assignment(cdist(np.sort(c, axis=1), np.sort(d, axis=1)))[1]


def _principal(x: Float[np.ndarray, "n d"], rank: int) -> Float[np.ndarray, "n rank"]:
    """Coordinates along `rank` principal axes, zeros where there are fewer: all of the geometry."""
    left, sizes, _ = np.linalg.svd(x, full_matrices=False)
    z = left * sizes
    return np.pad(z[:, :rank], ((0, 0), (0, max(0, rank - z.shape[1]))))
