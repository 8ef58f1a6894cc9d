"""How far every pair of models shares one concept, over its null: a clustered matrix of models.

Only pairs of trained models that are no relatives say that independent models agree. Relatives and static models are
drawn, because a reader looks for them, but hatched: what they share they may owe to weights, training text or words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

from conceptprobe.errors import UsageError
from conceptprobe.registry import register
from conceptprobe.report.clustering import arranged
from conceptprobe.report.labels import LINE_POINTS, legend_below, readable_ticks, text_width, wrap_name, wrap_text
from conceptprobe.report.numbers import count, number
from conceptprobe.report.style import (
    FIGURE_WIDTH_INCHES,
    FONT_SIZE_POINTS,
    INK,
    LANDMARK,
    ROLES,
    SEQUENTIAL_MAP,
    SMALL_SIZE_POINTS,
    SOFT_INK,
    STATIC_INK,
    TWIN_INK,
    new_figure,
    paper,
)

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool, Float
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure

    from conceptprobe.report.save import Cell, Row

PAGE, MARGIN, GAP = FIGURE_WIDTH_INCHES * 72, 7.0, 3.0
TEXT = PAGE - 2 * MARGIN
"""Points, as all lengths below."""
WIDEST_CELL, NUMBERED_CELL = 32.0, 22.2
"""A cell's side at most, and the side for which names give up room: a number fits into it."""
NARROWEST_NAMES = 84.0
STRIP, TREE, BAR = 9.5, 26.0, 6.0
LEG = 0.12
"""Of a model in the tree, below the lowest join, as a share of the tree's height."""
DIAGONAL = "#EBEBEB"
STRIP_COLOURS: Mapping[str, str] = {"text": "#56B4E9", "image": "#F0E442", "audio": "#CC79A7"}
"""From Okabe & Ito (2008); any other modality is grey, and each has its letter too."""
HATCH = tuple(((0.04, s), (s, 0.04)) for s in (0.24, 0.42, 0.6)) + tuple(
    ((s, 0.96), (0.96, s)) for s in (0.4, 0.58, 0.76)
)
"""Lines across two corners of a cell: the number between them stays readable."""
FRAME = 1.6
"""Line width of an outline; thinner where cells are narrow."""
LEAST_SPAN = 0.05
"""The colours span at least this much: differences of a hundredth are not stretched from black to yellow."""


@dataclass(frozen=True)
class ModelMatrix:
    """One concept in m models. Arrays are [m, m] and symmetric; their diagonal is not read.

    A model may stand there once per modality (the towers of a joint model).
    """

    concept: str
    metric: str
    """As it is written in a paper: `debiased CKA`. Higher means closer."""
    models: tuple[str, ...]
    modalities: tuple[str, ...]
    """Of each model as it is read here: `text`, `image`, `audio`."""
    kinds: tuple[str, ...]
    """Of each model: `trained`, or what else it is (`static`, `twin`), which is then said beside its name."""
    value: Float[np.ndarray, "m m"]
    """In units of the metric; nan where a pair was not measured."""
    null_mean: Float[np.ndarray, "m m"]
    null_q95: Float[np.ndarray, "m m"]
    """Mean and 95% quantile of each pair's null, in the same units."""
    counts: Bool[np.ndarray, "m m"]
    """Pairs that are evidence of agreement: both trained, and no relatives."""
    survives: Bool[np.ndarray, "m m"]
    """Pairs to be outlined."""
    outlined: str
    """What `survives` means, as a phrase: `verdict supported`, `q < 0.05`."""
    null: str
    """How the null is drawn, as a phrase: `words renamed as blocks`."""
    permutations: int
    n: int
    """Words or terms (rows after averaging)."""
    units: int
    """Of these, how many are independent of one another."""
    items: str = "words"
    """What n counts."""

    @property
    def over_null(self) -> Float[np.ndarray, "m m"]:
        """What is drawn: colour and number of each cell."""
        return self.value - self.null_mean


@dataclass(frozen=True)
class _Order:
    """Models as they are drawn: `leaves[place]` is a model's index."""

    leaves: tuple[int, ...]
    joined_at: Float[np.ndarray, "m m"]
    """By index: the mean over the null between the two branches that meet where these two models do; nan: no tree."""
    links: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...] = ()
    """Lines of the tree, the root last: x in cells, y in heights."""


