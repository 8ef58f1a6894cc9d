"""Two representational dissimilarity matrices of the same items side by side, ordered by sense.

Dissimilarities of two models have no common scale, so each is drawn as its rank among its own model's pairs (Kriegeskorte,
Mur & Bandettini 2008): what a reader compares is the order, as a rank correlation of the two does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import TYPE_CHECKING, Any

from conceptprobe.errors import UsageError
from conceptprobe.registry import register
from conceptprobe.report.labels import GAP_POINTS, LINE_POINTS, spread, text_width, wrap_name, wrap_text
from conceptprobe.report.numbers import count, decimals, interval, number, p_value
from conceptprobe.report.style import (
    FIGURE_WIDTH_INCHES,
    FONT_SIZE_POINTS,
    INK,
    LANDMARK,
    SEQUENTIAL_MAP,
    SMALL_SIZE_POINTS,
    SOFT_INK,
    new_figure,
    paper,
)

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from conceptprobe.report.save import Row

PAGE, MARGIN, BETWEEN = FIGURE_WIDTH_INCHES * 72, 7.0, 14.0
TEXT = PAGE - 2 * MARGIN
"""Points, as all lengths below."""
WIDEST_SENSES, WIDEST_ITEMS = 66.0, (70.0, 100.0)
"""Room for names of senses, and of items (the second where rows are too low for lines of the first)."""
BRACKET, LEADER = 3.0, 9.0
"""From the names of items to the bracket of a sense, and on to its name."""
BAR = 6.0
DIAGONAL = "#EBEBEB"


@dataclass(frozen=True)
class RdmPair:
    """The same n items in two models; distances are [n, n] and symmetric, and their diagonal is not read."""

    concept: str
    model_a: str
    model_b: str
    site_a: str
    site_b: str
    items: tuple[str, ...]
    senses: tuple[str, ...]
    """The sense (facet) of each item. Items are drawn sense by sense, in the order of the first item of each."""
    distances_a: Float[np.ndarray, "n n"]
    distances_b: Float[np.ndarray, "n n"]
    """Dissimilarities, each on a scale of its own."""
    correlation: float
    """Of the two matrices' distances, over pairs of items."""
    ci: tuple[float, float]
    """Its 95% interval."""
    reference: float
    """The same correlation with random twins; nan where there is none."""
    p: float
    permutations: int
    null: str
    """What the permutations exchange: `sentences renamed within the target and within the other senses`."""
    statistic: str = "correlation"
    """Which correlation it is: `Spearman correlation`."""
    kind: str = "items"
    """What the items are, in the plural: `sentences`."""
    blocks: str = "senses"
    """What `senses` divides them into, in the plural: `groups` where the items are senses themselves."""


@dataclass(frozen=True)
class _Side:
    """What stands left of the first matrix: names of items (none where they do not fit) and of senses. In points."""

    items: tuple[str, ...]
    senses: tuple[str, ...]
    """Of each block; empty for a small one where there is no room for all."""
    items_wide: float
    left: float
    edge: float
    """Of a matrix."""


