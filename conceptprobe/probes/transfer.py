"""Train on one kind of sentence, read another: what is chosen is chosen on the training kind alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.probes.crossfit import DECIMALS, CrossFit, Space, rotated
from conceptprobe.probes.ridge import smoother, standardise
from conceptprobe.stats.design import Design

if TYPE_CHECKING:
    from jaxtyping import Float, Int

NO_FOLD = -1
"""Of a row that has no kin in training: the probe that reads it was trained on all rows."""


class Transfer:
    """Probes trained on the rows of a design and read on m other rows.

    A row that belongs to a fold of the design, because it is a masked or translated sentence of one of its groups, is
    read by a probe that never saw this fold, in the space which inner folds chose without it. Rows of `NO_FOLD` are read
    by the probe of all training rows, in the space of the best cross-fitted AUROC. Every relabelling of the training
    rows goes through all of it. The design has no template folds.
    """

    def __init__(self, design: Design, labels: Int[np.ndarray, "draws items"], fold: Int[np.ndarray, " m"]) -> None:
        """labels: +-1 of the training items, row 0 the observed ones; fold: of each row to be read, or NO_FOLD."""
        self.design = design
        self.labels = labels
        self.fold = fold
        self.inside = CrossFit(design, labels)
        self._scores: dict[str, Float[np.ndarray, "draws m"]] = {}
        self._alone: dict[str, Float[np.ndarray, " draws"]] = {}

    def add(self, name: str, space: Space, *, inner: int | None = None) -> None:
        """`space.x` holds the design's rows first, then the m rows; `inner` as in `CrossFit.add`."""
        n = len(self.design.item)
        x = space.x if space.standardised else rotated(space.x)
        rows, read = x[:n], x[n:]
        self.inside.add(name, Space(rows, space.standardised), inner=inner)
        out = np.zeros((len(self.labels), len(read)))
        for fold in np.unique(self.fold):
            train, test = rows[self.design.fold[self.design.item] != fold], read[self.fold == fold]
            items = self.design.item[self.design.fold[self.design.item] != fold]
            z_train, z_test = (
                standardise(train, test) if space.standardised else (train - train.mean(0), test - train.mean(0))
            )
            indicator = np.eye(self.design.n_items)[items]
            read_here = self.labels @ smoother(z_train, z_test, indicator).T
            out[:, self.fold == fold] = np.round(read_here, DECIMALS)
        self._scores[name] = out

    def take(self, name: str, other: Transfer) -> None:
        """A space that another one has fitted, under the same design, labels and rows to be read."""
        self.inside.spaces[name] = other.inside.spaces[name]
        self._scores[name] = other.scores(name)

    def select(self, names: Sequence[str]) -> tuple[Float[np.ndarray, "draws m"], tuple[str, ...]]:
        """Scores in the spaces chosen fold by fold and draw by draw, and the spaces of the observed labels per fold of
        `np.unique(fold)`; ties go to the earlier name."""
        out = np.zeros((len(self.labels), len(self.fold)))
        chosen = []
        for fold in np.unique(self.fold):
            best = np.stack([self._worth(name, fold) for name in names]).argmax(axis=0)
            rows = self.fold == fold
            stacked = np.stack([self._scores[name][:, rows] for name in names])
            out[:, rows] = stacked[best, np.arange(len(best))]
            chosen.append(names[int(best[0])])
        return out, tuple(chosen)

    def composite(self, candidates: Mapping[str, Sequence[str]]) -> tuple[Float[np.ndarray, " m"], str]:
        """Observed labels only: scores of the candidate that is best fold by fold, and the one chosen most often.

        A candidate maps its name to the space it uses in each fold of `np.unique(fold)`.
        """
        out = np.zeros(len(self.fold))
        chosen = []
        for i, fold in enumerate(np.unique(self.fold)):
            best = max(candidates, key=lambda c: float(self._worth(candidates[c][i], fold)[0]))
            out[self.fold == fold] = self._scores[candidates[best][i]][0, self.fold == fold]
            chosen.append(best)
        return out, max(dict.fromkeys(chosen), key=chosen.count)

    def scores(self, name: str) -> Float[np.ndarray, "draws m"]:
        """Scores of the rows in one space, under every labelling of the training rows."""
        return self._scores[name]

    def _worth(self, name: str, fold: int) -> Float[np.ndarray, " draws"]:
        """AUROC inside training, on what a choice for this fold may look at."""
        if fold == NO_FOLD:
            if name not in self._alone:
                self._alone[name] = self.inside.alone(name).auroc
            return self._alone[name]
        folds = np.unique(self.design.fold)
        return self.inside.spaces[name].inner[int(np.searchsorted(folds, fold)), 0]
