"""Held-out scores of any probe: on the folds of a design, with the space of every cell given beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.probes.base import Probe
from conceptprobe.stats.design import Cell, Design
from conceptprobe.threads import two_at_a_time

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def held_out_scores(
    probe: Probe,
    spaces: Mapping[str, Float[np.ndarray, "n ..."]],
    chosen: Sequence[Sequence[str]],
    design: Design,
    labels: Int[np.ndarray, "draws items"],
) -> Float[np.ndarray, "draws items"]:
    """Scores of each item from the cells that hold it out, centred in each cell, averaged over the item's rows.

    Cell (f, t), the f-th fold of units by the t-th of templates, uses space `chosen[f][t]` for every labelling; labels are
    +-1 and row 0 is the observed one. Spaces are [n, d], or [n, tokens, d] for a probe over positions. The probe itself is
    not changed. Costs one `relabelled` per cell, two cells at a time.
    """
    folds = np.unique(design.fold)
    parts = np.unique(design.template_fold)
    scores = np.zeros(labels.shape)

    def read(cell: Cell) -> tuple[Int[np.ndarray, " m"], Float[np.ndarray, "m draws"]]:
        f, t = int(np.searchsorted(folds, cell.fold)), int(np.searchsorted(parts, cell.template_fold))
        x = spaces[chosen[f][t]]
        train, test = np.flatnonzero(design.train_rows(cell)), np.flatnonzero(design.test_rows(cell))
        return design.item[test], probe.relabelled(x[train], x[test], labels[:, design.item[train]]).T

    for items, decisions in two_at_a_time(read, design.cells):
        np.add.at(scores.T, items, decisions - decisions.mean(axis=0))
    return scores / np.bincount(design.item)
