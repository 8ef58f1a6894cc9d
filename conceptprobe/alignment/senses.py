"""Do the senses of a word keep their relations from one space to another? RSA over senses.

Items are the senses of one spelled word: what a model makes of it in a sense is the mean of its activations there. Two
models agree where senses that lie close together in one do so in the other: the Spearman correlation of the two
matrices of distances between senses (Kriegeskorte et al. 2008). Each choice below keeps something else from passing
for agreement; what it costs without it was measured on planted data without any agreement, with 3 to 41 sentences per
sense.

Unbiased distances. A mean of few sentences lies far from all others by noise alone, in both models alike: with cosine
distances about the grand mean the counts alone gave a correlation of 0.8, in halves still 0.7. So distances are squared
Euclidean with the noise taken off, |m_i - m_j|^2 - s^2 (1/n_i + 1/n_j), s^2 being the pooled variance within senses:
the expectation of crossvalidated distances (Walther et al. 2016, NeuroImage 137:188-200) where senses scatter alike,
with no folds to empty. They see through rotation, isotropic scale and translation, and may be a little below 0.

Halves. Both models read the same sentences, whose other words push both means the same way: a correlation of 0.25 with
no sense in either model. So the means of the two models come from disjoint halves of the units, each half of the
sentences once in each model, averaged over fixed random halves. Noise then has expectation 0, and half as many sentences
draw the estimate towards 0 on average. The correlation over all sentences stands in the note.

The interval is the delete-one-unit jackknife of the effect, the halves kept; a split in which a half would lose a sense is
left out. It speaks of other sentences in the same senses, not of other senses, and is too wide rather than too narrow: its
standard error was 1.5 to 1.7 times the spread over new sentences, 2.3 times where a sense had 3 of them.

Two restricted exchanges, and the larger p of both (intersection-union, Berger 1982). Both keep the target senses among
themselves, so telling the target from everything else counts for nothing. (1) Sentences of B are renamed within the
target senses and within the others: had B no senses. (2) The senses of B are turned by a random rotation of their
contrasts within the target senses and within the others (Langsrud 2005, Statistics and Computing 15:53-60): had B senses
as far apart, in relations of their own. (1) alone called up to 29 of 100 pairs with strong, unrelated senses: it is the row
null that DESIGN forbids for templates. (2) alone called 12 of 100 where there is nothing but noise of unequal counts; it
takes senses for draws of one spherical distribution, since with three senses to rename no p is below 1/6. Both together
called at most 6 of 100.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.errors import TooFewRows, UsageError
from conceptprobe.stats.auroc import average_ranks
from conceptprobe.stats.exchange import add_one_p

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

LEAST_SENSES = 4
"""Six distances are the fewest whose ranks can be compared."""
LEAST_UNITS = 3
"""Units per sense: with any one of them deleted, two halves are left to be held by one each."""
HALVES = 20
"""Random halvings that the estimate is the mean over, each in both directions."""


@dataclass(frozen=True)
class Senses:
    """Which sentence has which sense, and how the sentences are halved. Build it with `lay_out`.

    sense: 0.. per sentence; target: which senses are the concept's; unit: 0.. per sentence; halves: the half of each
    unit under each split. A cell is the mean of the sentences of one unit in one sense: it counts once.
    """

    sense: Int[np.ndarray, " n"]
    target: Bool[np.ndarray, " senses"]
    unit: Int[np.ndarray, " n"]
    halves: Bool[np.ndarray, "splits units"]

    @cached_property
    def cell(self) -> Int[np.ndarray, " n"]:
        """Cell of each sentence, 0.. by unit and then sense."""
        return np.unique(self.unit * len(self.target) + self.sense, return_inverse=True)[1].reshape(-1)

    @cached_property
    def _first(self) -> Int[np.ndarray, " cells"]:
        return np.unique(self.cell, return_index=True)[1]

    @property
    def cell_sense(self) -> Int[np.ndarray, " cells"]:
        """Sense of each cell."""
        return self.sense[self._first]

    @property
    def cell_unit(self) -> Int[np.ndarray, " cells"]:
        """Unit of each cell."""
        return self.unit[self._first]

    @cached_property
    def masks(self) -> Bool[np.ndarray, "splits 2 cells"]:
        """The cells of either half."""
        first = self.halves[:, self.cell_unit]
        return np.stack([first, ~first], axis=1)

    def without(self, keep: Bool[np.ndarray, " n"]) -> Senses:
        """The same senses and halves with only these sentences."""
        return Senses(self.sense[keep], self.target, self.unit[keep], self.halves)

    def kernel(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "cells cells"]:
        """Inner products of the cells about their mean; all 0 where every sentence has the same vector."""
        rows = np.asarray(x, dtype=np.float64) - x[0]  # first, so that equal rows become 0 and not a rounding error
        sums = np.zeros((len(self._first), rows.shape[1]))
        np.add.at(sums, self.cell, rows)
        means = sums / np.bincount(self.cell)[:, None]
        means -= means.mean(axis=0)
        return np.asarray(means @ means.T)

    def orders(self, draws: int, rng: np.random.Generator) -> Int[np.ndarray, "draws cells"]:
        """Random renamings of cells within the target senses and within the others.

        Where a stratum is one sense, its cells stay: moving them renames nothing and would undo the disjoint halves.
        """
        role = self.target[self.cell_sense]
        out = np.tile(np.arange(len(role)), (draws, 1))
        for stratum in (True, False):
            held = np.flatnonzero(role == stratum)
            if (self.target == stratum).sum() > 1:
                out[:, held] = rng.permuted(np.tile(held, (draws, 1)), axis=1)
        return out

    def turns(self, draws: int, rng: np.random.Generator) -> Float[np.ndarray, "draws senses senses"]:
        """Random orthogonal matrices that keep the mean of the target senses and the mean of the others in place."""
        out = np.tile(np.eye(len(self.target)), (draws, 1, 1))
        for stratum in (True, False):
            held = np.flatnonzero(self.target == stratum)
            m = len(held)
            if m < 2:
                continue
            contrasts = np.linalg.svd(np.ones((1, m)))[2][1:]
            q, r = np.linalg.qr(rng.standard_normal((draws, m - 1, m - 1)))
            q = q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[:, None, :]  # uniform over all rotations
            out[:, held[:, None], held] = 1.0 / m + contrasts.T @ q @ contrasts
        return out


def lay_out(
    sense: Sequence[str], target: Sequence[bool], unit: Sequence[str], rng: np.random.Generator, splits: int = HALVES
) -> tuple[Senses, tuple[str, ...], Bool[np.ndarray, " n"]]:
    """(the senses with at least `LEAST_UNITS` units, their names, the sentences that are kept).

    sense, target, unit: per sentence; a sense is the concept's where its first sentence is. Targets come first. Raises
    TooFewRows where fewer than `LEAST_SENSES` senses are left.
    """
    if not len(sense) == len(target) == len(unit):
        raise UsageError(
            f"{len(sense)} senses, {len(target)} roles and {len(unit)} units do not name the same sentences"
        )
    units_of: dict[str, set[str]] = {}
    role: dict[str, bool] = {}
    for s, t, u in zip(sense, target, unit, strict=True):
        units_of.setdefault(s, set()).add(u)
        role.setdefault(s, bool(t))
    enough = [s for s in units_of if len(units_of[s]) >= LEAST_UNITS]
    if len(enough) < LEAST_SENSES:
        raise TooFewRows(
            f"{len(enough)} senses have sentences in {LEAST_UNITS} units or more, and fewer than {LEAST_SENSES} have too "
            "few relations to compare"
        )
    names = tuple(sorted(enough, key=lambda s: not role[s]))
    keep = np.array([s in enough for s in sense])
    own = np.array([names.index(s) for s in sense if s in enough])
    numbers = {u: i for i, u in enumerate(dict.fromkeys(u for u, k in zip(unit, keep, strict=True) if k))}
    units = np.array([numbers[u] for u, k in zip(unit, keep, strict=True) if k])
    halves = np.array([_halved(own, units, rng) for _ in range(splits)])
    return Senses(own, np.array([role[s] for s in names]), units, halves), names, keep


def _halved(sense: np.ndarray, unit: np.ndarray, rng: np.random.Generator) -> Bool[np.ndarray, " units"]:
    """A half for each unit, so that the units of every sense are parted as evenly as those shared by senses allow."""
    half = np.full(int(unit.max()) + 1, -1)
    for s in rng.permutation(int(sense.max()) + 1):
        own = np.unique(unit[sense == s])
        ahead = int((half[own] == 1).sum()) - int((half[own] == 0).sum())
        for u in rng.permutation(own[half[own] < 0]):
            half[u] = int(ahead < 0) if ahead else rng.integers(2)
            ahead += 2 * int(half[u]) - 1
    return half == 1


@dataclass(frozen=True)
class Space:
    """One model's senses: inner products of cells, and per split and half those of senses and the ranks of distances."""

    kernel: Float[np.ndarray, "cells cells"]
    grams: Float[np.ndarray, "splits 2 senses senses"]
    ranks: Float[np.ndarray, "splits 2 pairs"]

    def left_out(self, senses: Senses) -> Float[np.ndarray, "units splits 2 pairs"]:
        """The ranks without each unit."""
        masks = _left_masks(senses)
        ranks = _ranked(_grams(self.kernel[None], masks.reshape(-1, *masks.shape[2:]), senses)[0])
        return np.asarray(ranks.reshape(*masks.shape[:3], -1))


