"""AUROC against depth: where in a model the concept can be read, against its null, its twins and static baselines.

One panel per trained model, one above the other, so that depths line up. The curve is a map: each site has its own
interval, and the headline, whose site is chosen inside training folds, is not the maximum of this curve.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conceptprobe.errors import UsageError
from conceptprobe.registry import register
from conceptprobe.report.labels import Label, column_points, label_above, label_right, readable_ticks, wrap_text
from conceptprobe.report.numbers import count
from conceptprobe.report.style import (
    FIGURE_WIDTH_INCHES,
    FONT_SIZE_POINTS,
    LANDMARK,
    ROLES,
    SOFT_INK,
    STATIC_INK,
    TWIN_INK,
    new_figure,
    paper,
)

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from conceptprobe.report.save import Row

PANEL_INCHES, TOP_INCHES, BETWEEN_INCHES, BOTTOM_INCHES = 1.8, 0.56, 1.0, 0.42
"""Least height of a panel, room above the first (three lines of text), between panels, and below the last."""
LOW_PANEL_INCHES, LOW_FROM = 1.25, 3
"""From so many models on panels may be this low: four of them are then a page."""
LEFT_INCHES, RIGHT_INCHES = 0.48, 1.4
"""Right of each panel stand the names of its lines."""
TITLE_INCHES = FIGURE_WIDTH_INCHES - LEFT_INCHES - 0.05


@dataclass(frozen=True)
class ModelCurve:
    """One trained model. Arrays run over `sites`, from shallow to deep."""

    name: str
    sites: tuple[str, ...]
    depth: Float[np.ndarray, " s"]
    """0 at `embed`, 1 at the deepest site; increasing."""
    auroc: Float[np.ndarray, " s"]
    low: Float[np.ndarray, " s"]
    """95% interval of the AUROC itself (not of an effect)."""
    high: Float[np.ndarray, " s"]
    null_low: Float[np.ndarray, " s"]
    """2.5% quantile of the permutation null at this site; nan where there is none."""
    null_high: Float[np.ndarray, " s"]
    """97.5% quantile."""
    twins: Float[np.ndarray, "t s"]
    """AUROC of t random twins at the same sites; t may be 0."""
    n: int
    units: int
    permutations: int
    baselines: tuple[tuple[str, float], ...] = ()
    """(name, AUROC) of static baselines on the same folds."""
    chosen: str = ""
    """The site chosen most often inside training folds; it gets a ring."""


@dataclass(frozen=True)
class DepthCurve:
    """The curves of one concept on one split."""

    concept: str
    split: str
    models: tuple[ModelCurve, ...]


@register("figure", "depth_curve", data=DepthCurve)
def depth_curve(data: DepthCurve) -> tuple[Figure, list[Row]]:
    """The figure and its table: one row per line and site; a baseline has no site.

    Raises UsageError when there is no model, a model's arrays do not match its sites, or depth does not increase.
    """
    _check(data.models)
    many = len(data.models)
    titles = [
        wrap_text(f"{data.concept} in {m.name}: {data.split}", TITLE_INCHES * 72, FONT_SIZE_POINTS) for m in data.models
    ]
    more = 0.14 * max(title.count("\n") for title in titles)
    top, between = TOP_INCHES + more, BETWEEN_INCHES + more
    names = [_labels(model) for model in data.models]
    panel = max(
        PANEL_INCHES if many < LOW_FROM else LOW_PANEL_INCHES,
        *(column_points(labels, RIGHT_INCHES) / 72 for labels in names),
    )
    height = top + many * panel + (many - 1) * between + BOTTOM_INCHES
    size = (1 - (LEFT_INCHES + RIGHT_INCHES) / FIGURE_WIDTH_INCHES, panel / height)
    with paper():
        figure = new_figure(height)
        for i, (model, title) in enumerate(zip(data.models, titles, strict=True)):
            bottom = height - top - panel - i * (panel + between)
            axes = figure.add_axes((LEFT_INCHES / FIGURE_WIDTH_INCHES, bottom / height, *size))
            axes.set_ylim(_limits(data.models))
            axes.set_title(title, pad=25)
            label_above(axes, _subtitle(model))
            _ticks(axes, model)
            _references(axes, model)
            _curve(axes, model)
            label_right(axes, names[i], RIGHT_INCHES)
        figure.canvas.draw()
    return figure, _table(data.models)


def _labels(model: ModelCurve) -> list[Label]:
    """Names of what is drawn, at the height where it leaves the panel."""
    short = model.name.rpartition("/")[2].partition("@")[0]  # the title has the full name
    labels = [Label(short, float(model.auroc[-1]), ROLES["model"].colour, bold=True)]
    labels += [Label(f"{name} {value:.2f}", value, STATIC_INK) for name, value in model.baselines]
    if len(model.twins):
        name = "random twin" if len(model.twins) == 1 else f"{len(model.twins)} random twins"
        labels.append(Label(name, float(model.twins[:, -1].mean()), TWIN_INK))
    if _has_null(model):
        labels.append(Label("null, 95%", float(model.null_low[-1] + model.null_high[-1]) / 2, SOFT_INK))
    return labels


def _references(axes: Axes, model: ModelCurve) -> None:
    """Null, baselines and twins: what the curve must stand out from."""
    twin, static, null = ROLES["twin"], ROLES["static"], ROLES["null"]
    axes.axhline(0.5, color=LANDMARK, linewidth=0.5, zorder=1)
    if _has_null(model):
        axes.fill_between(
            model.depth, model.null_low, model.null_high, color=null.colour, alpha=0.6, linewidth=0, zorder=0
        )
    best = max((value for _, value in model.baselines), default=0.0)
    for _, value in model.baselines:
        # only the best one, which has to be beaten, crosses the panel; a baseline has no depth
        start = 0.0 if value == best else 0.965
        axes.axhline(value, start, 1.0, color=static.colour, linestyle=static.line, linewidth=1.2, zorder=2)
    if len(model.twins):
        low, high = model.twins.min(axis=0), model.twins.max(axis=0)
        axes.fill_between(model.depth, low, high, color=twin.colour, alpha=0.2, linewidth=0, zorder=2)
    for row in model.twins:
        axes.plot(model.depth, row, color=twin.colour, linestyle=twin.line, linewidth=0.8, zorder=3)


def _curve(axes: Axes, model: ModelCurve) -> None:
    """The model's AUROC with its interval, and a ring at the chosen site."""
    look = ROLES["model"]
    axes.fill_between(model.depth, model.low, model.high, color=look.colour, alpha=0.22, linewidth=0, zorder=4)
    if len(model.sites) == 1:  # a band of one point has no width
        axes.vlines(model.depth, model.low, model.high, color=look.colour, linewidth=1.0, zorder=4)
    axes.plot(
        model.depth, model.auroc, color=look.colour, linestyle=look.line, marker=look.marker, zorder=5, clip_on=False
    )
    if model.chosen in model.sites:
        at = model.sites.index(model.chosen)
        axes.scatter(
            model.depth[at], model.auroc[at], s=64, facecolors="none", edgecolors=look.colour, zorder=6, clip_on=False
        )


