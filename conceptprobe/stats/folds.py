"""Folds of whole units that hold both classes alike, for units that are not matched.

`assign_folds` balances rows, which is all that matched units need. Where units hold one class each, a fold could be
left with one class and nothing to compare; here each class is spread over the folds by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.errors import TooFewRows

if TYPE_CHECKING:
    from jaxtyping import Int


def stratified_folds(
    unit: Int[np.ndarray, " items"], label: Int[np.ndarray, " items"], k: int, rng: np.random.Generator
) -> Int[np.ndarray, " items"]:
    """Whole units to k folds so that positives (label > 0) and controls are each spread evenly.

    Largest units first, in random order among equals, each to the fold that is lightest in the classes the unit holds.
    Where all units have the same share of positives this is `assign_folds`. Raises TooFewRows where fewer than k units
    hold a class.
    """
    ids, position = np.unique(unit, return_inverse=True)
    counts = np.zeros((len(ids), 2))
    np.add.at(counts, (position, (label > 0).astype(np.int64)), 1.0)
    fewest = int((counts > 0).sum(axis=0).min())
    if fewest < k:
        raise TooFewRows(f"{fewest} groups of one class cannot be spread over {k} folds")
    order = rng.permutation(len(ids))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    load = np.zeros((k, 2))
    fold_of = np.empty(len(ids), dtype=np.int64)
    for i in order:
        fold_of[i] = int(np.argmin(load @ counts[i]))
        load[fold_of[i]] += counts[i]
    return fold_of[position]
