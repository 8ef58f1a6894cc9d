"""Cross-fitted ridge over many spaces at once, with the choice of the space on inner folds and its whole null.

A space is a site of a model or the features of a baseline. For every outer cell (a fold of units x a fold of
templates) a probe is trained on rows that share neither with it; which space to use there is decided by the AUROC on
inner cells, blocked alike, inside the training rows. Because ridge predictions are linear in the labels, every
relabelling of a null goes through all of it, the choice included, as one more column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.probes.ridge import smoother, standardise
from conceptprobe.stats.design import Cell, Design

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True)
class Space:
    """Features of the design's n rows. Counts and tf-idf keep their own scale: `standardised=False`."""

    x: Float[np.ndarray, "n d"]
    standardised: bool = True


@dataclass(frozen=True)
class Fitted:
    """One space under one design, for all label columns (column 0 is the observed labelling).

    held_out: scores of each item in each template fold, from the cell that holds it out, centred in that cell
    inner:    AUROC inside the training rows of each outer cell, for as many label columns as were asked for
    """

    held_out: Float[np.ndarray, "template_folds draws items"]
    inner: Float[np.ndarray, "folds template_folds draws"]


@dataclass(frozen=True)
class Selection:
    """Held-out item scores when each cell uses the space its inner folds chose.

    chosen: space names for the observed labels, [fold][template_fold]; auroc[0] is the estimate, the rest its null.
    """

    scores: Float[np.ndarray, "draws items"]
    auroc: Float[np.ndarray, " draws"]
    chosen: tuple[tuple[str, ...], ...]

    @property
    def most_chosen(self) -> str:
        """The space chosen in most cells."""
        flat = [name for row in self.chosen for name in row]
        return max(dict.fromkeys(flat), key=flat.count)

    @property
    def times_chosen(self) -> tuple[int, int]:
        """In how many cells of how many `most_chosen` was chosen."""
        flat = [name for row in self.chosen for name in row]
        return flat.count(self.most_chosen), len(flat)


class CrossFit:
    """All spaces of one design. Space by space: `add`, then `select` or `at`."""

    def __init__(self, design: Design, labels: Int[np.ndarray, "draws items"]) -> None:
        """labels: +-1, row 0 the observed ones, the others draws of the exchange."""
        self.design = design
        self.labels = labels
        self.spaces: dict[str, Fitted] = {}
        self._rows = _row_weights(design)
        self._jobs = _jobs(design)
        # Items first: what a cell reads is then a block of whole rows.
        self._by_item = np.ascontiguousarray(labels.T, dtype=np.float64)

    def add(self, name: str, space: Space, *, inner: int | None = None) -> Fitted:
        """Fit one space in every cell, outer and inner; under one design and labels the result is the space's alone.

        inner: label columns that inner folds are needed for, None for all. `select` needs all, `composite` the observed
        one, `at` and `alone` none.
        """
        draws = len(self.labels) if inner is None else inner
        self.spaces[name] = _fit(space, self.design, self.labels, self._by_item, draws, self._rows, self._jobs)
        return self.spaces[name]

    def select(self, names: Sequence[str]) -> Selection:
        """Choose among `names` on inner folds, per cell and per draw; ties go to the earlier name."""
        inner = np.stack([self.spaces[n].inner for n in names])  # [spaces, folds, template_folds, draws]
        best = inner.argmax(axis=0)
        held_out = np.stack([self.spaces[n].held_out for n in names])  # [spaces, template_folds, draws, items]
        folds = np.unique(self.design.fold)
        fold_index = np.searchsorted(folds, self.design.fold)
        scores = np.zeros((len(self.labels), self.design.n_items))
        for t in range(best.shape[1]):
            which = best[fold_index, t].T  # [draws, items]
            scores += self._rows[t] * np.take_along_axis(held_out[:, t], which[None], axis=0)[0]
        chosen = tuple(tuple(names[int(b)] for b in row) for row in best[:, :, 0])
        return Selection(scores, self.design.auroc(scores, self.labels), chosen)

    def at(self, chosen: Sequence[Sequence[str]]) -> Selection:
        """Item scores when cell (f, t) uses the space `chosen[f][t]`, whatever the labels: no choice, no optimism."""
        folds = np.unique(self.design.fold)
        fold_index = np.searchsorted(folds, self.design.fold)
        scores = np.zeros((len(self.labels), self.design.n_items))
        for f, row in enumerate(chosen):
            items = fold_index == f
            for t, name in enumerate(row):
                scores[:, items] += self._rows[t][items] * self.spaces[name].held_out[t][:, items]
        return Selection(scores, self.design.auroc(scores, self.labels), tuple(tuple(r) for r in chosen))

    def alone(self, name: str) -> Selection:
        """One space in every cell."""
        shape = self.spaces[name].inner.shape
        return self.at([[name] * shape[1]] * shape[0])

    def composite(self, candidates: Mapping[str, Sequence[Sequence[str]]]) -> Selection:
        """Choose per cell among candidates that may themselves use another space in every cell (a twin at the site
        its model chose). Observed labels only: `auroc` has one entry."""
        names = list(candidates)
        folds = np.unique(self.design.fold)
        template_folds = range(len(self._rows))
        chosen: list[tuple[str, ...]] = []
        spaces: list[tuple[str, ...]] = []
        for f in range(len(folds)):
            best = [max(names, key=lambda n: self.spaces[candidates[n][f][t]].inner[f, t, 0]) for t in template_folds]
            chosen.append(tuple(best))
            spaces.append(tuple(candidates[n][f][t] for t, n in enumerate(best)))
        fitted = self.at(spaces)
        return Selection(fitted.scores[:1], fitted.auroc[:1], tuple(chosen))