@dataclass(frozen=True)
class Agreement:
    """value: over halves; whole: over all sentences; left_out: value without each unit, minus the reference's.

    renamed, turned: the two nulls. reference: the mean over the twins of the larger side (`side`: 0 A with the twins of B,
    1 B with those of A, -1 no twins and a reference of 0).
    """

    value: float
    whole: float
    reference: float
    side: int
    left_out: Float[np.ndarray, " units"]
    renamed: Float[np.ndarray, " draws"]
    turned: Float[np.ndarray, " draws"]

    @property
    def null(self) -> Float[np.ndarray, " draws"]:
        """The null that the value exceeds less clearly."""
        return max(self.renamed, self.turned, key=lambda null: add_one_p(self.value, null))

    @property
    def p(self) -> float:
        """The larger of both add-one p."""
        return add_one_p(self.value, self.null)


def facet_agreement(
    x: Float[np.ndarray, "n dx"],
    y: Float[np.ndarray, "n dy"],
    senses: Senses,
    orders: Int[np.ndarray, "draws cells"],
    turns: Float[np.ndarray, "draws senses senses"],
    x_twins: Sequence[Float[np.ndarray, "n dx"]] = (),
    y_twins: Sequence[Float[np.ndarray, "n dy"]] = (),
) -> Agreement:
    """Agreement of two models on the relations of senses, -1 to 1, against twins and both nulls.

    x, y: rows at the word, one per sentence of `senses`. orders, turns: draws of the two exchanges, made by `senses`.
    0 where all distances of a model are equal. Raises UsageError where rows do not match, TooFewRows where no split
    leaves every sense a cell in both halves, or none does without some unit.
    """
    a, b = space(x, senses), space(y, senses)
    valid, valid_left = _valid(senses)
    value = float(_mean(a.ranks, b.ranks, valid))
    left_a, left_b = a.left_out(senses), b.left_out(senses)
    sides = [[space(z, senses) for z in twins] for twins in (y_twins, x_twins)]
    means = [
        np.mean([_mean(own.ranks, t.ranks, valid) for t in of]) if of else -np.inf
        for own, of in zip((a, b), sides, strict=True)
    ]
    side = int(np.argmax(means)) if any(sides) else -1
    left_reference: np.ndarray | float = 0.0
    if side >= 0:
        own_left = (left_a, left_b)[side]
        left_reference = np.mean([_mean(own_left, t.left_out(senses), valid_left) for t in sides[side]], axis=0)
    whole_a, whole_b = (_ranked(whole_gram(s.kernel, senses)) for s in (a, b))
    turned = turns[:, None, None] @ b.grams @ np.swapaxes(turns, 1, 2)[:, None, None]
    return Agreement(
        value=value,
        whole=float(whole_a @ whole_b),
        reference=float(means[side]) if side >= 0 else 0.0,
        side=side,
        left_out=_mean(left_a, left_b, valid_left) - left_reference,
        renamed=_renamed_null(a, b, senses, orders, valid),
        turned=_mean(a.ranks, _ranked(turned), valid),
    )


