"""Two pictures of one space, UMAP and PCA: where terms lie. No statistic comes from either, and the figure says so.

Coordinates come from `report.projection` and are given from outside, so that a picture is drawn again without fitting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from conceptprobe.errors import UsageError
from conceptprobe.registry import register
from conceptprobe.report.clouds import Clouds, Kind, draw_clouds
from conceptprobe.report.numbers import count
from conceptprobe.report.style import ROLES

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float
    from matplotlib.figure import Figure

    from conceptprobe.report.save import Row

KINDS = {
    "background": Kind("background words", ROLES["background"].colour, size=4.0, crowd=True),
    "far": Kind("far controls", ROLES["far"].colour, ROLES["far"].marker),
    "near": Kind("near controls", ROLES["near"].colour, ROLES["near"].marker),
    "positive": Kind("terms of the concept", ROLES["target"].colour, ROLES["target"].marker),
}
"""Role of a row -> its look, in the order of drawing: the concept on top."""


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
    if unknown := sorted(set(data.roles) - set(KINDS)):
        raise UsageError(f"projection: no role is called {unknown[0]!r}; roles are {', '.join(reversed(KINDS))}")
    shares = " and ".join(f"{100 * share:.0f}%" for share in data.pca_shares or ())
    used = {role: kind for role, kind in KINDS.items() if role in data.roles}
    clouds = Clouds(
        title=f"{data.concept} in {data.model} at {data.site}",
        caption=_caption(data),
        kinds=used,
        kind=data.roles,
        panels=((data.umap, "UMAP"), (data.pca, f"PCA ({shares} of the variance)" if shares else "PCA")),
        named=tuple((data.names.index(name), name) for name in data.named if name in data.names),
    )
    figure = draw_clouds(clouds, [[(KINDS[role], data.roles.count(role)) for role in reversed(used)]])
    return figure, _table(data)


def _caption(data: Projection) -> str:
    return (
        f"UMAP: seed {data.seed}, {data.n_neighbors} neighbours, minimum distance {data.min_dist:g}, {data.metric} "
        f"distance; n = {count(len(data.names))} words, each the mean over its templates; the marker tells "
        "its tier, and all of it is text. Pictures only: both distort distances, and no statistic comes from them."
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
