"""Design: which rows belong together, and therefore what is held out, averaged and exchanged.

Rows (a term in a template, a sentence) are averaged to items (a term, a sentence); items belong to units, the
independent things inference rests on; whole units go to folds, templates to template folds. A test row shares neither
its unit nor its template with any training row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.errors import TooFewRows
from conceptprobe.stats.auroc import auroc, average_ranks, within_fold_auroc

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Cell:
    """One test cell: the fold of units and the fold of templates it holds out."""

    fold: int
    template_fold: int


@dataclass(frozen=True)
class Design:
    """Everything about n rows but their features. Integer codes throughout.

    item:          row -> item
    template_fold: row -> fold of its template (all 0 where there are no templates)
    label:         item -> +1 concept, -1 control
    unit:          item -> unit
    fold:          item -> fold of its unit
    pooled:        True: AUROC over all pairs of items, scores centred per cell (balanced folds of matched terms);
                   False: over pairs of one fold only (sentences)
    """

    item: Int[np.ndarray, " n"]
    template_fold: Int[np.ndarray, " n"]
    label: Int[np.ndarray, " items"]
    unit: Int[np.ndarray, " items"]
    fold: Int[np.ndarray, " items"]
    pooled: bool = True

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.label)

    @property
    def units_per_class(self) -> tuple[int, int]:
        """Number of units that hold a positive item, and of those that hold a control."""
        return len(np.unique(self.unit[self.label > 0])), len(np.unique(self.unit[self.label < 0]))

    @property
    def n_units(self) -> int:
        """The smaller of the two numbers of units: what an interval and a card may call n."""
        return min(self.units_per_class)

    @cached_property
    def template_folds(self) -> int:
        """Number of folds of templates; 1 where there are no templates to hold out."""
        return len(np.unique(self.template_fold))

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """All test cells, by fold of units, then of templates."""
        return tuple(Cell(int(f), int(t)) for f in np.unique(self.fold) for t in np.unique(self.template_fold))

    def test_rows(self, cell: Cell) -> Bool[np.ndarray, " n"]:
        """Rows of the cell's fold in the cell's templates."""
        return (self.fold[self.item] == cell.fold) & (self.template_fold == cell.template_fold)

    def train_rows(self, *cells: Cell) -> Bool[np.ndarray, " n"]:
        """Rows that share neither unit fold nor template fold with any of the cells."""
        keep = np.ones(len(self.item), dtype=bool)
        for cell in cells:
            keep &= self.fold[self.item] != cell.fold
            if self.template_folds > 1:
                keep &= self.template_fold != cell.template_fold
        return keep

    def inner_cells(self, cell: Cell) -> Iterator[Cell]:
        """Cells blocked alike inside the training rows of `cell`."""
        for other in self.cells:
            if self.is_inner(cell, other):
                yield other

    def is_inner(self, outer: Cell, cell: Cell) -> bool:
        """True where `cell` lies inside the training rows of `outer`: neither fold is shared."""
        apart = self.template_folds == 1 or outer.template_fold != cell.template_fold
        return outer.fold != cell.fold and apart

    def auroc(
        self,
        scores: Float[np.ndarray, "... items"],
        labels: Int[np.ndarray, "... items"] | None = None,
        keep: Bool[np.ndarray, " items"] | None = None,
    ) -> Float[np.ndarray, "..."]:
        """AUROC of item scores under this design's rule; `keep` leaves items out (jackknife, inner folds)."""
        labels = self.label if labels is None else labels
        keep = np.ones(self.n_items, dtype=bool) if keep is None else keep
        if self.pooled:
            return auroc(scores[..., keep], labels[..., keep])
        return within_fold_auroc(scores[..., keep], labels[..., keep], self.fold[keep])

    def auroc_without_each_unit(self, scores: Float[np.ndarray, "... items"]) -> Float[np.ndarray, "... units"]:
        """The AUROC with each unit left out in turn, in ascending order of unit codes; for a jackknife.

        Closed form, n log n: a unit takes with it the pairs its items win and lose. Raises TooFewRows where a class is
        empty without one of the units.
        """
        scores = np.asarray(scores, dtype=np.float64)
        fold = np.zeros_like(self.fold) if self.pooled else self.fold
        _, unit = np.unique(self.unit, return_inverse=True)
        won, pairs = np.zeros_like(scores), np.zeros(self.n_items)
        for f in np.unique(fold):
            positive = np.flatnonzero((fold == f) & (self.label > 0))
            control = np.flatnonzero((fold == f) & (self.label < 0))
            ranks = average_ranks(scores[..., np.concatenate([positive, control])])
            # Controls below a positive, positives above a control: its rank among all less that among its own class.
            won[..., positive] = ranks[..., : len(positive)] - average_ranks(scores[..., positive])
            below = ranks[..., len(positive) :] - average_ranks(scores[..., control])
            won[..., control] = len(positive) - below
            pairs[positive], pairs[control] = len(control), len(positive)
        i, j = self._pairs_within_units(fold)
        within = (scores[..., i] > scores[..., j]) + 0.5 * (scores[..., i] == scores[..., j])
        # A pair inside a unit is lost once, and counted for either of its items.
        lost = _sums(won, unit) - _sums(within, unit[i], len(set(unit.tolist())))
        lost_pairs = _sums(pairs, unit) - _sums(np.ones(len(i)), unit[i], lost.shape[-1])
        all_won, all_pairs = won[..., self.label > 0].sum(axis=-1, keepdims=True), pairs[self.label > 0].sum()
        if np.any(all_pairs - lost_pairs <= 0):
            raise TooFewRows("an AUROC without one of the units has no pair of a positive and a control")
        return (all_won - lost) / (all_pairs - lost_pairs)

    def _pairs_within_units(self, fold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(positive, control) items of one unit that the AUROC compares."""
        first: list[np.ndarray] = [np.zeros(0, dtype=np.int64)]
        second: list[np.ndarray] = [np.zeros(0, dtype=np.int64)]
        by_unit = np.argsort(self.unit, kind="stable")
        for own in np.split(by_unit, np.flatnonzero(np.diff(self.unit[by_unit])) + 1):
            positive, control = own[self.label[own] > 0], own[self.label[own] < 0]
            i, j = np.nonzero(fold[positive][:, None] == fold[control][None, :])
            first.append(positive[i])
            second.append(control[j])
        return np.concatenate(first), np.concatenate(second)


def _sums(values: Float[np.ndarray, "... n"], group: Int[np.ndarray, " n"], groups: int = 0) -> np.ndarray:
    """Sum per group along the last axis."""
    flat = values.reshape(-1, values.shape[-1])
    summed = np.array([np.bincount(group, weights=row, minlength=groups) for row in flat])
    return summed.reshape(*values.shape[:-1], summed.shape[-1])


def codes(names: Sequence[str]) -> Int[np.ndarray, " n"]:
    """Names -> integers 0.. in order of first appearance."""
    seen: dict[str, int] = {}
    return np.array([seen.setdefault(name, len(seen)) for name in names], dtype=np.int64)


def assign_folds(unit: Int[np.ndarray, " n"], k: int, rng: np.random.Generator) -> Int[np.ndarray, " n"]:
    """Whole units to k folds of near-equal numbers of rows: largest first in random order, to the lightest fold.

    Raises TooFewRows where there are fewer units than folds.
    """
    ids, sizes = np.unique(unit, return_counts=True)
    if len(ids) < k:
        raise TooFewRows(f"{len(ids)} groups cannot be spread over {k} folds")
    order = rng.permutation(len(ids))
    order = order[np.argsort(-sizes[order], kind="stable")]
    load = np.zeros(k)
    fold_of = np.empty(len(ids), dtype=np.int64)
    for i in order:
        fold_of[i] = int(np.argmin(load))
        load[fold_of[i]] += sizes[i]
    return fold_of[np.searchsorted(ids, unit)]


def make_design(
    *,
    item: Sequence[str],
    positive: Sequence[int],
    unit: Sequence[str],
    template: Sequence[str] | None,
    folds: int,
    template_folds: int,
    pooled: bool,
    rng: np.random.Generator,
) -> Design:
    """Design of n rows from their names; `positive` holds 1 for the concept and 0 for a control, per row.

    Raises TooFewRows where units or templates are fewer than their folds.
    """
    item_code = codes(item)
    first = np.array([int(np.argmax(item_code == i)) for i in range(int(item_code.max()) + 1)])
    unit_code = codes(unit)[first]
    label = np.where(np.asarray(positive)[first] > 0, 1, -1)
    if template is None or template_folds == 1:
        template_fold = np.zeros(len(item_code), dtype=np.int64)
    else:
        template_fold = assign_folds(codes(template), template_folds, rng)
    return Design(item_code, template_fold, label, unit_code, assign_folds(unit_code, folds, rng), pooled)