def space(x: Float[np.ndarray, "n d"], senses: Senses) -> Space:
    """One model's senses in every half. Raises UsageError where rows do not match sentences."""
    if len(x) != len(senses.sense):
        raise UsageError(f"{len(x)} rows cannot be {len(senses.sense)} sentences")
    kernel = senses.kernel(x)
    grams = _grams(kernel[None], senses.masks, senses)[0]
    return Space(kernel, grams, _ranked(grams))


def whole_gram(kernel: Float[np.ndarray, "cells cells"], senses: Senses) -> Float[np.ndarray, "senses senses"]:
    """Unbiased inner products of the sense means over all sentences."""
    everything = np.ones((1, 1, len(kernel)), dtype=bool)
    return np.asarray(_grams(kernel[None], everything, senses)[0, 0, 0])


def distances_of(gram: Float[np.ndarray, "... senses senses"]) -> Float[np.ndarray, "... senses senses"]:
    """Squared distances from inner products, over the largest of them; all 0 where there is no spread."""
    size = np.diagonal(gram, axis1=-2, axis2=-1)
    squared = size[..., :, None] + size[..., None, :] - 2.0 * gram
    largest = np.abs(squared).max(axis=(-2, -1), keepdims=True)
    return np.asarray(squared / np.where(largest > 0, largest, 1.0))