@dataclass(frozen=True)
class _Grid:
    """Names of the rows in lines, width and height of a cell, and where the cells begin; in points."""

    names: tuple[str, ...]
    cell: float
    row: float
    left: float

    @property
    def wide(self) -> float:
        return self.cell * len(self.names)

    @property
    def tall(self) -> float:
        return self.row * len(self.names)


@register("figure", "model_matrix", data=ModelMatrix)
def model_matrix(data: ModelMatrix) -> tuple[Figure, list[Row]]:
    """The figure and its table, one row per pair of models, in the order of the drawn rows.

    Colour and number of a cell are value - null_mean. Three models or more are ordered by average linkage of 1 - that
    difference scaled to [0, 1] over all pairs, and within the tree so that neighbours are as close as it allows; a pair
    that was not measured has the mean of all others there. Models enter by name, so that neither the order in which
    they are given nor a tie changes the picture. Two keep the given order.

    Raises UsageError where arrays do not fit the models or are not symmetric, a model occurs twice in one modality, no
    pair was measured, a measured pair has no null, or a pair counts that is not of two trained models.
    """
    data = _checked(data)
    order = _ordered(data)
    grid = _grid([data.models[i] + ("" if data.kinds[i] == "trained" else f" ({data.kinds[i]})") for i in order.leaves])
    title = wrap_text(f"{data.concept}: {data.metric} of every pair of models, over its null", TEXT, FONT_SIZE_POINTS)
    below = wrap_text(_subtitle(data), TEXT)
    tree_top = 14 + FONT_SIZE_POINTS * 1.25 * (title.count("\n") + 1) + LINE_POINTS * (below.count("\n") + 1)
    top = tree_top + (TREE if order.links else 0) + LINE_POINTS + STRIP + 2 * GAP
    bar_top, bar_wide = top + grid.tall + 3 * GAP, max(grid.wide, 72.0)
    middle = grid.left + grid.wide / 2
    room = 2 * min(middle - MARGIN, PAGE - MARGIN - middle)
    drawn = wrap_text(f"{data.metric} minus the mean of its null", room, FONT_SIZE_POINTS)
    height = bar_top + BAR + 33 + FONT_SIZE_POINTS * 1.25 * (drawn.count("\n") + 1)
    with paper():
        figure = new_figure(height / 72)

        def place(x: float, from_top: float, wide: float, deep: float) -> Axes:
            return figure.add_axes((x / PAGE, 1 - (from_top + deep) / height, wide / PAGE, deep / height))

        axes = place(grid.left, top, grid.wide, grid.tall)
        mesh = _cells(axes, data, order, grid)
        _names(axes, data, order, grid)
        if order.links:
            _tree(place(grid.left, tree_top, grid.wide, TREE), order)
        bar = place(middle - bar_wide / 2, bar_top, bar_wide, BAR)
        figure.colorbar(mesh, cax=bar, orientation="horizontal").set_label(drawn, labelpad=1.5)
        bar.tick_params(length=2)
        bar.locator_params(nbins=max(2, min(6, int(bar_wide / 30))))
        _legend(figure, data, 13 / height)
        figure.text(MARGIN / PAGE, 1 - 6 / height, title, va="top", fontsize=FONT_SIZE_POINTS, parse_math=False)
        y = 1 - (8 + FONT_SIZE_POINTS * 1.25 * (title.count("\n") + 1)) / height
        figure.text(MARGIN / PAGE, y, below, va="top", fontsize=SMALL_SIZE_POINTS, color=SOFT_INK, linespacing=1.2)
        figure.canvas.draw()
    return figure, _table(data, order)


def _grid(names: Sequence[str]) -> _Grid:
    m = len(names)
    beside = text_width(str(m)) + STRIP + 4 * GAP  # between the names and the cells: number, strip
    room = TEXT - beside
    column = min(max(text_width(name) for name in names) + 1, max(NARROWEST_NAMES, room - m * NUMBERED_CELL))
    wrapped = tuple(wrap_name(name, column) for name in names)
    cell = min(WIDEST_CELL, (room - column) / m)
    row = max(cell, LINE_POINTS * (1 + max(name.count("\n") for name in wrapped)) + GAP)
    return _Grid(wrapped, cell, row, MARGIN + column + beside)