def _row_weights(design: Design) -> Float[np.ndarray, "template_folds items"]:
    # Share of an item's rows in each template fold: a score is the mean over templates, not over folds of them.
    counts = np.zeros((len(np.unique(design.template_fold)), design.n_items))
    np.add.at(counts, (design.template_fold, design.item), 1.0)
    return counts / counts.sum(axis=0)


@dataclass(frozen=True)
class _Job:
    """One training set and the cells it is read in, as far as the design decides: the same for every space.

    indicator: [train rows, train items], since labels are constant within an item; average: [items of all tests, rows
    of all tests], a mean over an item's rows within its cell; roles: (outer cell, test cell) of inner fits.
    """

    train: Int[np.ndarray, " n"]
    train_items: Int[np.ndarray, " k"]
    indicator: Float[np.ndarray, "n k"]
    test: Int[np.ndarray, " m"]
    average: Float[np.ndarray, "i m"]
    items: dict[Cell, Int[np.ndarray, " i"]]
    roles: tuple[tuple[Cell, Cell], ...] = ()


def _jobs(design: Design) -> tuple[list[_Job], list[_Job]]:
    """(outer fits, inner fits)."""
    outer = [_job(design, (cell,), [cell]) for cell in design.cells]
    inner = [
        _job(design, avoid, list(dict.fromkeys(test for _, test in roles)), tuple(roles))
        for avoid, roles in _inner_fits(design).items()
    ]
    return outer, inner


def _job(
    design: Design, avoid: Sequence[Cell], tests: Sequence[Cell], roles: tuple[tuple[Cell, Cell], ...] = ()
) -> _Job:
    train = np.flatnonzero(design.train_rows(*avoid))
    train_items, position = np.unique(design.item[train], return_inverse=True)
    indicator = np.zeros((len(train), len(train_items)))
    indicator[np.arange(len(train)), position] = 1.0
    row_sets = [np.flatnonzero(design.test_rows(cell)) for cell in tests]
    items = {cell: np.unique(design.item[rows]) for cell, rows in zip(tests, row_sets, strict=True)}
    means = [design.item[rows] == found[:, None] for rows, found in zip(row_sets, items.values(), strict=True)]
    average = np.zeros((sum(len(m) for m in means), sum(len(r) for r in row_sets)))
    top = left = 0
    for mean in means:
        average[top : top + mean.shape[0], left : left + mean.shape[1]] = mean / mean.sum(axis=1, keepdims=True)
        top, left = top + mean.shape[0], left + mean.shape[1]
    return _Job(train, train_items, indicator, np.concatenate(row_sets), average, items, roles)


