"""Train on one kind of sentence, read another: spaces chosen on the training kind alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.probes.crossfit import CrossFit, Space
from conceptprobe.probes.ridge import smoother, standardise
from conceptprobe.stats.design import Design

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Transfer:
    """Probes trained on the first rows of every space (a design) and read on the rest.

    The space is chosen by its cross-fitted AUROC on the training design, separately for every labelling.
    """

    def __init__(self, design: Design, labels: Int[np.ndarray, "draws items"]) -> None:
        self.design = design
        self.labels = labels
        self._inside = CrossFit(design, labels)
        self._choice: dict[str, np.ndarray] = {}
        self._scores: dict[str, np.ndarray] = {}

    def add(self, name: str, space: Space) -> None:
        """`space.x` holds the design's rows first, then the m rows to be read."""
        n = len(self.design.item)
        train, test = space.x[:n], space.x[n:]
        self._inside.add(name, Space(train, space.standardised), inner=0)
        self._choice[name] = self._inside.alone(name).auroc
        z_train, z_test = (
            standardise(train, test) if space.standardised else (train - train.mean(0), test - train.mean(0))
        )
        self._scores[name] = smoother(z_train, z_test, self.labels[:, self.design.item].T.astype(np.float64)).T

    def select(self, names: Sequence[str]) -> tuple[Float[np.ndarray, "draws m"], str]:
        """Scores of the rows to be read, by the space best on the training design; its name for the observed labels."""
        best = np.stack([self._choice[n] for n in names]).argmax(axis=0)
        scores = np.stack([self._scores[n] for n in names])
        return scores[best, np.arange(len(best))], names[int(best[0])]

    def scores_of(self, candidates: Mapping[str, str]) -> tuple[Float[np.ndarray, " m"], str]:
        """The best candidate for the observed labels only: (scores, candidate); candidates map a name to a space."""
        best = max(candidates, key=lambda c: float(self._choice[candidates[c]][0]))
        return self._scores[candidates[best]][0], best
