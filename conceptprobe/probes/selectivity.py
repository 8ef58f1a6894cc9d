"""Selectivity (Hewitt & Liang 2019): how much of a probe's success is the concept, and how much is memory for words.

Templates are held out while every term is in training; the control task gives terms random labels. What the probe gets
right there it knows by heart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.probes.ridge import smoother, standardise
from conceptprobe.stats.design import Design

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def template_held_out_scores(
    x: Float[np.ndarray, "n d"], design: Design, labels: Int[np.ndarray, "draws items"]
) -> Float[np.ndarray, "draws items"]:
    """Item scores from templates never trained on, for every labelling; terms are shared by training and test."""
    counts = np.bincount(design.item)
    scores = np.zeros(labels.shape)
    for part in np.unique(design.template_fold):
        test = np.flatnonzero(design.template_fold == part)
        train = np.flatnonzero(design.template_fold != part)
        z_train, z_test = standardise(x[train], x[test])
        read = smoother(z_train, z_test, labels[:, design.item[train]].T.astype(np.float64))
        totals = np.zeros((design.n_items, len(labels)))
        np.add.at(totals, design.item[test], read - read.mean(axis=0))
        scores += (totals / counts[:, None]).T
    return scores