def _grams(kernels: np.ndarray, masks: np.ndarray, senses: Senses) -> np.ndarray:
    """Unbiased inner products of sense means [kernels, splits, halves, senses, senses] over the cells of each mask.

    The noise of a mean sits on the diagonal alone: the pooled variance within senses over the number of cells.
    """
    belongs = senses.cell_sense == np.arange(len(senses.target))[:, None]
    weights = (masks[..., None, :] & belongs).astype(np.float64)
    counts = weights.sum(axis=-1)
    filled = np.maximum(counts, 1.0)  # an empty sense leaves a split that `_valid` has no use for
    weights /= filled[..., None]
    half_way = weights.reshape(-1, weights.shape[-1]) @ kernels
    grams = half_way.reshape(len(kernels), *weights.shape) @ np.swapaxes(weights, -1, -2)
    size = np.diagonal(grams, axis1=-2, axis2=-1)
    cells = np.diagonal(kernels, axis1=-2, axis2=-1) @ masks.reshape(-1, masks.shape[-1]).T.astype(np.float64)
    freedom = np.maximum(counts.sum(axis=-1) - len(senses.target), 1.0)
    variance = (cells.reshape(len(kernels), *masks.shape[:-1]) - (counts * size).sum(axis=-1)) / freedom
    np.einsum("...ii->...i", grams)[...] -= variance[..., None] / filled
    return np.asarray(grams)


def _ranked(gram: np.ndarray) -> np.ndarray:
    """Ranks of the distances [..., pairs], centred and of unit length; 0 where all distances are equal."""
    m = gram.shape[-1]
    upper = np.triu_indices(m, 1)
    ranks = average_ranks(np.round(distances_of(gram)[..., upper[0], upper[1]], 12))
    ranks -= (m * (m - 1) / 2 + 1) / 2.0
    length = np.linalg.norm(ranks, axis=-1, keepdims=True)
    return np.asarray(ranks / np.where(length > 0, length, 1.0))


def _mean(a: np.ndarray, b: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Mean correlation over splits of A's one half with B's other half, both ways round; leading axes stay."""
    each = (a * b[..., ::-1, :]).sum(axis=-1).mean(axis=-1)
    return np.asarray((each * valid).sum(axis=-1) / valid.sum(axis=-1))


def _renamed_null(a: Space, b: Space, senses: Senses, orders: np.ndarray, valid: np.ndarray) -> np.ndarray:
    out = []
    for some in np.array_split(orders, max(1, len(orders) // 8)):  # few enough at a time to stay in the cache
        kernels = b.kernel[some[:, :, None], some[:, None, :]]
        out.append(_mean(a.ranks, _ranked(_grams(kernels, senses.masks, senses)), valid))
    return np.concatenate(out)


def _left_masks(senses: Senses) -> Bool[np.ndarray, "units splits 2 cells"]:
    units = np.unique(senses.cell_unit)
    return senses.masks & (senses.cell_unit != units[:, None])[:, None, None, :]


def _valid(senses: Senses) -> tuple[Bool[np.ndarray, " splits"], Bool[np.ndarray, "units splits"]]:
    """Splits whose halves both hold every sense and a second cell of one at least; and those without each unit."""
    belongs = senses.cell_sense == np.arange(len(senses.target))[:, None]

    def good(masks: np.ndarray) -> np.ndarray:
        counts = (masks[..., None, :] & belongs).sum(axis=-1)
        return np.asarray(((counts.min(axis=-1) > 0) & (counts.sum(axis=-1) > len(belongs))).all(axis=-1))

    valid, left = good(senses.masks), good(_left_masks(senses))
    if not (valid.any() and left.any(axis=-1).all()):
        raise TooFewRows("the senses have too few independent sentences to be read in disjoint halves")
    return valid, left