@register("figure", "rdm_pair", data=RdmPair)
def rdm_pair(data: RdmPair) -> tuple[Figure, list[Row]]:
    """The figure and its table: one row per pair of items, in the order in which they are drawn.

    Colour is the rank of a dissimilarity among all pairs of its model, ties averaged, from 0 (closest) to 1 (farthest).
    Names of items are written where a row of the matrix is high enough for them.

    Raises UsageError below 3 items, and where arrays do not fit them, are not symmetric or not finite.
    """
    import numpy as np

    _check(data)
    firsts = list(dict.fromkeys(data.senses))
    order = sorted(range(len(data.items)), key=lambda i: firsts.index(data.senses[i]))
    ranks = [_ranks(distances[np.ix_(order, order)]) for distances in (data.distances_a, data.distances_b)]
    senses = [data.senses[i] for i in order]
    side = _side([data.items[i] for i in order], senses)
    names = [
        wrap_name(f"{model}, {site}" if site else model, side.edge, FONT_SIZE_POINTS)
        for model, site in ((data.model_a, data.site_a), (data.model_b, data.site_b))
    ]
    title = wrap_text(f"{data.concept}: dissimilarities of the same {data.kind} in two models", TEXT, FONT_SIZE_POINTS)
    below = wrap_text(_subtitle(data, all(side.senses)), TEXT)
    head = 12 + FONT_SIZE_POINTS * 1.25 * (title.count("\n") + 1) + LINE_POINTS * (below.count("\n") + 1)
    top = head + FONT_SIZE_POINTS * 1.25 * (1 + max(name.count("\n") for name in names)) + 6
    height = top + side.edge + 9 + BAR + 26
    with paper():
        figure = new_figure(height / 72)

        def place(x: float, from_top: float, wide: float, deep: float) -> Axes:
            return figure.add_axes((x / PAGE, 1 - (from_top + deep) / height, wide / PAGE, deep / height))

        for at, rank, name in zip((0, side.edge + BETWEEN), ranks, names, strict=True):
            axes = place(side.left + at, top, side.edge, side.edge)
            image = axes.imshow(
                np.ma.masked_invalid(rank), cmap=f"{SEQUENTIAL_MAP}_r", vmin=0, vmax=1, interpolation="nearest"
            )
            axes.set_title(name, parse_math=False)
            _blocks(axes, senses)
        _names(figure.axes[0], senses, side)
        bar = place(side.left + side.edge / 2, top + side.edge + 9, side.edge + BETWEEN, BAR)
        figure.colorbar(image, cax=bar, orientation="horizontal", ticks=(0, 0.25, 0.5, 0.75, 1))
        bar.tick_params(length=2)
        bar.set_xticklabels(("0", "0.25", "0.5", "0.75", "1"))
        bar.set_xlabel("dissimilarity as a rank (0 closest, 1 farthest)", labelpad=1.5)
        figure.text(MARGIN / PAGE, 1 - 6 / height, title, va="top", fontsize=FONT_SIZE_POINTS, parse_math=False)
        y = 1 - (8 + FONT_SIZE_POINTS * 1.25 * (title.count("\n") + 1)) / height
        figure.text(MARGIN / PAGE, y, below, va="top", fontsize=SMALL_SIZE_POINTS, color=SOFT_INK, linespacing=1.2)
        figure.canvas.draw()
    return figure, _table(data, order, ranks)


def _check(data: RdmPair) -> None:
    import numpy as np

    n = len(data.items)
    if n < 3 or len(data.senses) != n:
        raise UsageError(
            f"RDM pair: {n} items and {len(data.senses)} senses", hint="give 3 items or more, a sense for each"
        )
    off = ~np.eye(n, dtype=bool)
    for model, distances in ((data.model_a, data.distances_a), (data.model_b, data.distances_b)):
        if distances.shape != (n, n):
            raise UsageError(f"RDM pair: {model} has distances of shape {distances.shape} for {n} items")
        if not np.isfinite(distances[off]).all():
            raise UsageError(f"RDM pair: {model} has distances that are not finite", hint="leave such items out")
        if not np.allclose(distances[off], distances.T[off], rtol=1e-6, atol=1e-9):
            raise UsageError(f"RDM pair: the distances of {model} are not symmetric", hint="give one per pair of items")