def _checked(data: ModelMatrix) -> ModelMatrix:
    """The same, exactly symmetric and nan on the diagonal; raises UsageError as `model_matrix` says."""
    import numpy as np

    m = len(data.models)
    if m < 2 or len(data.modalities) != m or len(data.kinds) != m:
        lengths = f"{m} models, {len(data.modalities)} modalities and {len(data.kinds)} kinds"
        raise UsageError(f"model matrix: {lengths}", hint="give two models or more, with a modality and a kind each")
    towers = list(zip(data.models, data.modalities, strict=True))
    if twice := [f"{name} ({modality})" for name, modality in towers if towers.count((name, modality)) > 1]:
        raise UsageError(f"model matrix: {twice[0]} is there twice", hint="give each site of a model a name of its own")
    off = ~np.eye(m, dtype=bool)
    for name in ("value", "null_mean", "null_q95", "counts", "survives"):
        array = getattr(data, name)
        if array.shape != (m, m):
            raise UsageError(f"model matrix: {name} has shape {array.shape} for {m} models")
        if not np.allclose(array[off], array.T[off], rtol=1e-9, atol=1e-12, equal_nan=True):
            raise UsageError(f"model matrix: {name} is not symmetric", hint="a matrix holds one number per pair")
    value, null = (np.where(off, (array + array.T) / 2, np.nan) for array in (data.value, data.null_mean))
    trained = np.array([kind == "trained" for kind in data.kinds])
    for wrong, what in (
        (~np.isnan(value) & ~np.isfinite(value - null), "have a value without a null, or one that is infinite"),
        (data.counts & off & ~(trained[:, None] & trained), "cannot count as evidence: only trained models can"),
    ):
        for i, j in np.argwhere(wrong)[:1]:
            raise UsageError(f"model matrix: {data.models[i]} and {data.models[j]} {what}")
    if np.isnan(value).all():
        raise UsageError("model matrix: no pair of models was measured")
    return replace(data, value=value, null_mean=null)


def _ordered(data: ModelMatrix) -> _Order:
    import numpy as np
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    over, m = data.over_null, len(data.models)
    joined_at = np.full((m, m), np.nan)
    if m < 3:
        return _Order(tuple(range(m)), joined_at)
    # linkage settles ties by the order of its input: always the same one
    start = sorted(range(m), key=lambda i: (data.models[i], data.modalities[i]))
    near = squareform(over[np.ix_(start, start)], checks=False)
    low, high = float(np.nanmin(near)), float(np.nanmax(near))
    away = (high - near) / (high - low or 1.0)
    away = np.where(np.isnan(away), np.nanmean(away), away)
    tree = linkage(away, "average")
    order = arranged(tree, squareform(away))
    # branch by branch: its models, and where its upper end is drawn; a model's leg begins below the lowest join, at 0
    branches = [([start[i]], order.index(i) + 0.5, -LEG * float(tree[-1, 2] or 1.0)) for i in range(m)]
    links = []
    for a, b, height, _ in tree:
        (left, x, x_from), (right, y, y_from) = branches[int(a)], branches[int(b)]
        joined_at[np.ix_(left, right)] = joined_at.T[np.ix_(left, right)] = high - height * (high - low)
        links.append(((x, x, y, y), (x_from, height, height, y_from)))
        branches.append(([*left, *right], (x + y) / 2, height))
    return _Order(tuple(start[i] for i in order), joined_at, tuple(links))


