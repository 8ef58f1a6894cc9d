"""Points of one space drawn twice, side by side: what the figures of a projection share.

Kinds of points are drawn one over the other, most important last; a few are named where a name covers nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from conceptprobe.report.labels import LINE_POINTS, legend_below, text_width, wrap_text
from conceptprobe.report.numbers import count
from conceptprobe.report.style import (
    FIGURE_WIDTH_INCHES,
    FONT_SIZE_POINTS,
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
    from matplotlib.lines import Line2D

    from conceptprobe.report.save import Row

PANEL_INCHES, MARGIN_INCHES, BETWEEN_INCHES = 2.45, 0.2, 0.2
LEGEND_INCHES = 0.17


@dataclass(frozen=True)
class Kind:
    """How points of one kind look, and what the legend calls them."""

    legend: str
    colour: str
    marker: str = "o"
    size: float = 16.0
    """Area in square points."""
    crowd: bool = False
    """Behind the others and without an edge; a name may cover it."""


@dataclass(frozen=True)
class Maps:
    """One space laid out twice, row by row the same points. Pictures: no statistic comes from either."""

    umap: Float[np.ndarray, "n 2"]
    pca: Float[np.ndarray, "n 2"]
    seed: int
    n_neighbors: int
    min_dist: float
    metric: str = "cosine"
    pca_shares: tuple[float, float] | None = None
    """Share of variance of the two components; shown where known."""

    def lay_out(self, n: int) -> bool:
        """Whether both hold n points, one or more."""
        return n > 0 and self.umap.shape == self.pca.shape == (n, 2)

    @property
    def panels(self) -> tuple[tuple[Float[np.ndarray, "n 2"], str], ...]:
        """Coordinates and what they are called."""
        shares = " and ".join(f"{100 * share:.0f}%" for share in self.pca_shares or ())
        return (self.umap, "UMAP"), (self.pca, f"PCA ({shares} of the variance)" if shares else "PCA")

    @property
    def method(self) -> str:
        """`UMAP: seed 0, 15 neighbours, minimum distance 0.1, cosine distance`."""
        return (
            f"UMAP: seed {self.seed}, {self.n_neighbors} neighbours, minimum distance {self.min_dist:g}, "
            f"{self.metric} distance"
        )

    def columns(self) -> list[Row]:
        """The coordinates of each point, as a table has them."""
        return [
            {"umap_1": float(u[0]), "umap_2": float(u[1]), "pca_1": float(c[0]), "pca_2": float(c[1])}
            for u, c in zip(self.umap, self.pca, strict=True)
        ]


ONLY_PICTURES = "Pictures only: both distort distances, and no statistic comes from them."


@dataclass(frozen=True)
class Clouds:
    """The points, row by row: `kind` is a key of `kinds`, whose order is that of drawing."""

    title: str
    caption: str
    kinds: dict[str, Kind]
    kind: tuple[str, ...]
    panels: tuple[tuple[Float[np.ndarray, "n 2"], str], ...]
    """Coordinates and what they are called."""
    named: tuple[tuple[int, str], ...] = ()
    """(row, name) of points to be named, most important first; those without room are left out."""


def draw_clouds(data: Clouds, legend: Sequence[Sequence[tuple[Kind, int]]]) -> Figure:
    """One panel per set of coordinates. `legend`: lines of (kind, number of points; 0 where it has none to tell)."""
    caption = wrap_text(data.caption, (FIGURE_WIDTH_INCHES - 2 * MARGIN_INCHES) * 72)
    foot = (LINE_POINTS * (caption.count("\n") + 1) + 12) / 72 + LEGEND_INCHES * len(legend)
    title = wrap_text(data.title, 5.1 * 72, FONT_SIZE_POINTS)
    head = (FONT_SIZE_POINTS * 1.25 * (title.count("\n") + 2) + 12) / 72
    height = head + PANEL_INCHES + foot
    many = len(data.panels)
    side = (FIGURE_WIDTH_INCHES - 2 * MARGIN_INCHES - (many - 1) * BETWEEN_INCHES) / many
    with paper():
        figure = new_figure(height)
        width = FIGURE_WIDTH_INCHES
        for i, (points, name) in enumerate(data.panels):
            left = MARGIN_INCHES + i * (side + BETWEEN_INCHES)
            axes = figure.add_axes((left / width, foot / height, side / width, PANEL_INCHES / height))
            _scatter(axes, data, points)
            axes.set_title(name, fontsize=SMALL_SIZE_POINTS)
            _name_points(axes, data, points, side)
        figure.text(MARGIN_INCHES / width, 1 - 6 / 72 / height, title, va="top", fontsize=FONT_SIZE_POINTS)
        _legend(figure, legend, foot / height)
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
    return figure


def _scatter(axes: Axes, data: Clouds, points: Float[np.ndarray, "n 2"]) -> None:
    import numpy as np

    kinds = np.array(data.kind)
    for name, look in data.kinds.items():
        here = points[kinds == name]
        if not len(here):
            continue
        axes.scatter(
            here[:, 0],
            here[:, 1],
            s=look.size,
            marker=look.marker,
            color=look.colour,
            edgecolors="none" if look.crowd else "white",
            linewidths=0 if look.crowd else 0.4,
            zorder=3,
        )
    axes.margins(0.06)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color("#BBBBBB")


def _name_points(axes: Axes, data: Clouds, points: Float[np.ndarray, "n 2"], side: float) -> None:
    """Write names where they cover neither each other nor a point of note, on one of four sides of their own."""
    import numpy as np

    axes.autoscale_view()
    low, high = np.array([axes.get_xlim(), axes.get_ylim()]).T
    size = np.array([side, PANEL_INCHES]) * 72
    at = (points - low) / (high - low) * size
    of_note = at[[not data.kinds[kind].crowd for kind in data.kind]]
    taken: list[tuple[float, float, float, float]] = []
    for row, name in data.named:
        x, y = at[row]
        wide, tall = text_width(name), SMALL_SIZE_POINTS
        for dx, dy in ((4, -tall / 2), (-4 - wide, -tall / 2), (-wide / 2, 4), (-wide / 2, -4 - tall)):
            box = (x + dx, y + dy, x + dx + wide, y + dy + tall)
            inside = box[0] >= 1 and box[1] >= 1 and box[2] <= size[0] - 1 and box[3] <= size[1] - 1
            if inside and not any(_touch(box, other) for other in taken) and not _covers(box, of_note):
                taken.append(box)
                axes.annotate(
                    name,
                    (x + dx, y + dy),
                    xycoords="axes points",
                    fontsize=SMALL_SIZE_POINTS,
                    va="bottom",
                    zorder=5,
                    parse_math=False,
                )
                break


def _touch(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] + 2 and b[0] < a[2] + 2 and a[1] < b[3] + 1 and b[1] < a[3] + 1


def _covers(box: Sequence[float], points: Float[np.ndarray, "n 2"]) -> bool:
    low, high = (box[0] - 2.0, box[1] - 2.0), (box[2] + 2.0, box[3] + 2.0)
    return bool(((points > low) & (points < high)).all(axis=1).any())


def _legend(figure: Figure, lines: Sequence[Sequence[tuple[Kind, int]]], top: float) -> None:
    # matplotlib fills a legend column by column
    columns = [entry for column in zip_longest(*lines) for entry in column if entry is not None]
    handles = [_handle(kind, f"{kind.legend} ({count(many)})" if many else kind.legend) for kind, many in columns]
    legend_below(
        figure,
        handles,
        top,
        ncols=max(map(len, lines)),
        handletextpad=0.2,
        columnspacing=1.2,
        borderaxespad=0.3,
    )


def _handle(kind: Kind, label: str) -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D(
        [],
        [],
        linestyle="none",
        marker=kind.marker,
        markersize=1.12 * kind.size**0.5,
        color=kind.colour,
        markeredgewidth=0,
        label=label,
    )
