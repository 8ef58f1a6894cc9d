"""Alignment of every site of one model with every site of another, and where it exceeds what random twins reach.

The map alone proves little: shared words look like shared concepts, so a cell is marked only where it exceeds the
larger of the two models' random twins by the smallest effect. The best cell of a map is no estimate of anything.
Cells that survive the max-statistic over the whole map are outlined, where it was computed.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from conceptprobe.errors import UsageError
from conceptprobe.registry import register
from conceptprobe.report.labels import LINE_POINTS, readable_ticks, text_width, wrap_text
from conceptprobe.report.numbers import count, number
from conceptprobe.report.style import (
    FIGURE_WIDTH_INCHES,
    FONT_SIZE_POINTS,
    ROLES,
    SEQUENTIAL_MAP,
    SMALL_SIZE_POINTS,
    SOFT_INK,
    new_figure,
    paper,
)

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool, Float
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    from conceptprobe.report.save import Cell, Row

CELL_INCHES = 0.42
"""Side of a cell where there is room; smaller when there are many."""
NUMBERS_FROM_INCHES = 0.31
"""A cell at least this wide holds its number."""
RIGHT_INCHES, BOTTOM_INCHES, BAR_INCHES = 0.85, 0.46, 0.1


@dataclass(frozen=True)
class Survivors:
    """The max-statistic over a map (`stats.maxstat`), arrays [sites of a, sites of b]; nan where there is none."""

    survives: Bool[np.ndarray, "a b"]
    z: Float[np.ndarray, "a b"]
    """Null z-score."""
    p: Float[np.ndarray, "a b"]
    """Family-wise over the map."""
    null_mean: Float[np.ndarray, "a b"]
    permutations: int


@dataclass(frozen=True)
class SiteHeatmap:
    """Arrays are [sites of a, sites of b]; nan where a pair was not measured."""

    model_a: str
    model_b: str
    sites_a: tuple[str, ...]
    sites_b: tuple[str, ...]
    value: Float[np.ndarray, "a b"]
    reference: Float[np.ndarray, "a b"]
    """The larger of metric(A, twin of B) and metric(twin of A, B); nan where there is none."""
    metric: str
    """As it is written in a paper: `debiased CKA`."""
    n: int
    """Words (rows after averaging)."""
    margin: float
    """The smallest effect of interest: a cell is marked when value - reference reaches it."""
    show: Literal["value", "effect"] = "value"
    remark: str = ""
    """One phrase for the subtitle, such as `words:cooccurrence is a static model`."""
    survivors: Survivors | None = None
    """Outlined cells. Arrays of a user have these and no twins; the table then holds these columns instead."""
    closer: Literal["higher", "lower"] = "higher"
    """Which end means alike: that end is the bright one."""
    items: str = "words"
    """What n counts."""
    floor: float = 0.0
    """Colours begin here or at the least value: what a metric is for unrelated spaces."""
    drawn: str = "maps of renamed items"
    """What survivors stand out from."""

    @property
    def marked(self) -> Bool[np.ndarray, "a b"]:
        """Cells that exceed the twins by the margin; never where the reference is not known."""
        return self.value - self.reference >= self.margin


@register("figure", "site_heatmap", data=SiteHeatmap)
def site_heatmap(data: SiteHeatmap) -> tuple[Figure, list[Row]]:
    """The figure and its table, one row per pair of sites. The model with more sites lies along the x axis.

    Raises UsageError when an array has not one row per site of a and one column per site of b.
    """
    shape = (len(data.sites_a), len(data.sites_b))
    own = [] if data.survivors is None else [data.survivors.survives, data.survivors.z, data.survivors.p]
    if any(array.shape != shape for array in (data.value, data.reference, *own)) or 0 in shape:
        raise UsageError(f"site heatmap: {data.value.shape} values for {shape[0]} x {shape[1]} sites")
    turned = shape[1] < shape[0]
    down, across = (data.sites_b, data.sites_a) if turned else (data.sites_a, data.sites_b)
    named = (data.model_b, data.model_a) if turned else (data.model_a, data.model_b)
    left = (max(text_width(site) for site in _short(down)) + 2.6 * FONT_SIZE_POINTS) / 72
    cell = min(CELL_INCHES, (FIGURE_WIDTH_INCHES - left - RIGHT_INCHES) / len(across))
    wide, tall = cell * len(across), max(cell * len(down), 0.3)
    title = wrap_text(f"{data.model_a} and {data.model_b}: {_quantity(data)}", 5.3 * 72, FONT_SIZE_POINTS)
    below = wrap_text(_subtitle(data), 5.3 * 72)
    head = (12 + FONT_SIZE_POINTS * 1.25 * (title.count("\n") + 1) + LINE_POINTS * (below.count("\n") + 1)) / 72
    height = head + tall + BOTTOM_INCHES
    with paper():
        figure = new_figure(height)
        width = FIGURE_WIDTH_INCHES
        axes = figure.add_axes((left / width, BOTTOM_INCHES / height, wide / width, tall / height))
        bar = figure.add_axes(((left + wide + 0.12) / width, BOTTOM_INCHES / height, BAR_INCHES / width, tall / height))
        image = _cells(axes, data, turned, cell)
        _ticks(axes, down, across, named, cell, tall / len(down))
        figure.colorbar(image, cax=bar).set_label(_quantity(data) if tall > 1 else "")
        bar.tick_params(length=2)
        bar.locator_params(nbins=max(2, min(6, int(tall / 0.25))))
        figure.text(0.1 / width, 1 - 6 / 72 / height, title, va="top", fontsize=FONT_SIZE_POINTS)
        y = 1 - (8 + FONT_SIZE_POINTS * 1.25 * (title.count("\n") + 1)) / 72 / height
        figure.text(0.1 / width, y, below, va="top", fontsize=SMALL_SIZE_POINTS, color=SOFT_INK, linespacing=1.2)
        figure.canvas.draw()
    return figure, _table(data)


def _cells(axes: Axes, data: SiteHeatmap, turned: bool, cell: float) -> AxesImage:
    import numpy as np

    shown = data.value if data.show == "value" else data.value - data.reference
    values, marked = (shown.T, data.marked.T) if turned else (shown, data.marked)
    finite = values[np.isfinite(values)]
    low = min(data.floor, finite.min(initial=data.floor))
    high = max(finite.max(initial=data.floor), low + 1e-6)
    lower = data.closer == "lower"
    image = axes.imshow(
        values,
        cmap=f"{SEQUENTIAL_MAP}{'_r' if lower else ''}",
        vmin=low,
        vmax=high,
        aspect="auto",
        interpolation="nearest",
    )
    for (i, j), value in np.ndenumerate(values):
        if not math.isfinite(value):
            continue  # an unmeasured cell stays white
        share = (value - low) / (high - low)
        ink = "black" if (1 - share if lower else share) > 0.55 else "white"
        if cell >= NUMBERS_FROM_INCHES:
            text = number(value).replace("-", "\u2212")
            axes.text(j, i, text, ha="center", va="center", color=ink, fontsize=SMALL_SIZE_POINTS)
        if marked[i, j]:
            corner = (j + 0.36, i - 0.36) if cell >= NUMBERS_FROM_INCHES else (j, i)
            axes.plot(*corner, marker="o", markersize=2.2, color=ink, markeredgewidth=0)
    if data.survivors is not None:
        _outline(axes, data.survivors.survives.T if turned else data.survivors.survives)
    return image


def _outline(axes: Axes, inside: Bool[np.ndarray, "down across"]) -> None:
    """A line along every edge between a cell that survives and one that does not, or the end of the map."""
    import numpy as np

    padded = np.pad(inside, 1)
    upright = [(j - 0.5, i) for i, j in np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])]
    flat = [(j, i - 0.5) for i, j in np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])]
    segments = [[(x, y - 0.5), (x, y + 0.5)] for x, y in upright] + [[(x - 0.5, y), (x + 0.5, y)] for x, y in flat]
    from matplotlib.collections import LineCollection

    axes.add_collection(
        LineCollection(
            segments, colors=ROLES["target"].colour, linewidths=1.6, capstyle="projecting", clip_on=False, zorder=4
        ),
        autolim=False,
    )


def _ticks(
    axes: Axes, down: tuple[str, ...], across: tuple[str, ...], named: tuple[str, str], cell: float, row: float
) -> None:
    names = _short(across)
    at = readable_ticks([cell * 72 * i for i in range(len(across))], names)
    axes.set_xticks(at, [names[i] for i in at])
    step = max(1, math.ceil(LINE_POINTS / (row * 72)))
    axes.set_yticks(range(0, len(down), step), _short(down)[::step])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    numbered = _numbered(across)
    # `A.npy` needs no word on A.3
    legend = f" (number i: {numbered}.i)" if numbered and not named[1].startswith(f"{numbered}.") else ""
    axes.set_xlabel(f"site of {named[1]}{legend}")
    label = f"site of {named[0]}"
    axes.set_ylabel(label if text_width(label, FONT_SIZE_POINTS) < row * 72 * len(down) else "")


def _short(sites: tuple[str, ...]) -> list[str]:
    """`embed`, `0`, `1`: the sites of the residual stream, or of the only numbered series, by their number."""
    numbered = _numbered(sites)
    return [site.removeprefix(f"{numbered}.") if numbered else site for site in sites]


def _numbered(sites: tuple[str, ...]) -> str:
    series = {found[1] for site in sites if (found := re.fullmatch(r"(.+)\.\d+", site))}
    return "resid_post" if "resid_post" in series else series.pop() if len(series) == 1 else ""


def _quantity(data: SiteHeatmap) -> str:
    return data.metric if data.show == "value" else f"{data.metric} minus that of random twins"


def _subtitle(data: SiteHeatmap) -> str:
    cells = data.value.size
    if data.survivors is None:
        marked = int(data.marked.sum())
        dots = f"dot: exceeds the random twins by {data.margin:g} or more ({marked} of {cells} cells)"
        text = f"n = {count(data.n)} {data.items}; {dots}"
    else:
        outlined, draws = int(data.survivors.survives.sum()), count(data.survivors.permutations)
        text = (
            f"n = {count(data.n)} {data.items}; outlined: stands out from {data.drawn}, family-wise 5%, {draws} "
            f"permutations ({outlined} of {cells} cells)"
        )
    if data.closer == "lower":
        text += "; lower is closer"
    return f"{text}; {data.remark}" if data.remark else text


def _table(data: SiteHeatmap) -> list[Row]:
    rows: list[Row] = []
    for i, site_a in enumerate(data.sites_a):
        for j, site_b in enumerate(data.sites_b):
            row: dict[str, Cell] = {
                "model_a": data.model_a,
                "model_b": data.model_b,
                "site_a": site_a,
                "site_b": site_b,
                "metric": data.metric,
                "value": float(data.value[i, j]),
            }
            rows.append(row | _marks(data, i, j) | {"n": data.n})
    return rows


def _marks(data: SiteHeatmap, i: int, j: int) -> dict[str, Cell]:
    """What the marks of one cell rest on."""
    if data.survivors is None:
        reference = float(data.reference[i, j])
        effect = float(data.value[i, j]) - reference
        return {"reference": reference, "effect": effect, "marked": bool(data.marked[i, j])}
    own = data.survivors
    return {
        "null_mean": float(own.null_mean[i, j]),
        "z": float(own.z[i, j]),
        "p_map": float(own.p[i, j]),
        "survives": bool(own.survives[i, j]),
    }
