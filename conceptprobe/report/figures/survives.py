"""What survives of a concept when its name goes, model by model: the sentences as they are, masked, paraphrased, translated.

One row per kind of sentence: the held-out AUROC with its interval, and a square for what has to be left behind, the larger
of chance and the baselines that were to be beaten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conceptprobe.errors import UsageError
from conceptprobe.registry import register
from conceptprobe.report.labels import LINE_POINTS, legend_below, wrap_text, write_beside
from conceptprobe.report.numbers import count, interval, number
from conceptprobe.report.style import (
    FIGURE_WIDTH_INCHES,
    FONT_SIZE_POINTS,
    INK,
    LANDMARK,
    ROLES,
    SMALL_SIZE_POINTS,
    SOFT_INK,
    new_figure,
    paper,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from conceptprobe.report.save import Row

MARGIN_INCHES, NAMES_INCHES, NUMBERS_INCHES = 0.12, 1.72, 1.02
ROW_INCHES, HEAD_INCHES, AXIS_INCHES, LEGEND_INCHES = 0.165, 0.26, 0.36, 0.2


@dataclass(frozen=True)
class Reading:
    """One kind of sentence read by one model. `low`, `high` bound the AUROC less what it has to beat, moved to the
    AUROC's scale: an interval right of `reference` is a gain."""

    what: str
    auroc: float
    low: float
    high: float
    reference: float
    n: int
    units: int


@dataclass(frozen=True)
class ModelReadings:
    """One model, its readings in the order to be shown."""

    name: str
    readings: tuple[Reading, ...]


@dataclass(frozen=True)
class Survives:
    """All models of one concept."""

    concept: str
    models: tuple[ModelReadings, ...]


@register("figure", "survives", data=Survives)
def survives(data: Survives) -> tuple[Figure, list[Row]]:
    """The figure and its table, one row per model and kind of sentence. Raises UsageError when there is nothing to draw."""
    models = [model for model in data.models if model.readings]
    if not models:
        raise UsageError("a figure of what survives needs at least one reading")
    room = (FIGURE_WIDTH_INCHES - 2 * MARGIN_INCHES) * 72
    title = wrap_text(f"{data.concept}: what is read when its name goes", room, FONT_SIZE_POINTS)
    caption = wrap_text(_caption(models), room)
    rows_of = [HEAD_INCHES + ROW_INCHES * len(model.readings) for model in models]
    head = (FONT_SIZE_POINTS * 1.25 * (title.count("\n") + 1) + 10) / 72
    foot = (LINE_POINTS * (caption.count("\n") + 1) + 8) / 72 + LEGEND_INCHES
    height = head + sum(rows_of) + AXIS_INCHES + foot
    left, wide = MARGIN_INCHES + NAMES_INCHES, FIGURE_WIDTH_INCHES - 2 * MARGIN_INCHES - NAMES_INCHES - NUMBERS_INCHES
    with paper():
        figure = new_figure(height)
        page = FIGURE_WIDTH_INCHES
        axes = figure.add_axes((left / page, (foot + AXIS_INCHES) / height, wide / page, sum(rows_of) / height))
        _frame(axes, models, sum(rows_of))
        top = 0.0
        for model, own in zip(models, rows_of, strict=True):
            _model(axes, model, top, wide)
            top += own
        at = MARGIN_INCHES / page
        figure.text(at, 1 - 6 / 72 / height, title, va="top", fontsize=FONT_SIZE_POINTS, parse_math=False)
        legend_below(figure, _handles(), foot / height, ncols=2, columnspacing=1.4, handlelength=1.6, borderaxespad=0.2)
        figure.text(
            at, 5 / 72 / height, caption, va="bottom", fontsize=SMALL_SIZE_POINTS, color=SOFT_INK, linespacing=1.15
        )
        figure.canvas.draw()
    return figure, [_row(model, reading) for model in models for reading in model.readings]


def _frame(axes: Axes, models: Sequence[ModelReadings], inches: float) -> None:
    """y is inches from the top: headings and rows have heights of their own."""
    drawn = [v for m in models for r in m.readings for v in (r.auroc, r.low, r.high, r.reference)]
    axes.set_xlim(min(*drawn, 0.4) - 0.02, max(*drawn, 1.0) + 0.02)
    axes.set_ylim(inches, 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("held-out AUROC", labelpad=1.5)
    axes.axvline(0.5, color=LANDMARK, linewidth=0.6, zorder=1)


def _model(axes: Axes, model: ModelReadings, top: float, wide: float) -> None:
    look, static = ROLES["model"], ROLES["static"]
    if top:
        axes.plot([-NAMES_INCHES / wide, 1 + NUMBERS_INCHES / wide], [top + 0.045] * 2, color="#E4E4E4", linewidth=0.5,
                  transform=axes.get_yaxis_transform(), clip_on=False)  # fmt: skip
    write_beside(axes, -NAMES_INCHES / wide, top + HEAD_INCHES * 0.62, model.name, INK, bold=True)
    for i, reading in enumerate(model.readings):
        y = top + HEAD_INCHES + ROW_INCHES * (i + 0.5)
        axes.plot(
            [reading.low, reading.high], [y, y], color=look.colour, linewidth=1.2, solid_capstyle="butt", zorder=3
        )
        axes.plot(reading.reference, y, marker=static.marker, markersize=4, color=static.colour, zorder=4)
        axes.plot(reading.auroc, y, marker=look.marker, markersize=4.6, color=look.colour, zorder=5)
        write_beside(axes, -NAMES_INCHES / wide, y, reading.what, SOFT_INK)
        text = f"{number(reading.auroc, 2)} {interval(reading.low, reading.high, 2)}"
        write_beside(axes, 1, y, text, INK)


def _handles() -> list[Artist]:
    from matplotlib.lines import Line2D

    look, static = ROLES["model"], ROLES["static"]
    return [
        Line2D(
            [],
            [],
            color=look.colour,
            marker=look.marker,
            markersize=4.6,
            linewidth=1.2,
            label="the model, 95% interval",
        ),
        Line2D(
            [],
            [],
            color=static.colour,
            marker=static.marker,
            markersize=4,
            linestyle="none",
            label="what it has to beat",
        ),
    ]


def _caption(models: Sequence[ModelReadings]) -> str:
    sizes = sorted({(r.n, r.units) for m in models for r in m.readings})
    rows = f"{count(sizes[0][0])} to {count(sizes[-1][0])}" if len(sizes) > 1 else count(sizes[0][0])
    fewest = min(units for _, units in sizes)
    return (
        f"{rows} sentences a row, {count(fewest)} or more units per class. Probes are trained on sentences that name the "
        "concept (on other pairs, or on terms and sentences, for pairs of the same words) and read units they never saw. "
        "The interval is that of the gain over the square, drawn on the scale of the AUROC: where it holds the square, there "
        "may be no gain. Square: the larger of chance and the best baselines (word counts, word vectors, untrained twins)."
    )


def _row(model: ModelReadings, reading: Reading) -> Row:
    return {
        "model": model.name,
        "what": reading.what,
        "auroc": reading.auroc,
        "low": reading.low,
        "high": reading.high,
        "reference": reading.reference,
        "n": reading.n,
        "units": reading.units,
    }
