"""Every site pair where n x n cells of all sites do not fit into memory: tiles, streamed once.

A tile is what some items and some others have as inner products, at every site at once. From it come all forms of linear CKA
(sums of products of cells, for all pairs of sites in one product) and the neighbours (cosines). Grams are symmetric: half of
the tiles are enough. Features are read a block of rows at a time, so arrays may be memory maps, in float16 too.

`plan` says before anything is read how large a tile may be, what it costs and whether cross-covariances would be cheaper.
Nulls: mutual kNN by renaming the entries of the lists. CKA has none here, for a permutation moves cells from tile to tile and
would cost a pass of its own; ask `pairs.all_pairs` on fewer items for one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe import registry
from conceptprobe.alignment.neighbour_lists import SPARE, Nearest, overlaps
from conceptprobe.alignment.neighbours import MutualKnn
from conceptprobe.alignment.pairs import (
    Centring,
    PairMap,
    block_sums,
    cheaper_form,
    cka_from_sums,
    first_columns,
)
from conceptprobe.alignment.stack import READ, Site, Stack, check_stacks
from conceptprobe.errors import UsageError, did_you_mean
from conceptprobe.threads import two_at_a_time

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

CENTRINGS: dict[str, Centring] = {"cka": "song", "cka_lange": "lange", "cka_biased": "biased"}
METRICS = (*CENTRINGS, "mutual_knn")

_CELLS = 1 << 15
"""Cells per float32 product, summed in float64."""


@dataclass(frozen=True)
class Plan:
    """How many items meet how many at a time, and what that takes.

    form: "tiles" or "features". tile: items on a side of a tile (rows of a block of features). tiles: of them on a side.
    bytes_: memory of the arrays at most. multiplications: of the products over all sites.
    """

    form: str
    tile: int
    tiles: int
    bytes_: int
    multiplications: float


@dataclass(frozen=True)
class Streamed:
    """One map per metric, the plan it was computed by, and what a reader has to be told beside it."""

    maps: dict[str, PairMap]
    plan: Plan
    note: str


def stream_pairs(
    stack_a: Stack,
    stack_b: Stack,
    metrics: Sequence[str] = ("cka", "mutual_knn"),
    *,
    k: int = 10,
    permutations: Int[np.ndarray, "m n"] | None = None,
    focus: Bool[np.ndarray, " n"] | None = None,
    memory: float = 6e9,
) -> Streamed:
    """The maps of `all_pairs` for linear CKA and mutual_knn, in `memory` bytes beside the features themselves.

    permutations and focus: for mutual_knn. Raises UsageError for an unknown metric, stacks that do not fit, values that are
    not finite, or too little memory; TooFewRows as the metric does.
    """
    for name in metrics:
        if name not in METRICS:
            hint = f"one of {', '.join(METRICS)}; others fit `all_pairs`, on fewer items"
            raise UsageError(f"no '{name}' over streamed pairs.{did_you_mean(name, METRICS)}", hint=hint)
    n = check_stacks(stack_a, stack_b, permutations)
    for name in CENTRINGS.keys() & set(metrics):
        registry.get("metric", name).check(n, 1, 1)
    search = "mutual_knn" in metrics
    if search:
        MutualKnn(k).check(n, 1, 1)
    same = stack_b is stack_a
    arrays = [*stack_a] if same else [*stack_a, *stack_b]
    widths = [x.shape[1] for x in arrays]
    chosen = plan(n, widths, len(stack_a), k=k if search else None, memory=memory)
    sites = list(two_at_a_time(Site.read, arrays))
    square, count = np.stack([site.square for site in sites]), len(stack_a)
    split = (slice(0, count), slice(0, count) if same else slice(count, None))
    sums = _Sums.zeros(count, len(stack_b), len(sites))
    lists = [Nearest.empty(n, min(k + SPARE, n - 1)) for _ in sites] if search else []
    if chosen.form == "features":
        _sum_features(sites, split, chosen, sums)
    else:
        for tile in _tiles(sites, chosen):
            if CENTRINGS.keys() & set(metrics):
                sums.add(tile, split)
            if search:
                _offer(lists, tile, sites)
        sums.add_diagonals(square, split)
    own_a, own_b, square_a, square_b = sums.own[split[0]], sums.own[split[1]], square[split[0]], square[split[1]]
    maps = {
        name: PairMap(cka_from_sums(sums.overlap, own_a, own_b, square_a, square_b, CENTRINGS[name]))
        for name in metrics
        if name in CENTRINGS
    }
    if search:
        pairs = zip(lists, sites, strict=True)
        found = np.stack(list(two_at_a_time(lambda it: it[0].settled(k, it[1].unit, it[1].x.shape[1]), pairs)))
        maps["mutual_knn"] = PairMap(*overlaps(found[split[0]], found[split[1]], permutations, focus))
    unasked = permutations is not None and len(maps) > search
    return Streamed(maps, chosen, "CKA was computed without permutations: too many items" if unasked else "")


def plan(n: int, widths: Sequence[int], sites_a: int, *, k: int | None, memory: float) -> Plan:
    """The largest tiles that fit into `memory` bytes, for arrays of n rows and these widths, the first sites_a being a's.

    k: neighbours sought, None for none: then cross-covariances may take the place of tiles, where they are cheaper and fit.
    Raises UsageError where not even tiles of one item, or what has to be kept of all items, fit.
    """
    sites = len(widths)
    sites_b = sites - sites_a or sites_a
    wide_a, wide_b = sum(widths[:sites_a]), sum(widths[sites_a:]) or sum(widths)
    d = round(sum(widths) / sites)
    if k is None and cheaper_form(n, d, sites_a, sites_b) == "features":
        # The sum of cross-covariances, one more for a block of rows and one for squares; and each site's own.
        kept = 3 * 8 * wide_a * wide_b + 2 * 8 * sum(w * w for w in widths) + 8 * sites * n
        per_row = 8 * (wide_a + wide_b) + 2 * 8 * sum(widths)
        rows = min(n, 4096, int((memory - kept) // per_row))
        if rows >= 1:
            cost = n * (wide_a * wide_b + sum(w * w for w in widths))
            return Plan("features", rows, -(-n // rows), kept + rows * per_row, float(cost))
    tiles = 1
    while tile_bytes(tile := -(-n // tiles), n, widths, k) > memory:
        if tile == 1:
            need = tile_bytes(1, n, widths, k) / 1e6
            raise UsageError(f"{memory / 1e6:.0f} MB of memory are too little: {need:.0f} are needed at least")
        # On to the next number of tiles that makes them smaller.
        tiles = -(-n // (tile - 1))
    met = sum((min(n, (i + 1) * tile) - i * tile) * (n - i * tile) for i in range(-(-n // tile)))
    return Plan(
        "tiles", tile, -(-n // tile), tile_bytes(tile, n, widths, k), float(met) * (sum(widths) + sites_a * sites_b)
    )


def tile_bytes(tile: int, n: int, widths: Sequence[int], k: int | None) -> int:
    """Memory of tiles of that many items on a side.

    Float32: the rows of one side at all sites, those of the other at one, and the cells of all sites. Then what two threads
    use to read rows, or settle neighbours, in float64 and to search cells (a copy, a mask, 8-byte indices), and what is kept
    of every item.
    """
    sites, width = len(widths), max(widths)
    rows = 4 * tile * sum(widths) + 4 * tile * width
    reading = 2 * 3 * 8 * min(READ, tile) * width
    cells = 4 * tile * tile * sites
    kept = 8 * n * sites
    if k is None:
        return rows + reading + cells + kept
    lists = min(k + SPARE, n - 1)
    return rows + reading + cells + kept + 2 * 13 * tile * (tile + lists) + sites * n * lists * 12


@dataclass(frozen=True)
class _Tile:
    """Inner products of items [row, ...) with items [column, ...) at every site, float32."""

    cells: Float[np.ndarray, "sites rows columns"]
    row: int
    column: int


def _tiles(sites: Sequence[Site], chosen: Plan) -> Iterator[_Tile]:
    """The tiles on and above the diagonal; each overwrites the one before."""
    n, side = len(sites[0].square), chosen.tile
    memory = np.empty(len(sites) * side * side, dtype=np.float32)
    for row in range(0, n, side):
        end = min(n, row + side)
        lines = list(two_at_a_time(partial(Site.block, begin=row, end=end), sites))
        for column in range(row, n, side):
            last = min(n, column + side)
            shape = (len(sites), end - row, last - column)
            cells = memory[: shape[0] * shape[1] * shape[2]].reshape(shape)
            for site, own, out in zip(sites, lines, cells, strict=True):
                other = own if column == row else site.block(column, last)
                np.matmul(own, other.T, out=out)
            yield _Tile(cells, row, column)
        del lines


@dataclass
class _Sums:
    """Running sums: tr(KL) for every pair, and tr(KK) for every site."""

    overlap: Float[np.ndarray, "a b"]
    own: Float[np.ndarray, " sites"]

    @classmethod
    def zeros(cls, sites_a: int, sites_b: int, sites: int) -> _Sums:
        return cls(np.zeros((sites_a, sites_b)), np.zeros(sites))

    def add(self, tile: _Tile, split: tuple[slice, slice]) -> None:
        """Cells above the diagonal stand for two; those on it are left to `add_diagonals`, in float64."""
        weight = 2.0
        if tile.row == tile.column:
            weight = 1.0
            for square in tile.cells:
                np.fill_diagonal(square, 0.0)
        flat = tile.cells.reshape(len(tile.cells), -1)
        for begin in range(0, flat.shape[1], _CELLS):
            part = flat[:, begin : begin + _CELLS]
            self.overlap += weight * (part[split[0]] @ part[split[1]].T)
            self.own += weight * np.einsum("sc,sc->s", part, part)

    def add_diagonals(self, square: Float[np.ndarray, "sites n"], split: tuple[slice, slice]) -> None:
        """What every item has with itself."""
        self.overlap += square[split[0]] @ square[split[1]].T
        self.own += (square**2).sum(axis=1)


def _sum_features(sites: Sequence[Site], split: tuple[slice, slice], chosen: Plan, sums: _Sums) -> None:
    """tr(KL) as squared lengths of cross-covariances, which add up over blocks of rows, in float64."""
    side_a, side_b = sites[split[0]], sites[split[1]]
    edges = [first_columns([s.x for s in side]) for side in (side_a, side_b)]
    wide = [sum(s.x.shape[1] for s in side) for side in (side_a, side_b)]
    cross = np.zeros((wide[0], wide[1]))
    own = [np.zeros((s.x.shape[1], s.x.shape[1])) for s in sites]
    for begin in range(0, len(sites[0].square), chosen.tile):
        blocks = [s.rows(slice(begin, begin + chosen.tile)) for s in sites]
        cross += np.hstack(blocks[split[0]]).T @ np.hstack(blocks[split[1]])
        for total, block in zip(own, blocks, strict=True):
            total += block.T @ block
    sums.overlap += block_sums(cross**2, *edges)
    sums.own += [(total**2).sum() for total in own]


def _offer(lists: Sequence[Nearest], tile: _Tile, sites: Sequence[Site]) -> None:
    """Make cosines of the cells, in place, and offer them to the items of the rows and to those of the columns."""

    def one(s: int) -> None:
        cells, shrink = tile.cells[s], sites[s].shrink.astype(np.float32)
        cells *= shrink[tile.row : tile.row + cells.shape[0], None]
        cells *= shrink[tile.column : tile.column + cells.shape[1]]
        if tile.row == tile.column:
            np.fill_diagonal(cells, -np.inf)
        lists[s].offer(tile.row, tile.column, cells)
        if tile.row != tile.column:
            lists[s].offer(tile.column, tile.row, cells.T)

    for _ in two_at_a_time(one, range(len(sites))):
        pass