def _has_null(model: ModelCurve) -> bool:
    return math.isfinite(float(model.null_low[-1]))


def _subtitle(model: ModelCurve) -> str:
    parts = ["blue band: 95% interval"]
    if _has_null(model):
        parts.append(f"grey band: 95% of {count(model.permutations)} permutations")
    if model.chosen in model.sites:
        parts.append("ring: site chosen in training folds")
    return f"n = {count(model.n)} rows, {count(model.units)} units per class\n{'; '.join(parts)}"


def _ticks(axes: Axes, model: ModelCurve) -> None:
    axes.set_ylabel("held-out AUROC")
    axes.set_xlim(-0.02, 1.02)
    names = [site.removeprefix("resid_post.") for site in model.sites]
    shortened = " (number i: resid_post.i)" if names != list(model.sites) else ""
    axes.set_xlabel(f"site, at its relative depth{shortened}")
    points = (FIGURE_WIDTH_INCHES - LEFT_INCHES - RIGHT_INCHES) * 72 / 1.04
    named = readable_ticks([float(depth) * points for depth in model.depth], names)
    axes.set_xticks(list(model.depth), [name if i in named else "" for i, name in enumerate(names)])


def _limits(models: Sequence[ModelCurve]) -> tuple[float, float]:
    """From the lowest thing drawn, rounded down to a tenth, to 1: one scale for all panels."""
    drawn = [0.5]
    for model in models:
        arrays = (model.auroc, model.low, model.null_low, model.twins.ravel(), [v for _, v in model.baselines])
        drawn += [float(v) for array in arrays for v in array if math.isfinite(v)]
    return max(0.0, math.floor(min(drawn) * 10 - 1e-9) / 10), 1.01


def _table(models: Sequence[ModelCurve]) -> list[Row]:
    rows: list[Row] = []
    for model in models:
        arrays = (model.depth, model.auroc, model.low, model.high, model.null_low, model.null_high)
        for site, *values in zip(model.sites, *arrays, strict=True):
            rows.append(_row(model, "trained", model.name, site, *map(float, values)))
        for t, twin in enumerate(model.twins):
            for site, depth, value in zip(model.sites, model.depth, twin, strict=True):
                rows.append(_row(model, "twin", f"twin {t}", site, float(depth), float(value)))
        rows += [_row(model, "static", name, "", math.nan, float(value)) for name, value in model.baselines]
    return rows


def _row(model: ModelCurve, kind: str, name: str, site: str, depth: float, auroc: float, *bounds: float) -> Row:
    low, high, null_low, null_high = bounds or (math.nan,) * 4
    return {
        "model": model.name,
        "kind": kind,
        "name": name,
        "site": site,
        "depth": depth,
        "auroc": auroc,
        "low": low,
        "high": high,
        "null_low": null_low,
        "null_high": null_high,
        "n": model.n,
        "units": model.units,
    }


def _check(models: Sequence[ModelCurve]) -> None:
    if not models:
        raise UsageError("a depth curve needs at least one trained model")
    for model in models:
        arrays = (model.depth, model.auroc, model.low, model.high, model.null_low, model.null_high)
        if any(len(array) != len(model.sites) for array in arrays) or model.twins.shape[1:] != (len(model.sites),):
            raise UsageError(f"depth curve of {model.name}: every array needs one value for each of its sites")
        if any(b <= a for a, b in zip(model.depth, model.depth[1:], strict=False)):
            raise UsageError(f"depth curve of {model.name}: sites must be in order of depth, no two at the same depth")