DECIMALS = 10
"""Of scores, which predict +-1: what lies below is rounding, and must not part items whose features are the same."""


def _fit(
    space: Space,
    design: Design,
    labels: np.ndarray,
    by_item: np.ndarray,
    inner_draws: int,
    rows: np.ndarray,
    jobs: tuple[list[_Job], list[_Job]],
) -> Fitted:
    x = space.x if space.standardised else rotated(space.x)
    template_folds, folds = rows.shape[0], np.unique(design.fold)
    held_out = np.zeros((template_folds, design.n_items, len(labels)))
    inner = np.full((len(folds), template_folds, inner_draws), 0.5)
    outer_jobs, inner_jobs = jobs
    for job in outer_jobs:
        for cell, scores in _read(job, x, space.standardised, by_item).items():
            held_out[cell.template_fold, job.items[cell]] = scores
    inner_scores = {cell: np.zeros((design.n_items, inner_draws)) for cell in design.cells}
    inner_by_item = np.ascontiguousarray(by_item[:, :inner_draws])
    for job in inner_jobs if inner_draws else ():
        scored = _read(job, x, space.standardised, inner_by_item)
        weighted = {cell: rows[cell.template_fold, job.items[cell], None] * own for cell, own in scored.items()}
        for outer, test in job.roles:
            inner_scores[outer][job.items[test]] += weighted[test]
    for f, fold in enumerate(folds) if inner_draws else ():
        for t in range(template_folds):
            keep = design.fold != fold
            inner[f, t] = design.auroc(inner_scores[Cell(int(fold), t)].T, labels[:inner_draws], keep)
    return Fitted(held_out.transpose(0, 2, 1), inner)


def _inner_fits(design: Design) -> dict[tuple[Cell, Cell], list[tuple[Cell, Cell]]]:
    """Inner training sets, as the two cells they avoid -> the (outer cell, inner test cell) roles they serve.

    The rows that train for inner cell b inside outer cell a avoid the folds and templates of both, whichever of them is
    called outer: one factorisation serves up to four pairs of cells.
    """
    fits: dict[tuple[Cell, Cell], list[tuple[Cell, Cell]]] = {}
    for outer in design.cells:
        for test in design.inner_cells(outer):
            low_fold, high_fold = sorted((outer.fold, test.fold))
            low_part, high_part = sorted((outer.template_fold, test.template_fold))
            key = (Cell(low_fold, low_part), Cell(high_fold, high_part))
            fits.setdefault(key, []).append((outer, test))
    return fits


def _read(job: _Job, x: np.ndarray, standardised: bool, by_item: np.ndarray) -> dict[Cell, np.ndarray]:
    """Cell -> item scores [items of the cell, draws] for all labellings [items, draws], centred in the cell."""
    # Scores are linear in the test rows, so an item's mean score is the score of its mean row.
    train, test = x[job.train], job.average @ x[job.test]
    z_train, z_test = standardise(train, test) if standardised else _centre(train, test)
    scores = smoother(z_train, z_test, job.indicator) @ by_item[job.train_items]
    out, start = {}, 0
    for cell, items in job.items.items():
        own = scores[start : start + len(items)]
        out[cell] = np.round(own - own.mean(axis=0), DECIMALS)
        start += len(items)
    return out


def _centre(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = train.mean(axis=0)
    return train - mean, test - mean


def rotated(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n r"]:
    """The same inner products in at most n dimensions: wide counts cost no more than n columns."""
    if x.shape[1] <= x.shape[0]:
        return x
    values, vectors = np.linalg.eigh((x @ x.T).astype(np.float64))
    keep = values > 1e-10 * max(float(values.max()), 1e-300)
    return vectors[:, keep] * np.sqrt(values[keep])
