"""Two pictures of one space, UMAP and PCA: where terms lie. No statistic comes from either, and the figure says so.

Coordinates come from `report.projection` and are given from outside, so that a picture is drawn again without fitting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from conceptprobe.errors import UsageError
from conceptprobe.registry import register
from conceptprobe.report.clouds import ONLY_PICTURES, Clouds, Kind, Maps, draw_clouds
from conceptprobe.report.numbers import count
from conceptprobe.report.style import ROLES

if TYPE_CHECKING:
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
    maps: Maps
    named: tuple[str, ...] = ()
    """Terms to be written beside their points, most important first; those without room are left out."""


@register("figure", "projection", data=Projection)
def projection(data: Projection) -> tuple[Figure, list[Row]]:
    """The figure and its table: per row its name, role and both pairs of coordinates.

    Raises UsageError when names, roles and coordinates differ in number, or a role is none of the four.
    """
    n = len(data.names)
    if len(data.roles) != n or not data.maps.lay_out(n):
        shapes = f"{data.maps.umap.shape} and {data.maps.pca.shape}"
        raise UsageError(f"projection: {n} names, {len(data.roles)} roles, {shapes} coordinates")
    if unknown := sorted(set(data.roles) - set(KINDS)):
        raise UsageError(f"projection: no role is called {unknown[0]!r}; roles are {', '.join(reversed(KINDS))}")
    used = {role: kind for role, kind in KINDS.items() if role in data.roles}
    clouds = Clouds(
        title=f"{data.concept} in {data.model} at {data.site}",
        caption=_caption(data),
        kinds=used,
        kind=data.roles,
        panels=data.maps.panels,
        named=tuple((data.names.index(name), name) for name in data.named if name in data.names),
    )
    figure = draw_clouds(clouds, [[(KINDS[role], data.roles.count(role)) for role in reversed(used)]])
    return figure, _table(data)


def _caption(data: Projection) -> str:
    return (
        f"{data.maps.method}; n = {count(len(data.names))} words, each the mean over its templates; the marker tells "
        f"its tier, and all of it is text. {ONLY_PICTURES}"
    )


def _table(data: Projection) -> list[Row]:
    rows = zip(data.names, data.roles, data.maps.columns(), strict=True)
    return [{"name": name, "role": role, **coordinates} for name, role, coordinates in rows]
