"""Concept transfer between two models: the target's AUROC, that of every control concept, and their nulls.

A probe of the concept learns in one model and is read in the other, over a map fitted on words that are neither the concept's
nor near to it. Target and control concepts go through the same: probes of as many pairs, maps on as many words, penalties
chosen alike. Both directions count, and a pair's AUROC is their mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.transfer import (
    RidgeMap,
    TransferSpace,
    probe_weights,
    probe_weights_of_many,
    transfer_space,
)
from conceptprobe.evidence.context import Subject
from conceptprobe.evidence.control_concepts import EXCLUDED, NEAREST, SIZE
from conceptprobe.evidence.pool_words import PoolWords
from conceptprobe.stats.windows import Windows, make_windows

if TYPE_CHECKING:
    from jaxtyping import Float, Int

CELLS = 5
"""Test cells of a concept."""
TRAIN_UNITS = SIZE - SIZE // CELLS
"""Pairs every probe learns from: of a control concept all but those of one test cell."""
_ROUGH = (1, 2, 3)
"""Penalties on offer where sites are chosen."""


@dataclass(frozen=True)
class Side:
    """One model at one site."""

    subject: Subject
    site: str

    @property
    def key(self) -> tuple[str, str]:
        """(model, site)."""
        return self.subject.name, self.site


@dataclass(frozen=True)
class Sets:
    """S concepts made of pool words. items [S, 2 SIZE]: positives, then controls; excluded [S, EXCLUDED] begins with them."""

    items: Int[np.ndarray, "s i"]
    excluded: Int[np.ndarray, "s e"]


@dataclass(frozen=True)
class Carry:
    """All transfers of one run; spaces and maps are made once.

    rows: (subject, site) -> a row per word, by default the mean over all frames; view: a name for what it gives.
    """

    words: PoolWords
    rows: Callable[[Subject, str], Float[np.ndarray, "n d"]] | None = None
    view: str = "words"

    @cached_property
    def windows(self) -> Windows:
        """Of the target's terms."""
        label = np.where(self.words.positive, 1, -1)
        return make_windows(label, self.words.unit, TRAIN_UNITS, CELLS, self.words.run.rng("windows", "shared"))

    @cached_property
    def set_windows(self) -> Windows:
        """Of a set of pool words; its pairs are in the random order in which the rule found them."""
        label = np.repeat([1, -1], SIZE)
        unit = np.tile(np.arange(SIZE), 2)
        return make_windows(label, unit, TRAIN_UNITS, CELLS, self.words.run.rng("windows", "control concepts"))

    @cached_property
    def kept(self) -> Int[np.ndarray, " m"]:
        """Pool words that maps of the target rest on."""
        return np.setdiff1d(np.arange(self.words.ground), self.words.control_concepts.around_target)

    @cached_property
    def control_sets(self) -> Sets:
        """The matched control concepts."""
        drawn = self.words.control_concepts
        return Sets(np.hstack([drawn.positives, drawn.controls]), drawn.excluded)

    @cached_property
    def yardsticks(self) -> Sets:
        """Kinds of words as the pool's file has them, on which sites are chosen: SIZE of each against as many others."""
        words, kinds = self.words, self.words.categories
        items, excluded = [], []
        for kind in range(int(kinds.max()) + 1):
            inside, outside = np.flatnonzero(kinds == kind), np.flatnonzero(kinds != kind)
            if len(inside) < SIZE or len(outside) < 2 * SIZE + NEAREST:
                continue
            rng = words.run.rng("yardstick", str(kind))
            own = np.concatenate([rng.choice(inside, SIZE, replace=False), rng.choice(outside, SIZE, replace=False)])
            # The rest of the kind first: it is what is nearest, as far as anybody knows without a model.
            near = [*np.setdiff1d(inside, own), *rng.permutation(np.setdiff1d(outside, own))]
            items.append(own)
            excluded.append(np.concatenate([own, near[:NEAREST]]))
        return Sets(
            np.array(items, dtype=np.int64).reshape(-1, 2 * SIZE),
            np.array(excluded, dtype=np.int64).reshape(-1, EXCLUDED),
        )

    def space(self, side: Side) -> TransferSpace:
        """The model's words at this site, standardised by the pool."""

        def make() -> TransferSpace:
            rows = (self.rows or self.words.vectors)(side.subject, side.site)
            return transfer_space(rows, self.words.ground)

        return self.words.run.once(("space", self.view, *side.key), make)

    def target_map(self, side: Side) -> RidgeMap:
        """The map out of this space that the target is carried over."""
        return self.words.run.once(("map", self.view, *side.key), lambda: RidgeMap(self.space(side), self.kept))

    @cached_property
    def items(self) -> Int[np.ndarray, " t"]:
        """The terms, among all words."""
        return np.arange(self.words.ground, self.words.n)

    def asked(self, source: Side, labels: Float[np.ndarray, "l t"]) -> Float[np.ndarray, "kept l*cells"]:
        """What probes of the target say of the words the map rests on, a column per labelling and cell."""
        space = self.space(source)
        weights = probe_weights(space, self.items, self.windows.train, labels)
        return space.gram[np.ix_(self.kept, self.items)] @ weights

    def target(
        self,
        source: Side,
        target: Side,
        labels: Float[np.ndarray, "l t"],
        pairings: Int[np.ndarray, "p kept"] | None = None,
    ) -> Float[np.ndarray, "l+p cells t"]:
        """Scores of the target's terms: under each labelling, then with the observed one over shuffled maps."""
        columns = self.asked(source, labels)
        if pairings is not None and len(pairings):
            observed = columns[:, :CELLS]
            columns = np.hstack([columns, observed[pairings].transpose(1, 0, 2).reshape(len(observed), -1)])
        read = self.target_map(target).read(columns, self.items)
        return read.reshape(len(self.items), -1, CELLS).transpose(1, 2, 0)

    def set_columns(self, source: Side, sets: Sets) -> Float[np.ndarray, "s m cells"]:
        """What probes of each set say of all pool words."""
        if not len(sets.items):
            return np.zeros((0, self.words.ground, CELLS))
        space = self.space(source)
        train = np.broadcast_to(self.set_windows.train, (len(sets.items), *self.set_windows.train.shape))
        weights = probe_weights_of_many(space, sets.items, train, self.set_windows.label)
        flat = space.gram[: self.words.ground] @ weights.reshape(-1, weights.shape[-1]).T
        return flat.T.reshape(len(sets.items), CELLS, -1).transpose(0, 2, 1)

    def set_aurocs(
        self, columns: Float[np.ndarray, "s m cells"], target: Side, sets: Sets, *, roughly: bool = False
    ) -> Float[np.ndarray, "sources s"]:
        """AUROC of each set carried into the target's space; columns of several sources may stand side by side.

        roughly: with a few of the penalties alone, for a choice between sites.
        """
        if not len(sets.items):
            return np.zeros((columns.shape[2] // CELLS, 0))
        offered = _ROUGH if roughly else None
        scores = self.space(target).whole.read_without(columns, sets.excluded, 2 * SIZE, offered)
        by_source = scores.reshape(len(scores), 2 * SIZE, -1, CELLS).transpose(2, 0, 3, 1)
        return np.asarray(self.set_windows.auroc(by_source))

    def controls(self, source: Side, target: Side) -> Float[np.ndarray, " s"]:
        """AUROC of every control concept, carried from source to target."""
        found: Float[np.ndarray, " s"] = self.set_aurocs(
            self.set_columns(source, self.control_sets), target, self.control_sets
        )[0]
        return found
