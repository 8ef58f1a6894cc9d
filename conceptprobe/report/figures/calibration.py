"""What planted truth was told: shares of verdicts per row, and how often the intervals held the true effect.

Rows come in the order of their table. A mark stands at the largest share of false verdicts that is allowed, and a band
over the coverage that is promised; a row whose promise failed is named in bold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from conceptprobe.errors import UsageError
from conceptprobe.registry import register
from conceptprobe.report.labels import legend_below, wrap_text
from conceptprobe.report.style import FIGURE_WIDTH_INCHES, INK, LANDMARK, ROLES, SMALL_SIZE_POINTS, new_figure, paper

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from conceptprobe.report.save import Row

_LINE, _TOP, _BOTTOM, _LEGEND = 0.27, 0.28, 0.4, 0.3
_LEFT, _SHARES, _GAP, _COVERAGE = 1.85, 2.05, 0.2, 1.2
_LOOKS = {
    "supported": (ROLES["model"].colour, ""),
    "absent": (ROLES["target"].colour, "////"),
    "inconclusive": (ROLES["null"].colour, ""),
}


@dataclass(frozen=True)
class CalibrationRow:
    """One question of one planted row; counts are out of n, `coverage_low` and `coverage_high` its exact 95% interval.

    no_supported, no_absent: the promise that there are hardly any; coverage_promised: that the intervals hold the truth.
    """

    row: str
    question: str
    n: int
    supported: int
    absent: int
    inconclusive: int
    covered: int
    coverage_low: float
    coverage_high: float
    no_supported: bool
    no_absent: bool
    coverage_promised: bool
    held: bool


@dataclass(frozen=True)
class Calibration:
    """The table. allowed: largest share of false verdicts; coverage: the range promised."""

    rows: tuple[CalibrationRow, ...]
    allowed: float
    coverage: tuple[float, float]


@register("figure", "calibration", data=Calibration)
def calibration(data: Calibration) -> tuple[Figure, list[Row]]:
    """The figure and its table. Raises UsageError when there is no row."""
    if not data.rows:
        raise UsageError("a calibration figure needs at least one row")
    inside = _LINE * len(data.rows)
    height = _TOP + inside + _BOTTOM + _LEGEND
    with paper():
        figure = new_figure(height)
        bottom = (_BOTTOM + _LEGEND) / height
        shares, coverage = (
            figure.add_axes(
                (left / FIGURE_WIDTH_INCHES, bottom, wide / FIGURE_WIDTH_INCHES, inside / height), sharey=None
            )
            for left, wide in ((_LEFT, _SHARES), (_LEFT + _SHARES + _GAP, _COVERAGE))
        )
        _shares(shares, data)
        _coverage(coverage, data)
        _legend(figure, _LEGEND / height)
        figure.canvas.draw()
    return figure, [_record(row) for row in data.rows]


def _shares(axes: Axes, data: Calibration) -> None:
    for y, row in enumerate(data.rows):
        left = 0.0
        for verdict, (colour, hatch) in _LOOKS.items():
            share = getattr(row, verdict) / row.n
            axes.barh(y, share, 0.62, left, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
            left += share
        # The allowed share is counted from the left for `supported`, and from where `absent` begins for that.
        starts = ([0.0] if row.no_supported else []) + ([row.supported / row.n] if row.no_absent else [])
        for start in starts:
            axes.plot([start + data.allowed] * 2, [y - 0.42, y + 0.42], color=INK, linewidth=1.0, clip_on=False)
    _frame(axes, data, "share of replications", (0.0, 1.0))
    axes.set_yticks(range(len(data.rows)), [_name(row) for row in data.rows])
    for label, row in zip(axes.get_yticklabels(), data.rows, strict=True):
        label.set_fontweight("normal" if row.held else "bold")
    axes.set_title("verdicts")


def _coverage(axes: Axes, data: Calibration) -> None:
    look = ROLES["model"]
    axes.axvspan(*data.coverage, color=ROLES["null"].colour, alpha=0.6, linewidth=0)
    axes.axvline(0.95, color=LANDMARK, linewidth=0.6)
    lowest = min((row.coverage_low for row in data.rows if row.coverage_promised), default=0.9)
    for y, row in enumerate(data.rows):
        if row.coverage_promised:
            axes.plot([row.coverage_low, row.coverage_high], [y, y], color=look.colour, solid_capstyle="butt")
            axes.plot(row.covered / row.n, y, marker=look.marker, color=look.colour, clip_on=False)
    _frame(axes, data, "intervals with the truth", (min(lowest - 0.01, 0.9), 1.0))
    axes.locator_params(axis="x", nbins=4, prune="lower")  # the first number would run into the last one on its left
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_title("coverage")


def _frame(axes: Axes, data: Calibration, label: str, limits: tuple[float, float]) -> None:
    axes.set_ylim(len(data.rows) - 0.5, -0.5)
    axes.set_xlim(*limits)
    axes.set_xlabel(label)
    axes.tick_params(axis="y", length=0)


def _legend(figure: Figure, top: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=colour, hatch=hatch, edgecolor="white", linewidth=0, label=verdict)
        for verdict, (colour, hatch) in _LOOKS.items()
    ]
    mark = Line2D([], [], color=INK, linewidth=1.0, label="at most so many are allowed")
    legend_below(figure, [*handles, mark], top, ncols=4)


def _name(row: CalibrationRow) -> str:
    return wrap_text(f"{row.row} | {row.question}", (_LEFT - 0.15) * 72, SMALL_SIZE_POINTS, bold=not row.held)


def _record(row: CalibrationRow) -> Row:
    return dict(vars(row))
