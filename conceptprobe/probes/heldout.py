"""Held-out scores of any probe on the folds of a design, in spaces chosen beforehand or by every draw for itself.

Where the observed labels chose a space, every draw of a null has to choose its own: reading all draws where the observed
labels were read would leave the choice out of the null, and a p that leaves out a choice is too small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.probes.base import Probe
from conceptprobe.probes.crossfit import CrossFit
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
    """`scores_per_draw` where cell (f, t), the f-th fold of units by the t-th of templates, uses space `chosen[f][t]` for
    every labelling: right for spaces that no labels chose."""
    index = {name: i for i, name in enumerate(spaces)}
    cells = np.array([[index[name] for name in row] for row in chosen])
    choice = np.broadcast_to(cells[:, :, None], (*cells.shape, len(labels)))
    return scores_per_draw(probe, spaces, choice, design, labels)


def choice_of(crossfit: CrossFit, names: tuple[str, ...]) -> Int[np.ndarray, "folds template_folds draws"]:
    """Index in `names` of the space that inner folds choose, per test cell and draw; ties go to the earlier name.

    The choice of `CrossFit.select`. One name needs no inner folds.
    """
    if len(names) == 1:
        folds = len(np.unique(crossfit.design.fold))
        return np.zeros((folds, crossfit.design.template_folds, len(crossfit.labels)), dtype=np.int64)
    return np.stack([crossfit.spaces[name].inner for name in names]).argmax(axis=0)


def scores_per_draw(
    probe: Probe,
    spaces: Mapping[str, Float[np.ndarray, "n ..."]],
    choice: Int[np.ndarray, "folds template_folds draws"],
    design: Design,
    labels: Int[np.ndarray, "draws items"],
) -> Float[np.ndarray, "draws items"]:
    """Scores of each item from the cells that hold it out, centred in each cell, averaged over the item's rows.

    Draw k reads cell (f, t) in the space of index choice[f, t, k], in the order of `spaces`; labels are +-1 and row 0 is the
    observed one. Spaces are [n, d], or [n, tokens, d] for a probe over positions. The probe itself is not changed. Costs one
    `relabelled` per cell and space chosen there, two cells at a time.
    """
    arrays = list(spaces.values())
    folds, parts = np.unique(design.fold), np.unique(design.template_fold)
    scores = np.zeros(labels.shape)

    def read(cell: Cell) -> tuple[Int[np.ndarray, " m"], Float[np.ndarray, "m draws"]]:
        chosen = choice[np.searchsorted(folds, cell.fold), np.searchsorted(parts, cell.template_fold), : len(labels)]
        train, test = np.flatnonzero(design.train_rows(cell)), np.flatnonzero(design.test_rows(cell))
        decisions = np.zeros((len(labels), len(test)))
        for which in np.unique(chosen):
            x, own = arrays[which], np.flatnonzero(chosen == which)
            decisions[own] = probe.relabelled(x[train], x[test], labels[own][:, design.item[train]])
        return design.item[test], decisions.T

    for items, decisions in two_at_a_time(read, design.cells):
        np.add.at(scores.T, items, decisions - decisions.mean(axis=0))
    return scores / np.bincount(design.item)
