"""Windows of units: cross-fitting in which every probe, of a large concept or of a small one, learns from as many units.

The units stand on a circle in a random order. Each cell trains on a window of so many neighbours and tests on all others; the
windows start at equal distances, so every unit is trained and tested on about equally often. Five windows of eight units are
5-fold cross-validation of ten units, and of twenty-four they test sixteen with probes that learnt from no more than eight.
An AUROC compares items of one cell only: probes of different cells have different offsets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.errors import TooFewRows
from conceptprobe.stats.auroc import auroc

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Windows:
    """Items with labels +1 (the concept) and -1 (its controls), their units 0.., and which items each cell trains on."""

    label: Int[np.ndarray, " items"]
    unit: Int[np.ndarray, " items"]
    train: Bool[np.ndarray, "cells items"]

    @property
    def cells(self) -> int:
        """Number of windows."""
        return len(self.train)

    @property
    def n_units(self) -> int:
        """Number of units."""
        return int(self.unit.max()) + 1

    def auroc(
        self, scores: Float[np.ndarray, "... cells items"], labels: Int[np.ndarray, "draws items"] | None = None
    ) -> Float[np.ndarray, "..."]:
        """Share of the pairs of a positive and a control tested in one cell that the positive wins, over all cells.

        Scores of items that a cell trains on are not read. labels: one labelling per leading index of the scores; every
        labelling must give both classes to each cell's test (TooFewRows where it does not).
        """
        wins: np.ndarray | float = 0.0
        pairs: np.ndarray | float = 0.0
        for cell, train in enumerate(self.train):
            label = (self.label if labels is None else labels)[..., ~train]
            positive = (label > 0).sum(axis=-1)
            met = positive * (label.shape[-1] - positive)
            wins, pairs = wins + auroc(scores[..., cell, ~train], label) * met, pairs + met
        return np.asarray(wins / pairs)

    def auroc_without_each_unit(self, scores: Float[np.ndarray, "cells items"]) -> Float[np.ndarray, " units"]:
        """The AUROC of the observed labels with each unit left out of all tests, for a jackknife."""
        positive, control = np.flatnonzero(self.label > 0), np.flatnonzero(self.label < 0)
        tested = ~self.train
        met = (tested[:, positive, None] & tested[:, None, control]).astype(np.float64)
        first, second = scores[:, positive, None], scores[:, None, control]
        won = (met * ((first > second) + 0.5 * (first == second))).sum(axis=0)
        met = met.sum(axis=0)
        of_positive = np.eye(self.n_units)[self.unit[positive]]
        of_control = np.eye(self.n_units)[self.unit[control]]

        def without(table: np.ndarray) -> np.ndarray:
            taken = of_positive.T @ table.sum(axis=1) + of_control.T @ table.sum(axis=0)
            kept: np.ndarray = table.sum() - taken + np.einsum("pu,pc,cu->u", of_positive, table, of_control)
            return kept

        left = without(met)
        if np.any(left <= 0):
            raise TooFewRows("an AUROC without one of the units has no pair of a positive and a control")
        return without(won) / left


def make_windows(
    label: Int[np.ndarray, " items"],
    unit: Int[np.ndarray, " items"],
    train_units: int,
    cells: int,
    rng: np.random.Generator,
) -> Windows:
    """Windows of `train_units` units; units are codes 0.. without gaps, each with both classes.

    Raises TooFewRows where fewer than two units are left to test.
    """
    n = int(unit.max()) + 1
    if n < train_units + 2:
        raise TooFewRows(f"{n} units leave fewer than 2 to test a probe on that learnt from {train_units}")
    place = rng.permutation(n)
    starts = np.floor(np.arange(cells) * n / cells).astype(np.int64)
    inside = (place[None, :] - starts[:, None]) % n < train_units
    return Windows(np.asarray(label), np.asarray(unit), inside[:, unit])
