"""Neighbour lists of many sites: found in float32, settled in float64, counted for all pairs at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe.alignment.neighbours import asking
from conceptprobe.alignment.stack import Site, product_triangle

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

SPARE = 6
"""Neighbours kept beyond the k asked for: those that rounding may have put on the wrong side of the k-th."""

_DECIMALS = 12
"""Of a cosine in float64 that are no rounding error."""

_EXACT = 1 << 20
"""Numbers in float64 at a time where neighbours are settled: as many as a block of rows holds in 4,096 dimensions."""

_MIRROR = 128
"""Rows that are mirrored at the diagonal at a time."""

_TABLE_BYTES = 1 << 25
"""Of the table of cells that `overlaps` looks things up in, a block of items at a time."""


def nearest(site: Site, k: int, dtype: type[np.floating[Any]] = np.float32) -> Int[np.ndarray, "n k"]:
    """The k nearest items of each by cosine about the mean, as in `MutualKnn`; the order within a list has no meaning."""
    n = len(site.square)
    z = site.block(0, n, dtype)
    z *= site.shrink.astype(dtype)[:, None]
    cosine = product_triangle(z)
    for first in range(0, n, _MIRROR):
        last = first + _MIRROR
        cosine[last:, first:last] = cosine[first:last, last:].T
        corner = cosine[first:last, first:last]
        corner += np.triu(corner, 1).T
    np.fill_diagonal(cosine, -np.inf)
    width = min(k + SPARE, n - 1)
    # A partition of values is several times as fast as one of indices.
    least = np.partition(cosine, n - width, axis=1)[:, n - width]
    near = np.flatnonzero(cosine >= least[:, None])
    # With ties at the edge there are more: which of them enter is for `settle` to say.
    tied = len(near) != n * width
    index = np.argpartition(cosine, n - width, axis=1)[:, n - width :] if tied else near.reshape(n, width) % n
    return settle(index, np.take_along_axis(cosine, index, axis=1), k, site.x.shape[1], site.unit)


def settle(
    index: Int[np.ndarray, "n c"],
    cosine: Float[np.ndarray, "n c"],
    k: int,
    d: int,
    unit: Callable[[Any], Float[np.ndarray, "m d"]],
) -> Int[np.ndarray, "n k"]:
    """The k nearest of the c > k candidates of each item, in float64 where rounding leaves doubt.

    cosine: of the candidates, in float32, which are the c nearest up to its error. unit(rows): their vectors in float64, of
    length 1. d: dimensions. Cosines that are equal to 12 decimals count as ties, and go to the lower index, as in `MutualKnn`.
    """
    n, width = index.shape
    by_index = np.argsort(index, axis=1)
    index, cosine = (np.take_along_axis(v, by_index, axis=1) for v in (index, cosine))
    best = np.argsort(-cosine, axis=1, kind="stable")
    lists = np.take_along_axis(index, best[:, :k], axis=1)
    if width == k:
        return lists
    ranked = np.take_along_axis(cosine, best, axis=1)
    # Rounding errors of a product of d terms add up like a random walk (Higham & Mary 2019); twice that for two cosines.
    doubt = max(2.0 * np.sqrt(d) * np.finfo(cosine.dtype).eps, 10.0**-_DECIMALS)
    close = ranked[:, k - 1] - ranked[:, k] <= 2.0 * doubt
    inside = (ranked[:, k - 1] - ranked[:, -1] > 2.0 * doubt) | (width == n - 1)
    for rows in _in_turn(np.flatnonzero(close & inside), max(1, _EXACT // (width * d))):
        exact = np.einsum("id,icd->ic", unit(rows), unit(index[rows].ravel()).reshape(len(rows), width, -1))
        order = np.argsort(-np.round(exact, _DECIMALS), axis=1, kind="stable")[:, :k]
        lists[rows] = np.take_along_axis(index[rows], order, axis=1)
    # More rivals than candidates (duplicates, or a row at the mean): ask everybody again.
    for rows in _in_turn(np.flatnonzero(close & ~inside), max(1, min(_EXACT // d, _EXACT // n))):
        own = unit(rows)
        exact = np.hstack([own @ unit(block).T for block in _in_turn(np.arange(n), max(1, _EXACT // d))])
        exact[np.arange(len(rows)), rows] = -np.inf
        lists[rows] = np.argsort(-np.round(exact, _DECIMALS), axis=1, kind="stable")[:, :k]
    return lists


@dataclass
class Nearest:
    """The nearest items of each found so far, with their cosines in float32, in no order."""

    cosine: Float[np.ndarray, "n c"]
    index: Int[np.ndarray, "n c"]

    @classmethod
    def empty(cls, n: int, width: int) -> Nearest:
        """Lists of `width` places for n items."""
        return cls(np.full((n, width), -np.inf, dtype=np.float32), np.zeros((n, width), dtype=np.int32))

    def offer(self, row: int, column: int, cosine: Float[np.ndarray, "r c"]) -> None:
        """Cosines of items [row, ...) with items [column, ...): whoever is nearer than the last of a list enters it."""
        own = slice(row, row + len(cosine))
        kept, width = self.cosine[own], self.cosine.shape[1]
        over = cosine > kept.min(axis=1)[:, None]
        hits = np.count_nonzero(over)
        if hits == 0:
            return
        if hits > 4 * width * len(cosine):
            # Lists that are still empty, or neighbours that lie together: everybody is compared.
            both = np.hstack([kept, cosine])
            best = np.argpartition(both, both.shape[1] - width, axis=1)[:, both.shape[1] - width :]
            names = np.take_along_axis(self.index[own], np.minimum(best, width - 1), axis=1)
            self.index[own] = np.where(best < width, names, best - width + column)
            self.cosine[own] = np.take_along_axis(both, best, axis=1)
            return
        # A mask is read in the order in which it lies in memory.
        rows, columns = np.nonzero(over) if over.flags.c_contiguous else np.nonzero(over.T)[::-1]
        touched, rows = np.unique(rows, return_inverse=True)
        places = row + touched
        owner = np.concatenate([np.repeat(np.arange(len(touched)), width), rows])
        values = np.concatenate([self.cosine[places].ravel(), cosine[touched[rows], columns]])
        names = np.concatenate([self.index[places].ravel(), columns + column])
        order = np.lexsort((-values, owner))
        starts = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(touched)))[:-1]]).astype(np.int64)
        best = order[starts[:, None] + np.arange(width)]
        self.cosine[places], self.index[places] = values[best], names[best]

    def settled(self, k: int, unit: Callable[[Any], Float[np.ndarray, "m d"]], d: int) -> Int[np.ndarray, "n k"]:
        """The k nearest of each, by `settle`."""
        return settle(self.index, self.cosine, k, d, unit)


def overlaps(
    a: Int[np.ndarray, "a n k"],
    b: Int[np.ndarray, "b n k"],
    permutations: Int[np.ndarray, "m n"] | None = None,
    focus: Bool[np.ndarray, " n"] | None = None,
) -> tuple[Float[np.ndarray, "a b"], Float[np.ndarray, "m a b"] | None]:
    """Mean share of equal neighbours for all pairs of sites, and with the items of b renamed by each permutation.

    focus: only these items ask. Cell (item, neighbour) of a table holds one bit per site of a that has the neighbour in the
    item's list; the lists of b, renamed, look their cells up.
    """
    n, k = a.shape[1:]
    asks = np.flatnonzero(asking(n, focus))
    orders = np.arange(n)[None] if permutations is None else np.vstack([np.arange(n), permutations])
    new_name = np.empty(orders.shape, dtype=np.int32)
    np.put_along_axis(new_name, orders, np.arange(n, dtype=np.int32)[None], axis=1)
    b = np.ascontiguousarray(b, dtype=np.int32)
    counts = np.zeros((len(orders), len(a), len(b)))
    for sites in _in_turn(np.arange(len(a)), 64):
        word = next(t for t in (np.uint8, np.uint16, np.uint32, np.uint64) if 8 * np.dtype(t).itemsize >= len(sites))
        for rows in _in_turn(asks, max(1, _TABLE_BYTES // (n * np.dtype(word).itemsize))):
            base = (np.arange(len(rows), dtype=np.int64) * n)[:, None]
            table = np.zeros(len(rows) * n, dtype=word)
            for bit, site in enumerate(sites):
                table[(base + a[site, rows]).ravel()] |= word(1 << bit)
            for draw, order in enumerate(orders):
                names = new_name[draw].take(b.take(order[rows], axis=1))
                counts[draw, sites] += _bits_per_site(table[(names + base).reshape(len(b), -1)], len(sites))
    shares = counts / (k * len(asks))
    return shares[0], None if permutations is None else shares[1:]


def _bits_per_site(words: Int[np.ndarray, "b cells"], bits: int) -> Int[np.ndarray, "bits b"]:
    """How often each bit is set in each row. Few cells hold any: those are unpacked."""
    flat = words.reshape(-1)
    hits = np.flatnonzero(flat)
    little = flat[hits].astype(flat.dtype.newbyteorder("<"), copy=False)
    octets = little.view(np.uint8).reshape(len(hits), little.itemsize)
    unpacked = np.unpackbits(octets, axis=1, count=bits, bitorder="little")
    # Running counts read off at the ends of the rows: right for rows without a hit, too.
    running = np.zeros((len(hits) + 1, bits), dtype=np.int64)
    np.cumsum(unpacked, axis=0, out=running[1:])
    ends = np.searchsorted(hits, np.arange(len(words) + 1) * words.shape[1])
    return np.diff(running[ends], axis=0).T


def _in_turn(items: Int[np.ndarray, " m"], size: int) -> list[Int[np.ndarray, " s"]]:
    return [items[i : i + size] for i in range(0, len(items), size)]
