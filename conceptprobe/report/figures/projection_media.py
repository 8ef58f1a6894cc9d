"""Captions and pictures in the space that a joint model was trained to put both in: UMAP and PCA, pictures only.

The marker tells the modality, the colour what the concept file calls it. Coordinates come from `report.projection`.
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

ROLE_NAMES = {"background": "of the background", "control": "of controls", "concept": "of the concept"}
"""In the order of drawing: the concept on top."""
MODALITIES = {"text": ("captions", "o"), "image": ("pictures", "s")}


def _kind(role: str, modality: str) -> Kind:
    colour = ROLES[{"concept": "target", "control": "near"}.get(role, role)].colour
    what, marker = MODALITIES[modality]
    crowd = role == "background"
    return Kind(f"{what} {ROLE_NAMES[role]}", colour, marker, 7.0 if crowd else 18.0, crowd)


KINDS = {f"{role} {modality}": _kind(role, modality) for role in ROLE_NAMES for modality in MODALITIES}


@dataclass(frozen=True)
class ProjectionMedia:
    """Rows are captions and pictures as one model puts them into its joint space."""

    concept: str
    model: str
    names: tuple[str, ...]
    roles: tuple[str, ...]
    """`concept`, `control` or `background`."""
    modalities: tuple[str, ...]
    """`text` or `image`."""
    maps: Maps
    named: tuple[int, ...] = ()
    """Rows whose names are written beside their points, most important first; those without room are left out."""


@register("figure", "projection_media", data=ProjectionMedia)
def projection_media(data: ProjectionMedia) -> tuple[Figure, list[Row]]:
    """The figure and its table: per row its name, role, modality and both pairs of coordinates.

    Raises UsageError when columns differ in length, or a role or modality is not known.
    """
    n = len(data.names)
    if {len(data.roles), len(data.modalities)} != {n} or not data.maps.lay_out(n):
        raise UsageError(f"projection of media: {n} names, and not as many roles, modalities and coordinates")
    kind = tuple(f"{role} {modality}" for role, modality in zip(data.roles, data.modalities, strict=True))
    if unknown := sorted(set(kind) - set(KINDS)):
        raise UsageError(f"projection of media: no points are called '{unknown[0]}'; there are {', '.join(KINDS)}")
    clouds = Clouds(
        title=f"{data.concept}: captions and pictures in the joint space of {data.model}",
        caption=_caption(data),
        kinds=KINDS,
        kind=kind,
        panels=data.maps.panels,
        named=tuple((row, data.names[row]) for row in data.named),
    )
    lines = [[f"{role} {modality}" for role in reversed(ROLE_NAMES)] for modality in MODALITIES]
    legend = [[(KINDS[name], kind.count(name)) for name in line if name in kind] for line in lines]
    return draw_clouds(clouds, [line for line in legend if line]), _table(data)


def _caption(data: ProjectionMedia) -> str:
    return (
        f"Site pooled, rows at unit length less the mean of their modality: the two halves of such a model lie apart, and "
        f"the step between them would be all there is to see. {data.maps.method}; "
        f"n = {count(data.modalities.count('text'))} captions and {count(data.modalities.count('image'))} pictures. "
        f"{ONLY_PICTURES}"
    )


def _table(data: ProjectionMedia) -> list[Row]:
    rows = zip(data.names, data.roles, data.modalities, data.maps.columns(), strict=True)
    return [
        {"name": name, "role": role, "modality": modality, **coordinates} for name, role, modality, coordinates in rows
    ]
