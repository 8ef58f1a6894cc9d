"""Each headline estimate beside its own null: the distribution under the exchange, and where the data fell.

One panel per headline row, each on the scale of its own statistic; nothing is pooled over rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conceptprobe.errors import UsageError
from conceptprobe.registry import register
from conceptprobe.report.labels import LINE_POINTS, label_above, wrap_text
from conceptprobe.report.numbers import count, decimals, interval, number, p_value
from conceptprobe.report.style import (
    FIGURE_WIDTH_INCHES,
    FONT_SIZE_POINTS,
    ROLES,
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

PANEL_INCHES, BOTTOM_INCHES, LEFT_INCHES, RIGHT_INCHES = 0.62, 0.40, 0.2, 0.2
BINS = 40


@dataclass(frozen=True)
class NullRow:
    """One headline row. `draws`, `value`, `low` and `high` are on one scale, named by `axis`."""

    title: str
    """What the row is: `encoded: minilm, terms x templates, near controls`."""
    axis: str
    """The statistic: `AUROC`, `AUROC minus best baseline`."""
    draws: Float[np.ndarray, " k"]
    value: float
    low: float
    high: float
    p: float
    n: int
    units: int


@dataclass(frozen=True)
class NullPlot:
    """The headline rows of one concept."""

    concept: str
    rows: tuple[NullRow, ...]


@register("figure", "null_plot", data=NullPlot)
def null_plot(data: NullPlot) -> tuple[Figure, list[Row]]:
    """The figure and its table: per row the bins of the histogram, then the estimate with its interval.

    Raises UsageError when there is no row, or a row has no draws.
    """
    import numpy as np

    if not data.rows:
        raise UsageError("a null plot needs at least one headline row")
    for row in data.rows:
        if not len(row.draws) or not np.isfinite(row.draws).all():
            raise UsageError(f"null plot: no finite draws for {row.title}")
    titles = [wrap_text(f"{data.concept}, {r.title}", _inside() * 72, FONT_SIZE_POINTS) for r in data.rows]
    lines = max(title.count("\n") for title in titles) + 1
    top = (lines * FONT_SIZE_POINTS * 1.25 + 2 * LINE_POINTS + 14) / 72
    each = top + PANEL_INCHES + BOTTOM_INCHES
    height = each * len(data.rows)
    table: list[Row] = []
    with paper():
        figure = new_figure(height)
        for i, (row, title) in enumerate(zip(data.rows, titles, strict=True)):
            bottom = height - i * each - top - PANEL_INCHES
            box = (LEFT_INCHES, bottom, _inside(), PANEL_INCHES)
            sizes = (FIGURE_WIDTH_INCHES, height, FIGURE_WIDTH_INCHES, height)
            axes = figure.add_axes(tuple(a / b for a, b in zip(box, sizes, strict=True)))  # type: ignore[arg-type]
            table += _panel(axes, row, title)
        figure.canvas.draw()
    return figure, table


def _inside() -> float:
    return FIGURE_WIDTH_INCHES - LEFT_INCHES - RIGHT_INCHES


def _panel(axes: Axes, row: NullRow, title: str) -> list[Row]:
    import numpy as np

    look = ROLES["model"]
    # the estimate is part of the range, so that distance from the null is seen in widths of the null
    low, high = min(row.draws.min(), row.low, row.value), max(row.draws.max(), row.high, row.value)
    pad = 0.03 * max(high - low, 1e-6)
    edges = np.linspace(row.draws.min(), row.draws.max() + 1e-9, 1 + _bins(row.draws, high - low))
    heights, _ = np.histogram(row.draws, edges)
    axes.stairs(heights, edges, fill=True, color=ROLES["null"].colour)
    axes.set_xlim(low - pad, high + pad)
    axes.set_ylim(0, heights.max() * 1.08)
    q95 = float(np.quantile(row.draws, 0.95))
    axes.axvline(q95, color=SOFT_INK, linestyle=(0, (2, 1.5)), linewidth=0.8)
    middle = heights.max() * 0.5
    axes.plot([row.low, row.high], [middle, middle], color=look.colour, solid_capstyle="butt", clip_on=False, zorder=4)
    axes.plot(row.value, middle, marker=look.marker, markersize=5, color=look.colour, clip_on=False, zorder=5)
    axes.set_xlabel(row.axis, labelpad=1.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_title(title, pad=2 * LINE_POINTS + 8)
    label_above(axes, _subtitle(row, q95))
    bins = [
        _row(row, "null bin", left=float(a), right=float(b), permutations=int(h))
        for a, b, h in zip(edges, edges[1:], heights, strict=False)
    ]
    return [*bins, _row(row, "estimate", value=row.value, low=row.low, high=row.high, null_q95=q95, p=row.p)]


def _subtitle(row: NullRow, q95: float) -> str:
    places = decimals((row.value, row.low, row.high, q95))
    found = f"estimate {number(row.value, places)}, 95% interval {interval(row.low, row.high, places)}"
    null = f"grey: {count(len(row.draws))} permutations, 95% of them below {number(q95, places)} (dashes)"
    return f"{found}, p = {p_value(row.p)}, n = {count(row.n)} rows, {count(row.units)} units per class\n{null}"


def _bins(draws: Float[np.ndarray, " k"], span: float) -> int:
    """Bins of a width that is the same share of the panel whatever the null's width, but never fewer than 8."""
    return max(8, round(BINS * (float(draws.max() - draws.min())) / span)) if span > 0 else 8


def _row(row: NullRow, item: str, **values: float) -> Row:
    empty = dict.fromkeys(("left", "right", "permutations", "value", "low", "high", "null_q95", "p"), math.nan)
    return {"title": row.title, "axis": row.axis, "item": item, **empty, **values, "n": row.n, "units": row.units}
