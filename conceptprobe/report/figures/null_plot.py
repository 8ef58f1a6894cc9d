"""Each headline estimate beside its own null: the distribution under the exchange, and where the data fell.

One panel per headline row, each on the scale of its own statistic; nothing is pooled over rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conceptprobe.errors import UsageError
from conceptprobe.registry import register
from conceptprobe.report.labels import LINE_POINTS, label_above, wrap_text
from conceptprobe.report.numbers import count, decimals, interval, number, p_value
from conceptprobe.report.phrases import worded_reference
from conceptprobe.report.style import (
    FIGURE_WIDTH_INCHES,
    FONT_SIZE_POINTS,
    ROLES,
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
    reference: float = math.nan
    """What the effect is measured from, on the same scale; drawn where it is given and not chance."""
    reference_name: str = ""
    drawn: str = "permutations"
    """What the draws are, in the plural."""


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
    titles = [wrap_text(f"{data.concept}, {row.title}", _inside() * 72, FONT_SIZE_POINTS) for row in data.rows]
    notes = ["\n".join(wrap_text(line, _inside() * 72) for line in _subtitle(row)) for row in data.rows]
    heads = [
        (FONT_SIZE_POINTS * 1.25 * _lines(title) + LINE_POINTS * _lines(note) + 14) / 72
        for title, note in zip(titles, notes, strict=True)
    ]
    height = sum(heads) + len(heads) * (PANEL_INCHES + BOTTOM_INCHES)
    table: list[Row] = []
    bottom = height
    with paper():
        figure = new_figure(height)
        for row, title, note, head in zip(data.rows, titles, notes, heads, strict=True):
            bottom -= head + PANEL_INCHES
            left, wide = LEFT_INCHES / FIGURE_WIDTH_INCHES, _inside() / FIGURE_WIDTH_INCHES
            axes = figure.add_axes((left, bottom / height, wide, PANEL_INCHES / height))
            table += _panel(axes, row, _shown([other for other in data.rows if other.axis == row.axis]))
            label_above(axes, note)
            axes.set_title(title, pad=LINE_POINTS * _lines(note) + 8)
            bottom -= BOTTOM_INCHES
        figure.canvas.draw()
    return figure, table


def _lines(text: str) -> int:
    return text.count("\n") + 1


def _inside() -> float:
    return FIGURE_WIDTH_INCHES - LEFT_INCHES - RIGHT_INCHES


def _shown(rows: Sequence[NullRow]) -> tuple[float, float]:
    """The range of all rows on one axis: they are to be compared, and distance from a null is seen in its widths."""
    import numpy as np

    ends = [(r.low, r.high, r.value, r.draws.min(), r.draws.max(), r.reference) for r in rows]
    return float(np.nanmin(ends)), float(np.nanmax(ends))


def _panel(axes: Axes, row: NullRow, shown: tuple[float, float]) -> list[Row]:
    import numpy as np

    look, static = ROLES["model"], ROLES["static"]
    low, high = shown
    pad = 0.03 * max(high - low, 1e-6)
    edges = np.linspace(row.draws.min(), row.draws.max() + 1e-9, 1 + _bins(row.draws, high - low))
    heights, _ = np.histogram(row.draws, edges)
    axes.stairs(heights, edges, fill=True, color=ROLES["null"].colour)
    axes.set_xlim(low - pad, high + pad)
    axes.set_ylim(0, heights.max() * 1.08)
    q95 = _q95(row)
    axes.axvline(q95, color=SOFT_INK, linestyle=(0, (1, 1.2)), linewidth=0.8)
    if math.isfinite(row.reference):
        axes.axvline(row.reference, color=static.colour, linestyle=static.line, linewidth=1.0)
    middle = heights.max() * 0.5
    axes.plot([row.low, row.high], [middle, middle], color=look.colour, solid_capstyle="butt", clip_on=False, zorder=4)
    axes.plot(row.value, middle, marker=look.marker, markersize=5, color=look.colour, clip_on=False, zorder=5)
    axes.set_xlabel(row.axis, labelpad=1.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    bins = [
        _row(row, "null bin", left=float(a), right=float(b), permutations=int(h))
        for a, b, h in zip(edges, edges[1:], heights, strict=False)
    ]
    return [
        *bins,
        _row(
            row, "estimate", value=row.value, low=row.low, high=row.high, null_q95=q95, p=row.p, reference=row.reference
        ),
    ]


def _subtitle(row: NullRow) -> tuple[str, str]:
    q95 = _q95(row)
    places = decimals((row.value, row.low, row.high, q95))
    found = f"estimate {number(row.value, places)}, 95% interval {interval(row.low, row.high, places)}"
    null = f"grey: {count(len(row.draws))} {row.drawn}, 95% of them below {number(q95, places)} (dots)"
    if math.isfinite(row.reference):
        null += f"; orange: {worded_reference(row.reference_name, row.reference, places)}"
    return f"{found}, p = {p_value(row.p)}, n = {count(row.n)} rows, {count(row.units)} units per class", null


def _q95(row: NullRow) -> float:
    import numpy as np

    return float(np.quantile(row.draws, 0.95))


def _bins(draws: Float[np.ndarray, " k"], span: float) -> int:
    """Bins of a width that is the same share of the panel whatever the null's width, but never fewer than 8."""
    return max(8, round(BINS * (float(draws.max() - draws.min())) / span)) if span > 0 else 8


def _row(row: NullRow, item: str, **values: float) -> Row:
    empty = dict.fromkeys(
        ("left", "right", "permutations", "value", "low", "high", "null_q95", "p", "reference"), math.nan
    )
    return {"title": row.title, "axis": row.axis, "item": item, **empty, **values, "n": row.n, "units": row.units}
