"""Carry a probe from one space into another, over a map fitted on other items.

A ridge probe is trained in the source space. A ridge map, fitted on pairs of background items, takes target rows to the
source space, and the probe reads what arrives. Both are linear, so the map is needed along the probe's direction only:
regressing the probe's scores of the background's source rows on its target rows gives the very numbers of the whole
map, and any number of shuffled pairings are columns of one product.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.probes.ridge import smoother, standardise
from conceptprobe.stats.design import Design

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def carried_scores(
    source: Float[np.ndarray, "n ds"],
    target: Float[np.ndarray, "n dt"],
    source_pool: Float[np.ndarray, "m ds"],
    target_pool: Float[np.ndarray, "m dt"],
    design: Design,
    labels: Int[np.ndarray, "l n"],
    pairings: Int[np.ndarray, "p m"] | None = None,
) -> Float[np.ndarray, "l+p n"]:
    """Scores of the target rows of each item, from the test cell that holds it out, centred in that cell.

    Row i of `source` and of `target` show item i of the design; row j of the two pools shows one background item. The
    first rows of the result follow `labels`, of which row 0 is the observed one; the others keep that and fit the map
    with the pool's source rows shuffled by each of `pairings`. The items are never in the pools, and no test item is
    seen by probe or map.
    """
    shuffled = np.zeros((0, len(source_pool)), dtype=np.int64) if pairings is None else pairings
    out = np.zeros((len(labels) + len(shuffled), len(source)))
    for cell in design.cells:
        train, test = design.train_rows(cell), design.test_rows(cell)
        z_train, z_pool = standardise(source[train], source_pool)
        read = smoother(z_train, z_pool, labels[:, train].T.astype(np.float64))
        columns = np.hstack([read, read[:, 0][shuffled].T])
        t_pool, t_test = standardise(target_pool, target[test])
        scores = smoother(t_pool, t_test, columns)
        out[:, test] = (scores - scores.mean(axis=0)).T
    return out
