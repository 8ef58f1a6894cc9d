"""Two pictures of one space, UMAP and PCA: where terms lie. No statistic comes from either, and the figure says so.

Coordinates come from `report.projection` and are given from outside, so that a picture is drawn again without fitting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conceptprobe.errors import UsageError
from conceptprobe.registry import register
from conceptprobe.report.labels import LINE_POINTS, text_width, wrap_text
from conceptprobe.report.numbers import count
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

PANEL_INCHES, MARGIN_INCHES, BETWEEN_INCHES = 2.45, 0.2, 0.2
ROLE_ORDER = {"background": "background", "far": "far", "near": "near", "positive": "target"}
"""Role of a row -> role of the palette, in the order of drawing: the concept on top."""
LEGEND = {
    "positive": "terms of the concept",
    "near": "near controls",
    "far": "far controls",
    "background": "background words",
}


@dataclass(frozen=True)
class Projection:
    """Rows are terms (averaged over templates) and background words of one model at one site."""

    concept: str
    model: str
    site: str
    names: tuple[str, ...]
    roles: tuple[str, ...]
    """`positive`, `near`, `far` or `background`."""
    umap: Float[np.ndarray, "n 2"]
    pca: Float[np.ndarray, "n 2"]
    seed: int
    n_neighbors: int
    min_dist: float
    metric: str = "cosine"
    pca_shares: tuple[float, float] | None = None
    """Share of variance of the two components; shown where known."""
    named: tuple[str, ...] = ()
    """Terms to be written beside their points, most important first; those without room are left out."""


@register("figure", "projection", data=Projection)
def projection(data: Projection) -> tuple[Figure, list[Row]]:
    """The figure and its table: per row its name, role and both pairs of coordinates.

    Raises UsageError when names, roles and coordinates differ in number, or a role is none of the four.
    """
    n = len(data.names)
    if len(data.roles) != n or data.umap.shape != (n, 2) or data.pca.shape != (n, 2) or not n:
        shapes = f"{data.umap.shape} and {data.pca.shape}"
        raise UsageError(f"projection: {n} names, {len(data.roles)} roles, {shapes} coordinates")
    if unknown := sorted(set(data.roles) - set(ROLE_ORDER)):
        raise UsageError(f"projection: no role is called {unknown[0]!r}; roles are {', '.join(LEGEND)}")
    caption = wrap_text(_caption(data), (FIGURE_WIDTH_INCHES - 2 * MARGIN_INCHES) * 72)
    foot = (LINE_POINTS * (caption.count("\n") + 1) + 26) / 72
    title = wrap_text(f"{data.concept} in {data.model} at {data.site}", 5.1 * 72, FONT_SIZE_POINTS)
    head = (FONT_SIZE_POINTS * 1.25 * (title.count("\n") + 2) + 12) / 72
    height = head + PANEL_INCHES + foot
    side = (FIGURE_WIDTH_INCHES - 2 * MARGIN_INCHES - BETWEEN_INCHES) / 2
    shares = " and ".join(f"{100 * share:.0f}%" for share in data.pca_shares or ())
    panels = ((data.umap, "UMAP"), (data.pca, f"PCA ({shares} of the variance)" if shares else "PCA"))
    with paper():
        figure = new_figure(height)
        width = FIGURE_WIDTH_INCHES
        for i, (points, name) in enumerate(panels):
            left = MARGIN_INCHES + i * (side + BETWEEN_INCHES)
            axes = figure.add_axes((left / width, foot / height, side / width, PANEL_INCHES / height))
            _scatter(axes, data, points)
            axes.set_title(name, fontsize=SMALL_SIZE_POINTS)
            _name_points(axes, data, points, side)
        figure.text(MARGIN_INCHES / width, 1 - 6 / 72 / height, title, va="top", fontsize=FONT_SIZE_POINTS)
        _legend(figure, data, foot / height)
        figure.text(
            MARGIN_INCHES / width,
            5 / 72 / height,
            caption,
            va="bottom",
            fontsize=SMALL_SIZE_POINTS,
            color=SOFT_INK,
            linespacing=1.15,
        )
        figure.canvas.draw()
    return figure, _table(data)


def _scatter(axes: Axes, data: Projection, points: Float[np.ndarray, "n 2"]) -> None:
    import numpy as np

    roles = np.array(data.roles)
    for role, name in ROLE_ORDER.items():
        look, here = ROLES[name], points[roles == role]
        if not len(here):
            continue
        small = role == "background"
        axes.scatter(
            here[:, 0],
            here[:, 1],
            s=4 if small else 16,
            marker="o" if small else look.marker,
            color=look.colour,
            edgecolors="none" if small else "white",
            linewidths=0 if small else 0.4,
            zorder=3,
        )
    axes.margins(0.06)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color("#BBBBBB")


def _name_points(axes: Axes, data: Projection, points: Float[np.ndarray, "n 2"], side: float) -> None:
    """Write names where they cover neither each other nor a coloured point, on one of four sides of their own."""
    import numpy as np

    axes.autoscale_view()
    low, high = np.array([axes.get_xlim(), axes.get_ylim()]).T
    size = np.array([side, PANEL_INCHES]) * 72
    at = (points - low) / (high - low) * size
    coloured = at[np.array(data.roles) != "background"]
    taken: list[tuple[float, float, float, float]] = []
    for name in data.named:
        if name not in data.names:
            continue
        x, y = at[data.names.index(name)]
        wide, tall = text_width(name), SMALL_SIZE_POINTS
        for dx, dy in ((4, -tall / 2), (-4 - wide, -tall / 2), (-wide / 2, 4), (-wide / 2, -4 - tall)):
            box = (x + dx, y + dy, x + dx + wide, y + dy + tall)
            inside = box[0] >= 1 and box[1] >= 1 and box[2] <= size[0] - 1 and box[3] <= size[1] - 1
            if inside and not any(_touch(box, other) for other in taken) and not _covers(box, coloured):
                taken.append(box)
                axes.annotate(
                    name, (x + dx, y + dy), xycoords="axes points", fontsize=SMALL_SIZE_POINTS, va="bottom", zorder=5
                )
                break


def _touch(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] + 2 and b[0] < a[2] + 2 and a[1] < b[3] + 1 and b[1] < a[3] + 1


def _covers(box: Sequence[float], points: Float[np.ndarray, "n 2"]) -> bool:
    low, high = (box[0] - 2.0, box[1] - 2.0), (box[2] + 2.0, box[3] + 2.0)
    return bool(((points > low) & (points < high)).all(axis=1).any())


def _legend(figure: Figure, data: Projection, foot: float) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for role, text in LEGEND.items():
        if many := data.roles.count(role):
            look = ROLES[ROLE_ORDER[role]]
            marker, size = ("o", 2.2) if role == "background" else (look.marker, 4.5)
            handles.append(
                Line2D(
                    [],
                    [],
                    linestyle="none",
                    marker=marker,
                    markersize=size,
                    color=look.colour,
                    markeredgewidth=0,
                    label=f"{text} ({count(many)})",
                )
            )
    figure.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, foot),
        ncols=len(handles),
        handletextpad=0.2,
        columnspacing=1.2,
        borderaxespad=0.3,
    )


def _caption(data: Projection) -> str:
    return (
        f"UMAP: seed {data.seed}, {data.n_neighbors} neighbours, minimum distance {data.min_dist:g}, {data.metric} "
        f"distance; n = {count(len(data.names))} words, each the mean over its templates. Pictures only: both distort "
        "distances, and no statistic comes from them."
    )


def _table(data: Projection) -> list[Row]:
    return [
        {
            "name": name,
            "role": role,
            "umap_1": float(u[0]),
            "umap_2": float(u[1]),
            "pca_1": float(c[0]),
            "pca_2": float(c[1]),
        }
        for name, role, u, c in zip(data.names, data.roles, data.umap, data.pca, strict=True)
    ]
