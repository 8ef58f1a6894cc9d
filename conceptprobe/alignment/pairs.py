"""Every site of one model against every site of another at once: CKA, RSA and mutual kNN with their nulls.

Equal to asking the metric pair by pair, but each site is prepared once and all pairs are one product.

CKA. A centred Gram is a vector, and CKA the cosine of two: of U-centred Grams (Song et al. 2012; Szekely & Rizzo 2014), of
double-centred ones (Kornblith et al. 2019), or of these without their diagonal (Lange et al. 2023). Grams are symmetric, so
only upper triangles are multiplied. Renaming the items of b moves the cells of its centred Grams and nothing else: one product
per permutation for all pairs. Where the items far outnumber the dimensions, cross-covariances cost less (`cheaper_form`).

RSA (Kriegeskorte et al. 2008). Distances or their ranks, centred and of unit length, are such matrices, too.

Mutual kNN (Huh et al. 2024). One search per site. A cell (item, neighbour) holds one bit per site of a; the lists of b look
their cells up there. A permutation renames the entries of the lists, and nothing is searched again.

Products are in float32 (`dtype`), sums of blocks in float64: CKA and RSA are within 1e-6 of float64. Neighbours whose float32
cosines are too close to call are settled in float64, so lists are those of float64 but for exact ties.
Memory: 2 n^2 bytes per site, 4 n^2 per site of b with permutations. `streaming` is for n too large for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from conceptprobe import registry
from conceptprobe.alignment.neighbour_lists import nearest, overlaps
from conceptprobe.alignment.neighbours import MutualKnn
from conceptprobe.alignment.rsa import Rsa
from conceptprobe.alignment.stack import Site, Stack, check_stacks, product_triangle
from conceptprobe.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

Centring = Literal["song", "lange", "biased"]
"""How a Gram is centred, by the estimator of HSIC."""

_BLOCK = 1 << 15
"""Cells per float32 product, summed in float64: long enough for BLAS, short enough for the cache and for accuracy."""

_ROWS = 64
"""Rows of an upper triangle that are kept as one strip."""


@dataclass(frozen=True)
class PairMap:
    """The metric for each site of a with each site of b, and with the items of b renamed by each permutation."""

    value: Float[np.ndarray, "a b"]
    null: Float[np.ndarray, "k a b"] | None = None


def all_pairs(
    stack_a: Stack,
    stack_b: Stack,
    metric: str = "cka",
    *,
    k: int = 10,
    median_fraction: float = 1.0,
    permutations: Int[np.ndarray, "k n"] | None = None,
    focus: Bool[np.ndarray, " n"] | None = None,
    dtype: type[np.floating[Any]] = np.float32,
) -> PairMap:
    """The metric of that name for every site of stack_a with every site of stack_b, rows being the same items.

    metric: a name of `AT_ONCE`, as registered. k: neighbours.
    median_fraction: sigma of the RBF kernel over the median distance. permutations: the null, equal to the metric of a and
    b[order]. focus: only these items ask, for mutual_knn. A stack compared with itself (the same object) is prepared once.
    Raises UsageError for an unknown name and for stacks that do not fit, TooFewRows as the metric does.
    """
    if metric not in AT_ONCE:
        raise UsageError(
            f"no '{metric}' over all pairs.{did_you_mean(metric, AT_ONCE)}", hint=f"one of {', '.join(AT_ONCE)}"
        )
    n = check_stacks(stack_a, stack_b, permutations)
    if metric == "mutual_knn":
        MutualKnn(k).check(n, 1, 1)
        a = np.stack([nearest(Site.read(x), k, dtype) for x in stack_a])
        b = a if stack_b is stack_a else np.stack([nearest(Site.read(x), k, dtype) for x in stack_b])
        return PairMap(*overlaps(a, b, permutations, focus))
    if focus is not None:
        raise UsageError(f"{metric} has no focus: every cell of a matrix belongs to two items", hint="use mutual_knn")
    registered = registry.get("metric", metric)
    registered.check(n, 1, 1)
    if metric in _KERNELS:
        kernel, draws = _KERNELS[metric], 0 if permutations is None else len(permutations)
        d = round(float(np.mean([x.shape[1] for x in (*stack_a, *stack_b)])))
        if kernel.linear and cheaper_form(n, d, len(stack_a), len(stack_b), draws) == "features":
            return _by_features(stack_a, stack_b, kernel.centring, permutations)
        return _by_matrices(stack_a, stack_b, n, partial(_centred, kernel, median_fraction), permutations, dtype)
    return _by_matrices(stack_a, stack_b, n, partial(_ranked, registered), permutations, dtype)


def _by_matrices(
    stack_a: Stack,
    stack_b: Stack,
    n: int,
    pack: Callable[[np.ndarray, Strips, np.ndarray], None],
    permutations: Int[np.ndarray, "k n"] | None,
    dtype: type[np.floating[Any]],
) -> PairMap:
    """`pack` writes the matrix of a site into strips such that the metric is the product of two."""
    same = stack_b is stack_a
    strips = Strips.of(n)
    a = np.empty((len(stack_a), strips.cells), dtype)
    b = a if same else np.empty((len(stack_b), strips.cells), dtype)
    for stack, out in ((stack_a, a),) if same else ((stack_a, a), (stack_b, b)):
        for x, packed in zip(stack, out, strict=True):
            pack(x, strips, packed)
    value = np.zeros((len(a), len(b)))
    for begin in range(0, strips.cells, _BLOCK):
        value += a[:, begin : begin + _BLOCK] @ b[:, begin : begin + _BLOCK].T
    if permutations is None:
        return PairMap(value)
    cells = strips.unpacked(b)
    return PairMap(value, np.stack([_renamed_product(a, cells, order, strips) for order in permutations]))


def cheaper_form(n: int, d: int, sites_a: int, sites_b: int, draws: int = 0) -> str:
    """ "tiles" or "features": the form of linear CKA with fewer multiplications.

    Grams of n x n cells cost n^2 d / 2 per site and n^2 / 2 per pair and permutation; cross-covariances n d^2 per pair and
    permutation, and n d^2 / 2 per site for the norms.
    """
    sites, products = sites_a + sites_b, sites_a * sites_b * (1 + draws)
    tiles = (sites * d + products) * n * n / 2
    features = (sites / 2 + products) * n * d * d
    return "features" if features < tiles else "tiles"


@dataclass(frozen=True)
class _Kernel:
    linear: bool
    centring: Centring


_KERNELS = {
    "cka": _Kernel(linear=True, centring="song"),
    "cka_lange": _Kernel(linear=True, centring="lange"),
    "cka_biased": _Kernel(linear=True, centring="biased"),
    "rbf_cka": _Kernel(linear=False, centring="song"),
    "rbf_cka_biased": _Kernel(linear=False, centring="biased"),
}

AT_ONCE = (*_KERNELS, "rsa", "rsa_cosine", "rsa_euclidean", "rsa_pearson", "mutual_knn")
"""Metrics that `all_pairs` knows."""


@dataclass(frozen=True)
class Strips:
    """The upper triangle of a symmetric n x n matrix as rectangles, end to end: _ROWS rows from their first diagonal cell on.

    What lies below the diagonal in them is 0, so inner products count every cell once. ends: where each strip ends.
    """

    n: int
    ends: Int[np.ndarray, " strips"]

    @classmethod
    def of(cls, n: int) -> Strips:
        """The strips of n items."""
        return cls(n, np.cumsum([(min(n, i + _ROWS) - i) * (n - i) for i in range(0, n, _ROWS)]))

    @property
    def cells(self) -> int:
        """Of all strips."""
        return int(self.ends[-1])

    def each(self) -> Iterator[tuple[int, int, slice]]:
        """First row, row after the last, and place of every strip."""
        begin = 0
        for first, end in zip(range(0, self.n, _ROWS), self.ends, strict=True):
            yield first, min(self.n, first + _ROWS), slice(begin, int(end))
            begin = int(end)

    def unpacked(self, packed: Float[np.ndarray, "b cells"]) -> Float[np.ndarray, "n n b"]:
        """Whole matrices of all sites, the sites side by side in every cell."""
        out = np.empty((self.n, self.n, len(packed)), packed.dtype)
        for site, row in enumerate(packed):
            for first, last, place in self.each():
                strip = row[place].reshape(last - first, self.n - first)
                out[first:last, first:, site] = strip
                out[last:, first:last, site] = strip[:, last - first :].T
                corner = out[first:last, first:last, site]
                corner += np.triu(corner, 1).T
        return out


def _ranked(metric: Rsa, x: np.ndarray, strips: Strips, out: Float[np.ndarray, " cells"]) -> None:
    """The distances of one site as RSA compares them: above the diagonal of unit length, on it 0."""
    ranks = metric.prepare(np.asarray(x)).ranks
    for first, last, place in strips.each():
        strip = out[place].reshape(last - first, strips.n - first)
        strip[:] = ranks[first:last, first:]
        strip[:, : last - first] *= np.triu(np.ones((last - first, last - first)), 1)


def _centred(
    kernel: _Kernel, median_fraction: float, x: np.ndarray, strips: Strips, out: Float[np.ndarray, " cells"]
) -> None:
    """The centred kernel of one site."""
    square = product_triangle(Site.read(x).block(0, strips.n, out.dtype.type))
    # Centred rows: what an item has with the others sums to minus what it has with itself.
    sums = np.zeros(strips.n)
    if not kernel.linear:
        square = _rbf(square, median_fraction)
        sums = square.sum(axis=0, dtype=np.float64) + square.sum(axis=1, dtype=np.float64) - np.diagonal(square)
    _pack(square, sums, kernel.centring, strips, out)


def _rbf(square: Float[np.ndarray, "n n"], median_fraction: float) -> Float[np.ndarray, "n n"]:
    """exp(-distance^2 / (2 sigma^2)) from inner products, in place; sigma is so many median distances, as in `RbfCka`.

    Of the upper triangle: the rest is 0 before and after.
    """
    length = np.diagonal(square).copy()
    square *= -2.0
    square += length
    square += length[:, None]
    np.maximum(square, 0.0, out=square)
    np.fill_diagonal(square, 0.0)
    upper = np.concatenate([square[i, i + 1 :] for i in range(len(square))])
    half = len(upper) // 2
    middle = [half] if len(upper) % 2 else [half - 1, half]
    upper.partition(middle)
    median = float(np.sqrt(upper[middle].mean(dtype=np.float64)))
    if median == 0.0 and square.any():
        raise UsageError(
            "most rows are equal, so the median distance cannot be the width of a Gaussian kernel",
            hint="remove duplicate rows, or use cka",
        )
    square *= -0.5 / (median_fraction * median or 1.0) ** 2
    np.exp(square, out=square)
    return np.triu(square)


def _pack(
    square: Float[np.ndarray, "n n"],
    sums: Float[np.ndarray, " n"],
    centring: Centring,
    strips: Strips,
    out: Float[np.ndarray, " cells"],
) -> None:
    """Centre a kernel, given by its upper triangle and whole row sums, into strips such that CKA is the product of two.

    Off the diagonal cells are times the root of 2, for they stand for two; the whole has unit length, or is 0 where the
    space has no variation.
    """
    n = len(square)
    outer, inner = (n - 1, n - 2) if centring == "song" else (n, n)
    if centring == "song":
        sums = sums - np.diagonal(square)
    shift = (sums / inner - sums.sum() / (2.0 * inner * outer)).astype(square.dtype)
    total = 0.0
    for first, last, place in strips.each():
        strip = out[place].reshape(last - first, n - first)
        np.subtract(square[first:last, first:], shift[first:], out=strip)
        strip -= shift[first:last, None]
        corner = strip[:, : last - first]
        corner *= np.triu(np.ones_like(corner), 0 if centring == "biased" else 1)
        corner[np.diag_indices(last - first)] *= np.sqrt(0.5)
        total += 2.0 * float(np.einsum("ij,ij->i", strip, strip).sum(dtype=np.float64))
    if total > 0:
        out *= np.sqrt(2.0 / total)


def _renamed_product(
    a: Float[np.ndarray, "a cells"], cells: Float[np.ndarray, "n n b"], order: Int[np.ndarray, " n"], strips: Strips
) -> Float[np.ndarray, "a b"]:
    """Strips of a times the cells of b with its items renamed, a strip at a time so that it stays in the cache."""
    n, total = len(order), np.zeros((len(a), cells.shape[2]))
    buffer = np.empty((_ROWS, n, cells.shape[2]), cells.dtype)
    for first, last, place in strips.each():
        renamed = buffer.reshape(-1, cells.shape[2])[: place.stop - place.start]
        for row, into in zip(order[first:last], renamed.reshape(last - first, n - first, -1), strict=True):
            # "clip" only because "raise" would copy through a buffer of its own; permutations are in range.
            np.take(cells[row], order[first:], axis=0, out=into, mode="clip")
        total += a[:, place] @ renamed
    return total


def _by_features(
    stack_a: Stack, stack_b: Stack, centring: Centring, permutations: Int[np.ndarray, "k n"] | None
) -> PairMap:
    """Linear CKA from cross-covariances, in float64: tr(KL) is the squared length of X'Y (Kornblith et al. 2019)."""
    sites_a = [Site.read(x) for x in stack_a]
    sites_b = sites_a if stack_b is stack_a else [Site.read(x) for x in stack_b]
    a, b = ([site.rows(slice(None)) for site in sites] for sites in (sites_a, sites_b))
    wide_a, wide_b = np.hstack(a), np.hstack(b)
    own_a, own_b = (np.array([((x.T @ x) ** 2).sum() for x in side]) for side in (a, b))
    square_a, square_b = (np.stack([site.square for site in sites]) for sites in (sites_a, sites_b))
    edges_a, edges_b = first_columns(a), first_columns(b)

    def renamed(order: np.ndarray | slice) -> np.ndarray:
        overlap = block_sums((wide_a.T @ wide_b[order]) ** 2, edges_a, edges_b)
        return cka_from_sums(overlap, own_a, own_b, square_a, square_b[:, order], centring)

    value = renamed(slice(None))
    return PairMap(value, None if permutations is None else np.stack([renamed(order) for order in permutations]))


