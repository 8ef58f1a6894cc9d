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
from conceptprobe.stats.auroc import auroc, within_fold_auroc

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
