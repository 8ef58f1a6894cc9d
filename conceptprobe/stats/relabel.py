"""The exchange of labels: what may be relabelled if features said nothing about labels, given the units.

The hypothesis is always that, given the units, features say nothing about labels. What may then be exchanged depends on
what the units hold: every unit as many positives as controls, one class only, or any mixture of both. Labels never leave
their fold: folds are stratified by class, and a draw that were less balanced than the data would be another experiment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from conceptprobe.stats.design import Design

if TYPE_CHECKING:
    from jaxtyping import Int

Exchange = Literal["flip", "between", "within"]
"""flip: all labels of a unit change sign together; between: labels move among units of one fold and size; within: labels
are permuted inside each unit that holds both classes, and move as in `between` among the others."""


@dataclass(frozen=True)
class Freedom:
    """How far an exchange can move the labels. free: share of items whose label can change at all; labellings: how many
    different labellings there are, as a base-10 logarithm (inf is never reached)."""

    free: float
    labellings: float


def exchange_of(design: Design) -> Exchange:
    """The exchange that is exact for the design's units."""
    positive, control = _counts(design)
    if np.all(positive == control):
        return "flip"
    return "between" if np.all((positive == 0) | (control == 0)) else "within"


def exchanged_labels(design: Design, draws: int, rng: np.random.Generator) -> Int[np.ndarray, "draws items"]:
    """Labels under the null, one row a draw, by `exchange_of(design)`.

    Flipping a unit with unequal numbers would change the size of the classes, so that the draws would answer another
    question than the data: there labels are permuted inside the unit (Good 2005, Permutation, Parametric and Bootstrap
    Tests of Hypotheses, chapter 3, on blocks).
    """
    if exchange_of(design) == "flip":
        _, unit = np.unique(design.unit, return_inverse=True)
        sign = rng.integers(0, 2, size=(draws, int(unit.max()) + 1)) * 2 - 1
        return sign[:, unit] * design.label
    out = np.tile(design.label, (draws, 1))
    for rows in _mixed_units(design):
        out[:, rows] = rng.permuted(np.tile(design.label[rows], (draws, 1)), axis=1)
    for alike in _alike(design):
        moved = rng.permuted(np.tile(design.label[alike[:, 0]], (draws, 1)), axis=1)
        out[:, alike] = moved[:, :, None]
    return out


def freedom(design: Design) -> Freedom:
    """How far the exchange of this design can move its labels; sparse units or sizes that nobody shares leave little."""
    if exchange_of(design) == "flip":
        return Freedom(1.0, len(np.unique(design.unit)) * math.log10(2.0))
    free, labellings = 0, 0.0
    for rows in _mixed_units(design):
        free += len(rows)
        labellings += _choose(len(rows), int((design.label[rows] > 0).sum()))
    for alike in _alike(design):
        of_concept = int((design.label[alike[:, 0]] > 0).sum())
        if 0 < of_concept < len(alike):
            free += alike.size
            labellings += _choose(len(alike), of_concept)
    return Freedom(free / design.n_items, labellings)


def _mixed_units(design: Design) -> list[Int[np.ndarray, " size"]]:
    """Items of each unit that holds both classes."""
    return [rows for rows in _members(design) if np.unique(design.label[rows]).size == 2]


def _alike(design: Design) -> list[Int[np.ndarray, "units size"]]:
    """Items of one-class units, by fold and size: among these labels can move."""
    groups: dict[tuple[int, int], list[np.ndarray]] = {}
    for rows in _members(design):
        if np.unique(design.label[rows]).size == 1:
            groups.setdefault((int(design.fold[rows[0]]), len(rows)), []).append(rows)
    return [np.stack(units) for _, units in sorted(groups.items(), key=lambda group: group[0])]


def _members(design: Design) -> list[np.ndarray]:
    order = np.argsort(design.unit, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(design.unit[order])) + 1)


def _counts(design: Design) -> tuple[np.ndarray, np.ndarray]:
    _, position = np.unique(design.unit, return_inverse=True)
    return np.bincount(position, design.label > 0), np.bincount(position, design.label < 0)


def _choose(n: int, k: int) -> float:
    return (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)) / math.log(10.0)
