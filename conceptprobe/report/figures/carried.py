"""What a probe trained on captions reads in pictures: the concept, pair of models by pair of models, beside its twins.

Under each concept lie ordinary categories, carried over in the same way: what these two models could have shown at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conceptprobe.errors import UsageError
from conceptprobe.registry import register
from conceptprobe.report.labels import LINE_POINTS, legend_below, text_width, wrap_text, write_beside
from conceptprobe.report.numbers import count, decimals, interval, number
from conceptprobe.report.style import (
    FIGURE_WIDTH_INCHES,
    FONT_SIZE_POINTS,
    INK,
    LANDMARK,
    ROLES,
    SMALL_SIZE_POINTS,
    SOFT_INK,
    TWIN_INK,
    new_figure,
    paper,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from conceptprobe.report.save import Row

MARGIN_INCHES, NAMES_INCHES, NUMBERS_INCHES = 0.12, 1.42, 1.15
"""Left of the axes stand the two models, right of them the numbers."""
ROW_INCHES, AXIS_INCHES, LEGEND_INCHES = 0.54, 0.34, 0.2
ABOVE, BELOW, UNDER = -0.2, 0.12, 0.34
"""Heights in a row, from its middle and in rows: the concept, the dots of ordinary categories, their names."""
DOT = "#A6A6A6"


@dataclass(frozen=True)
class Carry:
    """One pair of models: a probe of the concept, trained on what `source` reads and carried to what `target` reads."""

    source: str
    target: str
    """With its modality: `pocket-vision (image)`."""
    auroc: float
    low: float
    high: float
    """95% interval, on the scale of the AUROC."""
    reference: float
    """What the effect is measured from: the larger of 0.5 and the AUROC of the random twins."""
    n: int
    units: int
    ordinary: tuple[tuple[str, float], ...] = ()
    """(category, AUROC) of ordinary categories of the background, carried over in the same way."""
    aside: str = ""
    """Why the pair is no evidence, in a word or two (`ceiling`, `relatives`, `static`); empty where it counts."""


@dataclass(frozen=True)
class Carried:
    """All pairs of one concept, in the order they are to be shown."""

    concept: str
    pairs: tuple[Carry, ...]


@register("figure", "carried", data=Carried)
def carried(data: Carried) -> tuple[Figure, list[Row]]:
    """The figure and its table: per pair one row of the concept and one of each ordinary category.

    Raises UsageError when there is no pair.
    """
    if not data.pairs:
        raise UsageError("a figure of carried probes needs at least one pair of models")
    room = FIGURE_WIDTH_INCHES - 2 * MARGIN_INCHES
    caption = wrap_text(_caption(data), room * 72)
    title = wrap_text(f"{data.concept}: a probe of captions, carried to pictures", room * 72, FONT_SIZE_POINTS)
    head = (FONT_SIZE_POINTS * 1.25 * (title.count("\n") + 1) + LINE_POINTS + 12) / 72
    foot = (LINE_POINTS * (caption.count("\n") + 1) + 8) / 72 + LEGEND_INCHES
    names = [_names(pair) for pair in data.pairs]
    row = max(ROW_INCHES, *((LINE_POINTS * (name.count("\n") + 1) + 6) / 72 for name in names))
    rows = row * len(data.pairs)
    height = head + rows + AXIS_INCHES + foot
    left = MARGIN_INCHES + NAMES_INCHES
    wide = FIGURE_WIDTH_INCHES - left - NUMBERS_INCHES - MARGIN_INCHES
    with paper():
        figure = new_figure(height)
        page = FIGURE_WIDTH_INCHES
        axes = figure.add_axes((left / page, (foot + AXIS_INCHES) / height, wide / page, rows / height))
        _frame(axes, data.pairs)
        for i, pair in enumerate(data.pairs):
            _concept(axes, i, pair)
            _ordinary(axes, i, pair, wide)
            write_beside(axes, -NAMES_INCHES / wide, i, names[i])
            write_beside(axes, 1, i - 0.36, _numbers(pair), va="top")
            write_beside(axes, 1, i - 0.36, pair.aside, SOFT_INK, va="top", up=-LINE_POINTS)
        write_beside(axes, -NAMES_INCHES / wide, -0.5, "text model > image model", SOFT_INK, va="baseline", up=6)
        write_beside(axes, 1, -0.5, "AUROC, 95% interval", SOFT_INK, va="baseline", up=6)
        at = MARGIN_INCHES / FIGURE_WIDTH_INCHES
        figure.text(at, 1 - 6 / 72 / height, title, va="top", fontsize=FONT_SIZE_POINTS)
        _legend(figure, data.pairs, foot / height)
        figure.text(
            at, 5 / 72 / height, caption, va="bottom", fontsize=SMALL_SIZE_POINTS, color=SOFT_INK, linespacing=1.15
        )
        figure.canvas.draw()
    return figure, _table(data)


def _frame(axes: Axes, pairs: Sequence[Carry]) -> None:
    drawn = [v for p in pairs for v in (p.low, p.high, p.auroc, p.reference, 0.5, *(value for _, value in p.ordinary))]
    axes.set_xlim(min(*drawn, 0.4) - 0.02, max(*drawn, 1.0) + 0.02)
    axes.set_ylim(len(pairs) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("held-out AUROC in pictures", labelpad=1.5)
    axes.axvline(0.5, color=LANDMARK, linewidth=0.6, zorder=1)
    for i in range(1, len(pairs)):
        axes.axhline(i - 0.5, color="#E4E4E4", linewidth=0.5, zorder=0)


def _concept(axes: Axes, i: int, pair: Carry) -> None:
    """Point and interval, hollow where the pair does not count, and the tick it has to leave behind."""
    look, y = ROLES["model"], i + ABOVE
    axes.plot([pair.low, pair.high], [y, y], color=look.colour, linewidth=1.2, solid_capstyle="butt", zorder=4)
    axes.plot(pair.auroc, y, zorder=5, **_marker(pair))
    axes.plot([pair.reference] * 2, [y - 0.17, y + 0.17], color=TWIN_INK, linewidth=1.6, zorder=3)


def _marker(pair: Carry) -> dict[str, Any]:
    look = ROLES["model"]
    face = "white" if pair.aside else look.colour
    return {"marker": look.marker, "markersize": 5.5, "color": look.colour, "markerfacecolor": face}


def _ordinary(axes: Axes, i: int, pair: Carry, wide: float) -> None:
    """Dots of the ordinary categories, their median, and the names of the least and of the most."""
    if not pair.ordinary:
        return
    import numpy as np

    y = i + BELOW
    ordered = sorted(pair.ordinary, key=lambda item: item[1])
    axes.scatter([v for _, v in ordered], [y] * len(ordered), s=11, color=DOT, linewidths=0, alpha=0.75, zorder=3)
    median = float(np.median([v for _, v in ordered]))
    axes.plot([median] * 2, [y - 0.1, y + 0.1], color=INK, linewidth=0.9, zorder=4)
    low, high = axes.get_xlim()
    ends = ordered[:1] if len(ordered) == 1 else [ordered[0], ordered[-1]]
    taken = 0.0
    for name, value in ends:
        width = text_width(name)
        centre = (value - low) / (high - low) * wide * 72
        start = min(max(centre - width / 2, taken), wide * 72 - width)
        if start >= taken:  # two names that would touch: the least one stays
            axes.annotate(
                name,
                (start / 72 / wide, i + UNDER),
                xycoords=("axes fraction", "data"),
                ha="left",
                va="center",
                fontsize=SMALL_SIZE_POINTS,
                color=SOFT_INK,
                parse_math=False,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},  # the line of chance ends at a name
            )
            taken = start + width + 4


def _names(pair: Carry) -> str:
    """Both models on a line where they fit, else each from a line of its own."""
    room = (NAMES_INCHES - 0.08) * 72
    whole = f"{pair.source} > {pair.target}"
    if text_width(whole) <= room:
        return whole
    return "\n".join(wrap_text(name, room) for name in (f"{pair.source} >", pair.target))


def _numbers(pair: Carry) -> str:
    places = decimals((pair.auroc, pair.low, pair.high))
    return f"{number(pair.auroc, places)} {interval(pair.low, pair.high, places)}"


def _legend(figure: Figure, pairs: Sequence[Carry], foot: float) -> None:
    from matplotlib.lines import Line2D

    def line(label: str, **look: Any) -> Line2D:
        return Line2D([], [], label=label, **look)

    tick: dict[str, Any] = {"linestyle": "none", "marker": "|", "markersize": 7}
    handles = [
        line("concept, 95% interval", linewidth=1.2, **_marker(next((p for p in pairs if not p.aside), pairs[0])))
    ]
    handles.append(line("chance or random twins", color=TWIN_INK, markeredgewidth=1.6, **tick))
    if any(p.ordinary for p in pairs):
        handles += [
            line("ordinary category", linestyle="none", marker="o", markersize=3.3, color=DOT, markeredgewidth=0),
            line("their median", color=INK, markeredgewidth=0.9, **{**tick, "markersize": 5}),
        ]
    legend_below(
        figure,
        handles,
        foot,
        ncols=len(handles),
        handletextpad=0.4,
        columnspacing=1.0,
        handlelength=1.4,
        borderaxespad=0.2,
    )


def _caption(data: Carried) -> str:
    sizes = dict.fromkeys(f"n = {count(p.n)} pictures, {count(p.units)} units per class" for p in data.pairs)
    text = (
        f"{'; '.join(sizes)}. The probe is trained on captions and reads unseen pictures over a map that is fitted on "
        "background pairs alone. Dark tick: the larger of 0.5 and the mean of the random twins; the effect is what lies "
        "beyond it."
    )
    if any(p.ordinary for p in data.pairs):
        text += (
            " Grey dots: categories of the background, each against as many other pictures, carried over in the same "
            "way (the least and the most are named). Where their median is low, the two models could not have shown "
            "agreement on any concept."
        )
    if asides := {p.aside for p in data.pairs if p.aside}:
        text += " Hollow: no evidence of independent models that agree"
        meanings = [ASIDES[name] for name in ASIDES if name in asides]
        text += f" ({'; '.join(meanings)})." if meanings else "."
    return text


ASIDES = {
    "ceiling": "ceiling: two towers of one model, trained to agree",
    "relatives": "relatives: they share data or weights",
    "static": "static: word vectors, not a model of sentences",
}
"""What a word beside a hollow point means, where the caption can say it."""


def _table(data: Carried) -> list[Row]:
    rows: list[Row] = []
    nan = float("nan")
    for pair in data.pairs:
        own: dict[str, Any] = {"model_a": pair.source, "model_b": pair.target, "aside": pair.aside}
        numbers = {"auroc": pair.auroc, "low": pair.low, "high": pair.high, "reference": pair.reference}
        rows.append({**own, "what": data.concept, "kind": "concept", **numbers, "n": pair.n, "units": pair.units})
        for name, value in pair.ordinary:
            blank = {"low": nan, "high": nan, "reference": nan, "n": nan, "units": nan}
            rows.append({**own, "what": name, "kind": "ordinary", "auroc": value, **blank})
    return rows