def first_columns(stack: Stack) -> Int[np.ndarray, " sites"]:
    """Where each site begins when all stand side by side."""
    return np.cumsum([0, *(x.shape[1] for x in stack[:-1])])


def block_sums(cells: Float[np.ndarray, "p q"], edges_a: np.ndarray, edges_b: np.ndarray) -> Float[np.ndarray, "a b"]:
    """Sums over the blocks that begin at these rows and columns."""
    return np.add.reduceat(np.add.reduceat(cells, edges_a, axis=0), edges_b, axis=1)


def cka_from_sums(
    overlap: Float[np.ndarray, "a b"],
    own_a: Float[np.ndarray, " a"],
    own_b: Float[np.ndarray, " b"],
    square_a: Float[np.ndarray, "a n"],
    square_b: Float[np.ndarray, "b n"],
    centring: Centring,
) -> Float[np.ndarray, "a b"]:
    """Linear CKA of centred features from tr(KL), tr(KK), tr(LL) and the squared lengths of the items.

    Squared lengths are the diagonals of the Grams and, rows being centred, minus their row sums without it: all that the
    estimators need (Song et al. 2012, eq. 5; Lange et al. 2023). 0 where a space has no variation.
    """
    n, total_a, total_b = square_a.shape[1], square_a.sum(axis=1), square_b.sum(axis=1)
    # Shares of the product of the diagonals, and of that of their sums, to be taken out.
    diagonal = {"song": n / (n - 2), "lange": 1.0, "biased": 0.0}[centring]
    totals = 1.0 / ((n - 1) * (n - 2)) if centring == "song" else 0.0
    overlap = overlap - diagonal * (square_a @ square_b.T) + totals * np.outer(total_a, total_b)
    own_a = own_a - diagonal * (square_a**2).sum(axis=1) + totals * total_a**2
    own_b = own_b - diagonal * (square_b**2).sum(axis=1) + totals * total_b**2
    norms = np.sqrt(np.outer(np.maximum(own_a, 0.0), np.maximum(own_b, 0.0)))
    return np.divide(overlap, norms, out=np.zeros_like(norms), where=norms > 0)
