"""The maximum statistic over a map (Westfall & Young 1993; Nichols & Holmes 2002): which cells stand out among all.

Every cell of a map (a site of one model and one of another) has its own scale, so each is standardised by its own null. A draw
renames the items once for all cells, keeps their dependence, and counts with the largest of its standardised values: a cell
survives where it exceeds what the best cell of a map of nothing reaches. The chance of any false survivor is at most the level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.errors import TooFewRows, UsageError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

FAMILY_WISE = 0.05
"""A cell survives where its p over the whole map is below this."""
_TIE = 1e-9
"""Relative difference below which two standardised values are equal: they went through different sums."""
_STILL = 1e-12
"""Spread, relative to the values, that rounding alone gives to draws that are all equal."""


@dataclass(frozen=True)
class MaxStatistic:
    """Of every cell of a map, in the map's shape; nan where a cell was not measured.

    z: (value - mean of its null) / SD of its null; p: add-one, over the whole map.
    """

    z: Float[np.ndarray, "..."]
    p: Float[np.ndarray, "..."]

    @property
    def survives(self) -> Bool[np.ndarray, "..."]:
        """Cells that stand out from the best cell of a map of nothing, at 5% for the whole map."""
        return survives(self.p)


def survives(p: Float[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
    """Which p over a whole map are small enough; never where there is none."""
    return np.nan_to_num(p, nan=1.0) < FAMILY_WISE


def max_statistic(value: Float[np.ndarray, "..."], null: Float[np.ndarray, "draws ..."]) -> MaxStatistic:
    """z and family-wise p of each cell. Large values speak against the null: turn the sign of a distance first.

    value: the map; null: the map under each draw, the same draw for all cells. A cell with a value or draw that is not a number
    is left out. Where the draws of a cell do not vary, z is 0 or infinite.

    For p, the observed map is standardised together with the draws, as one of them. Standardising by the draws alone would
    favour it, because only they are inside their own mean and SD; together they are exchangeable, and p is exact at any
    number of draws. Raises UsageError where the shapes differ, TooFewRows below two draws.
    """
    value, null = np.asarray(value, dtype=np.float64), np.asarray(null, dtype=np.float64)
    if null.shape[1:] != value.shape:
        raise UsageError(f"a map of shape {value.shape} cannot be compared with draws of shape {null.shape[1:]}")
    if len(null) < 2:
        raise TooFewRows(f"{len(null)} draws have no spread: a maximum statistic needs two or more")
    cells = np.concatenate([value.reshape(1, -1), null.reshape(len(null), -1)])
    z, p = np.full(value.size, np.nan), np.full(value.size, np.nan)
    measured = np.isfinite(cells).all(axis=0)
    own = cells[:, measured]
    if own.size:
        z[measured] = _standardised(own[:1], own[1:])[0]
        together = _standardised(own, own)
        highest = np.sort(together[1:].max(axis=1))
        observed = together[0] - _TIE * np.maximum(1.0, np.abs(together[0]))
        reached = len(highest) - np.searchsorted(highest, observed, side="left")
        p[measured] = (1 + reached) / (1 + len(highest))
    return MaxStatistic(z.reshape(value.shape), p.reshape(value.shape))


def _standardised(x: Float[np.ndarray, "rows cells"], draws: Float[np.ndarray, "draws cells"]) -> np.ndarray:
    """(x - mean) / SD of the draws; where those do not vary, 0 or infinite."""
    away, spread = x - draws.mean(axis=0), draws.std(axis=0)
    rounding = _STILL * np.maximum(np.abs(draws).max(axis=0), 1e-300)
    away = np.where(np.abs(away) <= rounding, 0.0, away)
    still = spread <= rounding
    return np.where(still, np.where(away == 0.0, 0.0, np.copysign(np.inf, away)), away / np.where(still, 1.0, spread))