def _cells(axes: Axes, data: ModelMatrix, order: _Order, grid: _Grid) -> QuadMesh:
    import numpy as np
    from matplotlib.collections import LineCollection
    from matplotlib.patches import Rectangle

    at = np.ix_(order.leaves, order.leaves)
    shown, counts, survives = data.over_null[at], data.counts[at], data.survives[at]
    measured = np.isfinite(shown)
    low = min(0.0, np.nanmin(shown))
    high = max(np.nanmax(shown), low + LEAST_SPAN)
    mesh = axes.pcolormesh(
        np.ma.masked_invalid(shown), cmap=SEQUENTIAL_MAP, vmin=low, vmax=high, edgecolors="white", linewidth=1.2
    )
    rooms = [grid.cell - (3 * FRAME if framed else 1) for framed in (survives & measured).ravel()]
    texts = _fitting([number(v).replace("-", "\u2212") for v in shown.ravel()], rooms)
    hatching: list[list[tuple[float, float]]] = []
    inks = []
    for (i, j), value in np.ndenumerate(shown):
        if i == j:
            axes.add_patch(Rectangle((j, i), 1, 1, facecolor=DIAGONAL, edgecolor="white", linewidth=1.2))
            continue
        ink = "black" if (value - low) / (high - low) > 0.55 else "white" if measured[i, j] else SOFT_INK
        hatched = measured[i, j] and not counts[i, j]
        if hatched:
            hatching += [[(j + x, i + y) for x, y in line] for line in HATCH]
            inks += [ink] * len(HATCH)
        if texts:
            behind = {"facecolor": mesh.to_rgba(value), "edgecolor": "none", "pad": 0.8} if hatched else None
            text = axes.text(j + 0.5, i + 0.5, texts[i * len(shown) + j], ha="center", va="center_baseline")
            text.set(color=ink, fontsize=SMALL_SIZE_POINTS, bbox=behind, zorder=3)
    axes.add_collection(LineCollection(hatching, colors=inks, linewidths=0.6), autolim=False)
    # inside the cell, so that a cell among others that are outlined is not; with a white line, as in grey print the
    # colour of the outline is that of some cells
    frame = min(FRAME, grid.cell / 10)
    x, y = frame / grid.cell, frame / grid.row
    frames = [(j + x, i + y, j + 1 - x, i + 1 - y) for i, j in np.argwhere(survives & measured)]
    corners = [[(a, b), (c, b), (c, d), (a, d), (a, b)] for a, b, c, d in frames]
    for width, colour in ((2.1 * frame, "white"), (frame, ROLES["target"].colour)):
        lines = LineCollection(corners, colors=colour, linewidths=width, capstyle="projecting", joinstyle="miter")
        axes.add_collection(lines, autolim=False)
    axes.set_xlim(0, len(shown))
    axes.set_ylim(len(shown), 0)
    axes.spines[:].set_visible(False)
    return mesh


def _fitting(texts: list[str], rooms: Sequence[float]) -> list[str]:
    """The numbers as they are, else without a leading zero; none where a cell holds not even these."""
    for fit in (texts, [re.sub(r"^(\u2212?)0\.", r"\1.", text) for text in texts]):
        if all(text_width(text) < room for text, room in zip(fit, rooms, strict=True)):
            return fit
    return []


def _names(axes: Axes, data: ModelMatrix, order: _Order, grid: _Grid) -> None:
    """Numbered names left of the rows, the numbers above the columns, and the strip of modalities along both."""
    from matplotlib.patches import Rectangle

    m = len(grid.names)
    letters = _letters(data.modalities)
    numbers = [str(place + 1) for place in range(m)]
    named = readable_ticks([grid.cell * place for place in range(m)], numbers)
    x, y = 1 / grid.cell, 1 / grid.row  # a point, in cells
    for place, index in enumerate(order.leaves):
        modality = data.modalities[index]
        colour = STRIP_COLOURS.get(modality, ROLES["null"].colour)
        boxes = (
            (-(GAP + STRIP) * x, place + 0.6 * y, STRIP * x, 1 - 1.2 * y),
            (place + 0.6 * x, -(GAP + STRIP) * y, 1 - 1.2 * x, STRIP * y),
        )
        for left, top, wide, tall in boxes:
            axes.add_patch(Rectangle((left, top), wide, tall, facecolor=colour, linewidth=0, clip_on=False))
        ink = {"trained": INK, "twin": TWIN_INK}.get(data.kinds[index], STATIC_INK)
        beside, above = -(GAP + STRIP / 2), -(2 * GAP + STRIP)
        texts = [
            (beside * x, place + 0.5, letters[modality], "center", INK),
            (above * x, place + 0.5, numbers[place], "right", SOFT_INK),
            ((above - text_width(str(m)) - GAP) * x, place + 0.5, grid.names[place], "right", ink),
        ]
        if place in named:
            texts.append((place + 0.5, beside * y, letters[modality], "center", INK))
            texts.append((place + 0.5, (above - 2) * y, numbers[place], "center", SOFT_INK))
        for left, top, text, side, colour in texts:
            written = axes.text(left, top, text, ha=side, va="center", color=colour, fontsize=SMALL_SIZE_POINTS)
            written.set(linespacing=1.1, parse_math=False)
    axes.set_xticks([])
    axes.set_yticks([])