def _ranks(distances: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """Ranks of the pairs from 0 to 1, ties averaged; nan on the diagonal."""
    import numpy as np
    from scipy.stats import rankdata

    above = np.triu_indices(len(distances), 1)
    ranks = np.full(distances.shape, np.nan)
    ranks[above] = (rankdata(distances[above]) - 1) / (len(above[0]) - 1)
    ranks.T[above] = ranks[above]
    return ranks


def _side(items: list[str], senses: list[str]) -> _Side:
    wide = min(max(text_width(sense) for sense in senses) + 1, WIDEST_SENSES)
    longest = max(text_width(item) for item in items) + 1
    columns = [min(longest, most) for most in WIDEST_ITEMS] if items != senses else []  # nothing is named twice
    for column in (*columns, 0.0):
        left = MARGIN + wide + LEADER + BRACKET + (column + BRACKET if column else 0.0)
        edge = (PAGE - MARGIN - BETWEEN - left) / 2
        names = tuple(wrap_text(item, column) for item in items) if column else ()
        if all(LINE_POINTS * (name.count("\n") + 1) <= edge / len(items) for name in names):
            break
    blocks, used = [wrap_text(sense, wide) for sense, _ in groupby(senses)], 0.0
    for _, block in sorted((-size, block) for block, size in enumerate(_sizes(senses))):
        used += _height(blocks[block])
        if used > edge:
            blocks[block] = ""
    return _Side(names, tuple(blocks), column, left, edge)


def _height(name: str) -> float:
    return LINE_POINTS * (name.count("\n") + 1) + GAP_POINTS


def _sizes(senses: Sequence[str]) -> list[int]:
    """How many items each sense has."""
    return [len(list(group)) for _, group in groupby(senses)]


def _blocks(axes: Axes, senses: Sequence[str]) -> None:
    """Thin lines between senses, white in a dark seam: they show on both ends of the colours."""
    import numpy as np

    axes.set_facecolor(DIAGONAL)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    sizes = _sizes(senses)
    thin = min(1.0, 10 / len(sizes))
    for at in np.cumsum(sizes)[:-1] - 0.5 if len(sizes) < len(senses) else ():
        for colour, width in ((INK, 1.3 * thin), ("white", 0.7 * thin)):
            axes.axhline(at, color=colour, linewidth=width)
            axes.axvline(at, color=colour, linewidth=width)


def _names(axes: Axes, senses: Sequence[str], side: _Side) -> None:
    """Names of items, and a bracket and a name for each sense, left of the axes."""
    import numpy as np

    point = len(senses) / side.edge  # in items, as the axes are
    start = -0.5 - GAP_POINTS * point
    for row, name in enumerate(side.items):
        _write(axes, start, row, name)
    if side.items:
        start -= (side.items_wide + BRACKET) * point
    tip = start - (LEADER - GAP_POINTS) * point
    look: dict[str, Any] = {"color": LANDMARK, "clip_on": False, "solid_capstyle": "butt"}
    ends = np.cumsum(_sizes(senses)) - 0.5
    starts = np.array([-0.5, *ends[:-1]])
    inset = np.minimum(point, (ends - starts) / 4)
    for top, bottom in zip(starts + inset, ends - inset, strict=True):
        axes.plot([start, start], [top, bottom], linewidth=0.8, **look)
    named = [(name, middle) for name, middle in zip(side.senses, (starts + ends) / 2, strict=True) if name]
    heights = [_height(name) for name, _ in named]
    centres = spread([(middle + 0.5) / point for _, middle in named], heights, 0, side.edge)
    for (name, middle), centre in zip(named, centres, strict=True):
        y = centre * point - 0.5
        axes.plot([start, tip], [middle, y], linewidth=0.5, **look)
        _write(axes, tip - GAP_POINTS * point, y, name)
    axes.set_xlim(-0.5, len(senses) - 0.5)
    axes.set_ylim(len(senses) - 0.5, -0.5)


def _write(axes: Axes, x: float, y: float, text: str) -> None:
    written = axes.text(x, y, text, ha="right", va="center", fontsize=SMALL_SIZE_POINTS)
    written.set(linespacing=1.1, parse_math=False)


def _subtitle(data: RdmPair, all_named: bool) -> str:
    places = decimals((data.correlation, *data.ci, data.reference))
    n, blocks = len(data.items), len(set(data.senses))
    found = f"{data.statistic} {number(data.correlation, places)}, 95% interval {interval(*data.ci, places)}"
    twins = "" if math.isnan(data.reference) else f"random twins {number(data.reference, places)}; "
    null = f"p = {p_value(data.p)}, {count(data.permutations)} permutations ({data.null})"
    size = f"n = {count(n)} {data.kind}" + (f" in {blocks} {data.blocks}" if 1 < blocks < n else "")
    size += "" if all_named else " (the largest are named)"
    return (
        f"{found}; {twins}{null}; {size}; colour: rank among the {count(n * (n - 1) // 2)} pairs of a model, because the "
        "distances of two models have no common scale"
    )


def _table(data: RdmPair, order: Sequence[int], ranks: Sequence[Float[np.ndarray, "n n"]]) -> list[Row]:
    return [
        {
            "item_a": data.items[i],
            "item_b": data.items[j],
            "sense_a": data.senses[i],
            "sense_b": data.senses[j],
            "distance_a": float(data.distances_a[i, j]),
            "distance_b": float(data.distances_b[i, j]),
            "rank_a": float(ranks[0][row, column]),
            "rank_b": float(ranks[1][row, column]),
        }
        for (row, i), (column, j) in combinations(enumerate(order), 2)
    ]
