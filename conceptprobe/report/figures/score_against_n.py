"""How each alignment metric changes with the number of items, beside its null at the same number.

A score that still climbs or falls at the last n would be another number with more items. One that moves together with its null
moves because of n, not because of the models.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from conceptprobe.errors import UsageError
from conceptprobe.registry import register
from conceptprobe.report.labels import LINE_POINTS, legend_below, readable_ticks, wrap_text
from conceptprobe.report.numbers import count
from conceptprobe.report.style import (
    FIGURE_WIDTH_INCHES,
    FONT_SIZE_POINTS,
    INK,
    ROLES,
    SMALL_SIZE_POINTS,
    SOFT_INK,
    new_figure,
    paper,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from conceptprobe.report.save import Row

ACROSS = 3
"""Panels side by side; fewer where there are fewer metrics."""
PANEL_INCHES, BETWEEN_INCHES, GUTTER_INCHES = 1.05, 0.52, 0.42
LEFT_INCHES, RIGHT_INCHES, BOTTOM_INCHES = 0.42, 0.14, 0.62
_INTERVAL = "95% interval, all items"
WIDEST_INCHES = 2.4
"""A single panel is not wider than this."""


@dataclass(frozen=True)
class MetricSizes:
    """One metric; its name ends in > or < where it is not symmetric.

    Values run over `n`, ascending, and are nan where so few items cannot be measured.
    """

    name: str
    n: tuple[int, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    """Over subsamples; nan at the last n, which is all items."""
    null_mean: tuple[float, ...]
    ci: tuple[float, float]
    """95% interval of the value at the last n."""
    closer: Literal["higher", "lower"] = "higher"


@dataclass(frozen=True)
class ScoreAgainstN:
    """Two arrays or models, a site of each, and their metrics."""

    names: tuple[str, str]
    sites: tuple[str, str]
    metrics: tuple[MetricSizes, ...]
    subsamples: int
    """Per n, at most."""


@register("figure", "score_against_n", data=ScoreAgainstN)
def score_against_n(data: ScoreAgainstN) -> tuple[Figure, list[Row]]:
    """The figure, one panel per metric on its own scale, and its table: one row per metric and n.

    Raises UsageError where there is no metric, or a metric's values are not one per n, ascending.
    """
    _check(data.metrics)
    across = min(ACROSS, len(data.metrics))
    down = math.ceil(len(data.metrics) / across)
    inside = FIGURE_WIDTH_INCHES - LEFT_INCHES - RIGHT_INCHES
    wide = min(WIDEST_INCHES, (inside - (across - 1) * GUTTER_INCHES) / across)
    title = wrap_text(_title(data), 5.3 * 72, FONT_SIZE_POINTS)
    below = wrap_text(_subtitle(data), 5.3 * 72)
    head = (10 + FONT_SIZE_POINTS * 1.25 * (title.count("\n") + 1) + LINE_POINTS * (below.count("\n") + 1)) / 72
    titles = [wrap_text(_panel_title(metric), (wide + 0.25) * 72, FONT_SIZE_POINTS) for metric in data.metrics]
    more = 0.13 * max(one.count("\n") for one in titles)
    top, between = head + 0.26 + more, BETWEEN_INCHES + more
    height = top + down * PANEL_INCHES + (down - 1) * between + BOTTOM_INCHES
    with paper():
        figure = new_figure(height)
        for place, metric in enumerate(data.metrics):
            row, column = divmod(place, across)
            left = LEFT_INCHES + column * (wide + GUTTER_INCHES)
            bottom = height - top - PANEL_INCHES - row * (PANEL_INCHES + between)
            axes = figure.add_axes(
                (
                    left / FIGURE_WIDTH_INCHES,
                    bottom / height,
                    wide / FIGURE_WIDTH_INCHES,
                    PANEL_INCHES / height,
                )
            )
            _panel(axes, metric, titles[place], wide)
            if place + across >= len(data.metrics):
                axes.set_xlabel("items (n)", labelpad=1.5)
        width = FIGURE_WIDTH_INCHES
        figure.text(0.1 / width, 1 - 6 / 72 / height, title, va="top", fontsize=FONT_SIZE_POINTS)
        y = 1 - (8 + FONT_SIZE_POINTS * 1.25 * (title.count("\n") + 1)) / 72 / height
        figure.text(0.1 / width, y, below, va="top", fontsize=SMALL_SIZE_POINTS, color=SOFT_INK, linespacing=1.2)
        _legend(figure, height)
        figure.canvas.draw()
    return figure, _table(data)


def _panel(axes: Axes, metric: MetricSizes, title: str, wide: float) -> None:
    import numpy as np
    from matplotlib.ticker import NullLocator

    look, null = ROLES["model"], ROLES["twin"]
    n, mean, sd = np.array(metric.n), np.array(metric.mean), np.array(metric.sd)
    low, high = metric.ci
    axes.set_xscale("log", base=2)
    axes.plot(n, metric.null_mean, color=null.colour, linestyle=null.line, linewidth=1.2, zorder=2)
    spread = np.nan_to_num(sd)  # all items are one sample: the band closes there
    axes.fill_between(n, mean - spread, mean + spread, color=look.colour, alpha=0.22, linewidth=0, zorder=3)
    axes.plot(n, mean, color=look.colour, marker=look.marker, markersize=3.2, zorder=5)
    if math.isfinite(low) and math.isfinite(high):
        axes.vlines(n[-1], low, high, color=look.colour, linewidth=1.6, zorder=4)
    edge = (n[-1] / n[0]) ** 0.08 if len(n) > 1 else 2.0
    axes.set_xlim(n[0] / edge, n[-1] * edge)
    names = [count(int(one)) for one in n]
    share = np.log(n / (n[0] / edge)) / np.log(n[-1] / n[0] * edge**2)
    at = readable_ticks([float(s) * wide * 72 for s in share], names)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks([n[i] for i in at], [names[i] for i in at])
    axes.locator_params(axis="y", nbins=5)
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.margins(y=0.12)
    axes.set_title(title, pad=3, linespacing=1.1)


def _panel_title(metric: MetricSizes) -> str:
    first = next((n for n, mean in zip(metric.n, metric.mean, strict=True) if math.isfinite(mean)), metric.n[-1])
    marks = [f"from n = {count(first)}"] if first > metric.n[0] else []
    marks += ["lower is closer"] if metric.closer == "lower" else []
    return f"{metric.name} ({'; '.join(marks)})" if marks else metric.name


def _legend(figure: Figure, height: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    look, null = ROLES["model"], ROLES["twin"]
    handles = [
        Line2D([], [], color=look.colour, marker=look.marker, markersize=3.2, label="mean over subsamples"),
        Patch(color=look.colour, alpha=0.22, linewidth=0, label="\N{PLUS-MINUS SIGN} SD"),
        Line2D([], [], color=look.colour, linestyle="", marker="|", markersize=9, markeredgewidth=1.6, label=_INTERVAL),
        Line2D([], [], color=null.colour, linestyle=null.line, label="null at the same n"),
    ]
    legend_below(figure, handles, 0.24 / height, ncols=4, labelcolor=INK, columnspacing=1.2, handlelength=1.8)


def _title(data: ScoreAgainstN) -> str:
    (a, b), (site_a, site_b) = data.names, data.sites
    return f"{a} ({site_a}) and {b} ({site_b}): score against n"


def _subtitle(data: ScoreAgainstN) -> str:
    text = (
        f"n = {count(max(m.n[-1] for m in data.metrics))} items; smaller n: {data.subsamples} subsamples each, which overlap, "
        "so their SD is no standard error"
    )
    asking = any(metric.name.endswith((" >", " <")) for metric in data.metrics)
    return f"{text}; > the first asks about the second, < the other way round" if asking else text


def _check(metrics: tuple[MetricSizes, ...]) -> None:
    if not metrics:
        raise UsageError("score against n needs at least one metric")
    for metric in metrics:
        lengths = {len(metric.n), len(metric.mean), len(metric.sd), len(metric.null_mean)}
        if len(lengths) > 1 or not metric.n or list(metric.n) != sorted(set(metric.n)):
            raise UsageError(f"score against n of {metric.name}: one value for each n, ascending, is needed")


def _table(data: ScoreAgainstN) -> list[Row]:
    return [
        {
            "a": data.names[0],
            "b": data.names[1],
            "site_a": data.sites[0],
            "site_b": data.sites[1],
            "metric": metric.name,
            "closer": metric.closer,
            "n": n,
            "mean": mean,
            "sd": sd,
            "null_mean": null,
            "ci_low": metric.ci[0] if n == metric.n[-1] else math.nan,
            "ci_high": metric.ci[1] if n == metric.n[-1] else math.nan,
        }
        for metric in data.metrics
        for n, mean, sd, null in zip(metric.n, metric.mean, metric.sd, metric.null_mean, strict=True)
    ]