def _letters(modalities: Sequence[str]) -> dict[str, str]:
    """A letter for each modality, its first where that is free: `text` T, `image` I."""
    letters: dict[str, str] = {}
    known = [name for name in STRIP_COLOURS if name in modalities]
    for name in [*known, *sorted(set(modalities) - set(known))]:
        free = [c for c in name.upper() if c.isalnum() and c not in letters.values()]
        letters[name] = free[0] if free else "?"
    return letters


def _tree(axes: Axes, order: _Order) -> None:
    for places, heights in order.links:
        axes.plot(places, heights, color=LANDMARK, linewidth=0.8)
    top = order.links[-1][1][1] or 1.0
    axes.set_xlim(0, len(order.leaves))
    axes.set_ylim(-LEG * top, top * 1.08)
    axes.set_axis_off()


def _legend(figure: Figure, data: ModelMatrix, top: float) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=STRIP_COLOURS.get(name, ROLES["null"].colour), label=f"{letter}: {name}")
        for name, letter in _letters(data.modalities).items()
    ]
    legend_below(figure, handles, top, ncols=len(handles), handlelength=1.0, handleheight=1.0, borderaxespad=0.0)


def _subtitle(data: ModelMatrix) -> str:
    import numpy as np

    m = len(data.models)
    measured = np.triu(np.isfinite(data.value))
    evidence, aside = measured & data.counts, measured & ~data.counts
    found, pairs = int((evidence & data.survives).sum()), int(evidence.sum())
    trained = np.array([kind == "trained" for kind in data.kinds])
    both = trained[:, None] & trained
    units = f"{count(data.units)} units" if data.units != data.n else ""
    parts = [
        "n = " + ", ".join(text for text in (f"{count(data.n)} {data.items}", units) if text),
        f"null: {data.null}, {count(data.permutations)} permutations",
        f"outlined: {data.outlined} ({found} of {pairs} pair{'s' * (pairs != 1)} of unrelated trained models)",
    ]
    if aside.any():
        why = ["relatives"] * bool((aside & both).any())
        why += [f"{'/'.join(sorted(set(data.kinds) - {'trained'}))} models"] * bool((aside & ~both).any())
        parts.append(f"hatched: no evidence that independent models agree ({', '.join(why)})")
    if measured.sum() < m * (m - 1) // 2:
        parts.append("white: not measured")
    parts.append("columns are numbered as rows")
    if m > 2:
        parts.append("tree: average linkage")
    return "; ".join(parts)


def _table(data: ModelMatrix, order: _Order) -> list[Row]:
    arrays = {"value": data.value, "null_mean": data.null_mean, "null_q95": data.null_q95}
    arrays["over_null"] = data.over_null
    rows: list[Row] = []
    for (a, i), (b, j) in combinations(enumerate(order.leaves), 2):
        row: dict[str, Cell] = {"concept": data.concept, "metric": data.metric}
        for name, each in (("model", data.models), ("modality", data.modalities), ("kind", data.kinds)):
            row |= {f"{name}_a": each[i], f"{name}_b": each[j]}
        row |= {name: float(array[i, j]) for name, array in arrays.items()}
        row |= {"counts": bool(data.counts[i, j]), "survives": bool(data.survives[i, j])}
        row |= {"order_a": a + 1, "order_b": b + 1, "joined_at": float(order.joined_at[i, j])}
        rows.append(row | {"n": data.n, "units": data.units})
    return rows
